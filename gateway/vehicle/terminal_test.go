package vehicle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// commandTime is the time in the commands of these tests.
var commandTime = []byte{26, 11, 23, 8, 0, 0}

// order makes a command of the gateway.
func order(t *testing.T, e codec.Edition, command codec.Command, unit ...byte) codec.Frame {
	t.Helper()
	h := codec.Header{Edition: e, Command: command, Flag: codec.FlagCommand, VIN: codec.MakeVIN([]byte(testVIN)), Encryption: codec.EncryptionNone}
	b, err := codec.AppendFrame(nil, h, append(commandTime[:6:6], unit...))
	require.NoError(t, err)
	return codec.Frame(b)
}

func testTerminal(t *testing.T, e codec.Edition, style Style) *terminal {
	t.Helper()
	cfg, err := Config{Addr: "127.0.0.1:1", VIN: testVIN, Edition: e, Style: style}.withDefaults()
	require.NoError(t, err)
	term, err := newTerminal(cfg)
	require.NoError(t, err)
	return term
}

func TestTerminalAnswersQueries(t *testing.T) {
	all := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for _, e := range editions {
		for _, style := range []Style{StyleTime, StyleEcho, StyleFlagFE} {
			term := testTerminal(t, e, style)
			f, err := codec.ParseFrame(term.answer(order(t, e, codec.CommandParamQuery, append([]byte{16}, all...)...)))
			require.NoError(t, err)
			want := codec.FlagSuccess
			if style == StyleFlagFE {
				want = codec.FlagCommand
			}
			require.Equal(t, want, f.Flag())
			require.Equal(t, testVIN, f.VIN().String())
			var m codec.Message
			m.Decode(f)
			require.Empty(t, m.Problems())
			params := m.Body.(*codec.Params).Params
			require.Len(t, params, 16)
			for i, p := range params {
				require.Equal(t, all[i], p.ID)
			}
			require.EqualValues(t, 10, params[1].Number(), "10 s between two reports")
			require.Equal(t, "gateway.example", params[4].Text())
			require.Equal(t, "SIM-1", params[6].Text())
		}
	}
}

// TestTerminalQueryOfADomain: the length comes with it, once.
func TestTerminalQueryOfADomain(t *testing.T) {
	for ids, want := range map[string][]uint8{
		"\x02\x05\x02": {4, 5, 2},
		"\x02\x04\x05": {4, 5},
		"\x02\x11\x0e": {13, 14},
		"\x00":         nil,
	} {
		term := testTerminal(t, codec.Edition2016, StyleTime)
		f, err := codec.ParseFrame(term.answer(order(t, codec.Edition2016, codec.CommandParamQuery, []byte(ids)...)))
		require.NoError(t, err)
		var m codec.Message
		m.Decode(f)
		var got []uint8
		for _, p := range m.Body.(*codec.Params).Params {
			got = append(got, p.ID)
		}
		require.Equal(t, want, got, "%x", ids)
	}
}

func TestTerminalStoresSettings(t *testing.T) {
	for _, e := range editions {
		term := testTerminal(t, e, StyleTime)
		set := []byte{3, 0x02, 0, 7, 0x09, 99, 0x10, 1}
		if e == codec.Edition2025 {
			set = []byte{3, 0x02, 7, 0x09, 99, 0x10, 1}
		}
		f, err := codec.ParseFrame(term.answer(order(t, e, codec.CommandParamSet, set...)))
		require.NoError(t, err)
		require.Equal(t, codec.FlagSuccess, f.Flag())
		require.Equal(t, commandTime, f.Unit())
		report, heartbeat := term.reportPeriod, term.beatPeriod
		require.Equal(t, 7*time.Second, report)
		require.Equal(t, 99*time.Second, heartbeat)
		require.True(t, term.changed)

		f, err = codec.ParseFrame(term.answer(order(t, e, codec.CommandParamQuery, 3, 0x02, 0x09, 0x10)))
		require.NoError(t, err)
		require.Equal(t, set, f.Unit()[6:], "what was set is read back")
	}
}

func TestTerminalSetsADomain(t *testing.T) {
	term := testTerminal(t, codec.Edition2016, StyleTime)
	set := append([]byte{2, 0x04, 9, 0x05}, "a.example"...)
	f, err := codec.ParseFrame(term.answer(order(t, codec.Edition2016, codec.CommandParamSet, set...)))
	require.NoError(t, err)
	require.Equal(t, codec.FlagSuccess, f.Flag())
	f, err = codec.ParseFrame(term.answer(order(t, codec.Edition2016, codec.CommandParamQuery, 1, 0x05)))
	require.NoError(t, err)
	require.Equal(t, set, f.Unit()[6:])
}

