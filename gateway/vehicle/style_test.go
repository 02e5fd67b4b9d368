package vehicle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestStyles holds every style to its bytes, for a setting, a control and a query.
func TestStyles(t *testing.T) {
	now := time.Now()
	isNow := func(unit []byte) []byte {
		at, ok := codec.ParseTime([6]byte(unit))
		require.True(t, ok)
		require.WithinDuration(t, now, at, time.Minute)
		return append(commandTime[:6:6], unit[6:]...) // comparable: the time put back
	}
	same := func(unit []byte) []byte { return unit }
	for _, e := range editions {
		period := []byte{1, 0x02, 0, 7}
		if e == codec.Edition2025 {
			period = []byte{1, 0x02, 7}
		}
		alarm := []byte{6, 2, 'h', 'o', 't'}
		with := func(rest ...byte) []byte { return append(commandTime[:6:6], rest...) }
		for style, want := range map[Style]struct {
			flag         codec.Flag
			time         func([]byte) []byte
			set, control []byte // units
		}{
			StyleTime:        {codec.FlagSuccess, same, with(), with()},
			StyleReplyTime:   {codec.FlagSuccess, isNow, with(), with()},
			StyleEcho:        {codec.FlagSuccess, isNow, with(period...), with(alarm...)},
			StyleEchoRequest: {codec.FlagSuccess, same, with(period...), with(alarm...)},
			StyleControlID:   {codec.FlagSuccess, same, with(), with(6)},
			StyleEmpty:       {codec.FlagSuccess, same, []byte{}, []byte{}},
			StyleFlagFE:      {codec.FlagCommand, same, with(), with()},
			StyleError:       {codec.FlagError, same, with(), with()},
			StyleLate:        {codec.FlagSuccess, same, with(), with()},
			StyleLeave:       {codec.FlagSuccess, same, with(), with()},
		} {
			term := testTerminal(t, e, style)
			for _, x := range []struct {
				command    codec.Command
				unit, want []byte
			}{{codec.CommandParamSet, period, want.set}, {codec.CommandControl, alarm, want.control}} {
				f := order(t, e, x.command, x.unit...)
				a, err := codec.ParseFrame(term.answer(f))
				require.NoError(t, err, style)
				require.Equal(t, want.flag, a.Flag(), style)
				require.Equal(t, x.command, a.Command())
				require.Equal(t, f.RawVIN(), a.RawVIN())
				require.Equal(t, x.want, want.time(a.Unit()), "%v %v", style, x.command)
			}
			report := term.reportPeriod
			require.Equal(t, 7*time.Second, report, style)

			f := order(t, e, codec.CommandParamQuery, 1, 0x09)
			a, err := codec.ParseFrame(term.answer(f))
			require.NoError(t, err)
			require.Equal(t, want.flag, a.Flag(), style)
			switch style {
			case StyleError:
				require.Equal(t, with(), a.Unit())
			case StyleEchoRequest:
				require.Equal(t, with(1, 0x09, 60), a.Unit())
			default:
				require.Equal(t, with(1, 0x09, 60), isNow(a.Unit()), style)
			}
		}
		silent := testTerminal(t, e, StyleSilent)
		require.Nil(t, silent.answer(order(t, e, codec.CommandParamSet, period...)))
		require.Nil(t, silent.answer(order(t, e, codec.CommandControl, alarm...)))
		require.Nil(t, silent.answer(order(t, e, codec.CommandParamQuery, 1, 0x09)))
		report := silent.reportPeriod
		require.Equal(t, 7*time.Second, report, "it obeys all the same")
	}
}

// TestStyleLate: the answer comes after its delay; one that is due after the end of the connection
// never does.
func TestStyleLate(t *testing.T) {
	for delay, answers := range map[time.Duration]int{time.Millisecond: 1, time.Hour: 0} {
		p := newPeer(t, nil)
		cfg := quick(p.addr, codec.Edition2016)
		cfg.Style, cfg.AnswerDelay = StyleLate, delay
		v := newVehicle(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- v.Run(ctx) }()
		conn := <-p.conns
		require.NotNil(t, p.next(codec.CommandRealtime))
		_, err := conn.Write(order(t, codec.Edition2016, codec.CommandControl, 3))
		require.NoError(t, err)
		if answers > 0 {
			require.Equal(t, commandTime, p.next(codec.CommandControl).Unit())
		}
		require.NotNil(t, p.next(codec.CommandRealtime))
		cancel()
		require.NoError(t, <-done)
		for _, f := range p.drain() {
			require.NotEqual(t, codec.CommandControl, f.Command())
		}
		require.EqualValues(t, answers, v.Stats().Commands)
	}
}

// leaving runs a vehicle that is told to go to an address and a port, and returns it after the setting
// was answered.
func leaving(t *testing.T, from *peer, port int) (v *Vehicle, stop func()) {
	t.Helper()
	cfg := quick(from.addr, codec.Edition2016)
	cfg.Style = StyleLeave
	v = newVehicle(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	conn := <-from.conns
	require.NotNil(t, from.next(codec.CommandRealtime))
	set := append([]byte{4, 0x04, 9, 0x05}, "127.0.0.1"...)
	set = append(set, 0x06, byte(port>>8), byte(port), 0x09, 77)
	_, err := conn.Write(order(t, codec.Edition2016, codec.CommandParamSet, set...))
	require.NoError(t, err)
	require.Equal(t, codec.FlagSuccess, from.next(codec.CommandParamSet).Flag())
	require.NotNil(t, from.next(codec.CommandVehicleLogout))
	return v, func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestStyleLeave(t *testing.T) {
	from, to := newPeer(t, nil), newPeer(t, nil)
	v, stop := leaving(t, from, portOf(to))
	require.NotNil(t, to.next(codec.CommandVehicleLogin))
	require.NotNil(t, to.next(codec.CommandRealtime))
	stop()
	require.NotNil(t, to.next(codec.CommandVehicleLogout))

	from.drain()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	require.NotNil(t, to.next(codec.CommandVehicleLogin), "it stays where it went")
	require.NotNil(t, to.next(codec.CommandRealtime))
	cancel()
	require.NoError(t, <-done)
	require.Empty(t, from.drain())
}

// TestStyleLeaveReturns: nobody takes the vehicle there, so it is back, says so, and holds its old
// parameters again.
func TestStyleLeaveReturns(t *testing.T) {
	from, refuses := newPeer(t, nil), newPeer(t, func(f codec.Frame) []byte {
		return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
	})
	v, stop := leaving(t, from, portOf(refuses))
	require.NotNil(t, from.next(codec.CommandVehicleLogin))
	a := from.next(codec.CommandParamSet)
	require.Equal(t, codec.FlagError, a.Flag())
	require.Len(t, a.Unit(), codec.TimeSize)
	require.NotNil(t, from.next(codec.CommandRealtime))
	stop()
	require.Equal(t, "gateway.example:8999", v.rig.self.platform())
	require.Equal(t, v.rig.cfg.Heartbeat, v.rig.self.beatPeriod)
}