// TestTerminalRefusesSettings: one wrong parameter refuses all of them.
func TestTerminalRefusesSettings(t *testing.T) {
	for name, set := range map[string][]byte{
		"read only":    {2, 0x02, 0, 7, 0x07, '1', '2', '3', '4', '5'},
		"out of range": {2, 0x02, 0, 7, 0x09, 241},
	} {
		t.Run(name, func(t *testing.T) {
			term := testTerminal(t, codec.Edition2016, StyleTime)
			f, err := codec.ParseFrame(term.answer(order(t, codec.Edition2016, codec.CommandParamSet, set...)))
			require.NoError(t, err)
			require.Equal(t, codec.FlagError, f.Flag())
			report := term.reportPeriod
			require.Equal(t, 10*time.Second, report)
		})
	}
}

// TestTerminalIgnores: what cannot be read gets no answer.
func TestTerminalIgnores(t *testing.T) {
	term := testTerminal(t, codec.Edition2016, StyleTime)
	for name, f := range map[string]codec.Frame{
		"a query cut":             order(t, codec.Edition2016, codec.CommandParamQuery, 5, 1),
		"a query without count":   order(t, codec.Edition2016, codec.CommandParamQuery),
		"a setting cut":           order(t, codec.Edition2016, codec.CommandParamSet, 1, 2, 0),
		"an unknown parameter":    order(t, codec.Edition2016, codec.CommandParamSet, 1, 0x80, 1, 2),
		"a control without id":    order(t, codec.Edition2016, codec.CommandControl),
		"parameters in a query":   order(t, codec.Edition2016, codec.CommandParamQuery, 1, 2, 0, 7),
		"a report":                order(t, codec.Edition2016, codec.CommandRealtime),
		"a command of its own":    order(t, codec.Edition2016, 0xC1, 1),
		"a time without the rest": order(t, codec.Edition2016, codec.CommandParamSet),
	} {
		require.Nil(t, term.answer(f), name)
	}
}

func TestTerminalConfirmsControls(t *testing.T) {
	for _, e := range editions {
		for _, unit := range [][]byte{{3}, {6, 2, 'h', 'o', 't'}, {0x90, 1, 2}} {
			f := order(t, e, codec.CommandControl, unit...)
			for style, check := range map[Style]func(a codec.Frame){
				StyleTime: func(a codec.Frame) {
					require.Equal(t, codec.FlagSuccess, a.Flag())
					require.Equal(t, commandTime, a.Unit())
				},
				StyleFlagFE: func(a codec.Frame) {
					require.Equal(t, codec.FlagCommand, a.Flag())
					require.Equal(t, commandTime, a.Unit())
				},
				StyleEcho: func(a codec.Frame) {
					require.Equal(t, codec.FlagSuccess, a.Flag())
					require.Equal(t, unit, a.Unit()[6:])
					at, ok := a.Time()
					require.True(t, ok)
					require.WithinDuration(t, time.Now(), at, time.Minute)
				},
			} {
				a, err := codec.ParseFrame(testTerminal(t, e, style).answer(f))
				require.NoError(t, err)
				require.Equal(t, codec.CommandControl, a.Command())
				require.Equal(t, f.RawVIN(), a.RawVIN())
				check(a)
			}
		}
	}
}

// TestVehicleObeys: commands over a connection, while the vehicle reports; a new report period
// takes effect at once.
func TestVehicleObeys(t *testing.T) {
	p := newPeer(t, nil)
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Period, cfg.Heartbeat = time.Hour, -1
	v := newVehicle(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	conn := <-p.conns
	require.NotNil(t, p.next(codec.CommandRealtime))
	for _, f := range []codec.Frame{
		order(t, codec.Edition2016, codec.CommandParamQuery, 1, 0x09),
		order(t, codec.Edition2016, codec.CommandControl, 3),
		order(t, codec.Edition2016, codec.CommandParamSet, 1, 0x02, 0, 1),
	} {
		_, err := conn.Write(f)
		require.NoError(t, err)
		a := p.next(f.Command())
		require.Equal(t, codec.FlagSuccess, a.Flag())
	}
	_, err := conn.Write(order(t, codec.Edition2016, codec.CommandControl)) // no control id
	require.NoError(t, err)
	require.NotNil(t, p.next(codec.CommandRealtime), "the hour became a second")
	cancel()
	require.NoError(t, <-done)
	s := v.Stats()
	require.EqualValues(t, 3, s.Commands)
	require.EqualValues(t, 1, s.Ignored)
	require.Zero(t, s.Errors())
}
