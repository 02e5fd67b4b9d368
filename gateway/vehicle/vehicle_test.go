package vehicle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

const testVIN = "LTEST000000000001"

// quick is a vehicle for tests: it reports every 2 ms.
func quick(addr string, e codec.Edition) Config {
	return Config{Addr: addr, VIN: testVIN, Edition: e, Period: 2 * time.Millisecond, Heartbeat: 5 * time.Millisecond,
		AnswerTimeout: 10 * time.Second, Cells: 100, Probes: 20}
}

func newVehicle(t *testing.T, cfg Config) *Vehicle {
	t.Helper()
	v, err := New(cfg)
	require.NoError(t, err)
	return v
}

var editions = []codec.Edition{codec.Edition2016, codec.Edition2025}

// drain returns the frames that have come so far.
func (p *peer) drain() []codec.Frame {
	var all []codec.Frame
	for {
		select {
		case f := <-p.frames:
			all = append(all, f)
		default:
			return all
		}
	}
}

func TestVehicleDrives(t *testing.T) {
	for _, e := range editions {
		p := newPeer(t, nil)
		cfg := quick(p.addr, e)
		cfg.Reports = 20
		v := newVehicle(t, cfg)
		for run := range 2 {
			before := v.Stats()
			require.NoError(t, v.Run(t.Context()))
			frames := p.drain()
			var m codec.Message
			for _, f := range frames {
				require.Equal(t, e, f.Edition())
				require.Equal(t, testVIN, f.VIN().String())
				m.Decode(f)
				require.Empty(t, m.Problems(), "%x", []byte(f))
				again, err := m.Append(nil)
				require.NoError(t, err)
				require.True(t, bytes.Equal(f, again))
			}
			serial := uint16(1 + run)
			m.Decode(frames[0])
			require.Equal(t, codec.CommandVehicleLogin, m.Command)
			switch login := m.Body.(type) {
			case *codec.VehicleLogin2016:
				require.Equal(t, serial, login.Serial)
			case *codec.VehicleLogin2025:
				require.Equal(t, serial, login.Serial)
			}
			m.Decode(frames[len(frames)-1])
			require.Equal(t, codec.CommandVehicleLogout, m.Command)
			require.Equal(t, serial, m.Body.(*codec.Logout).Serial)

			s := v.Stats()
			require.EqualValues(t, 20, s.Reports-before.Reports)
			require.Positive(t, s.Heartbeats-before.Heartbeats)
			require.EqualValues(t, len(frames), s.Sent-before.Sent)
			require.EqualValues(t, 22+s.Heartbeats-before.Heartbeats, len(frames))
			require.Equal(t, s.Sent, s.Acked)
			require.Zero(t, s.Errors())
			require.Equal(t, s.Sent, s.RTT.Count())
			require.Positive(t, s.RTT.Max())
		}
	}
}

func TestVehicleTakesEveryFormOfAnswer(t *testing.T) {
	echo := func(f codec.Frame) []byte {
		if len(f.Unit()) == 0 { // EMQX answers a heartbeat with its time
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, codec.AppendTime(nil, time.Now()))
		}
		unit := append(codec.AppendTime(nil, time.Now().Add(time.Hour)), f.Unit()[codec.TimeSize:]...)
		return codec.AppendAnswer(nil, f, codec.FlagSuccess, unit)
	}
	p := newPeer(t, echo)
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Reports = 10
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	s := v.Stats()
	require.Zero(t, s.Errors())
	require.Equal(t, s.Sent, s.Acked)
}

func TestVehicleLogsOutWhenTheContextEnds(t *testing.T) {
	p := newPeer(t, nil)
	v := newVehicle(t, quick(p.addr, codec.Edition2016))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	p.next(codec.CommandRealtime)
	cancel()
	require.NoError(t, <-done)
	require.NotNil(t, p.next(codec.CommandVehicleLogout))
	require.Zero(t, v.Stats().Errors())
}

func TestVehicleLoginRefused(t *testing.T) {
	for _, unit := range []bool{true, false} {
		p := newPeer(t, func(f codec.Frame) []byte {
			if unit {
				return codec.AppendAnswer(nil, f, codec.FlagVINUnknown, f.TimeBytes())
			}
			return codec.AppendAnswer(nil, f, codec.FlagVINUnknown, nil)
		})
		v := newVehicle(t, quick(p.addr, codec.Edition2025))
		err := v.Run(t.Context())
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, RefusedError{VIN: testVIN, Command: "vehicleLogin", Flag: codec.FlagVINUnknown}, *refused)
		require.EqualError(t, err, "vehicle: the vehicleLogin of LTEST000000000001 was refused: vinUnknown")
		s := v.Stats()
		require.EqualValues(t, 1, s.Refused)
		require.EqualValues(t, 1, s.Errors())
		require.Zero(t, s.Reports)
	}
}

func TestVehicleWithoutAnswer(t *testing.T) {
	p := newPeer(t, func(codec.Frame) []byte { return nil })
	cfg := quick(p.addr, codec.Edition2016)
	cfg.AnswerTimeout = 30 * time.Millisecond
	v := newVehicle(t, cfg)
	require.ErrorIs(t, v.Run(t.Context()), ErrNoAnswer)
	require.EqualValues(t, 1, v.Stats().Unanswered)
}

// TestVehicleReportsUnanswered: a gateway may leave reports unanswered; they are counted, and the
// vehicle goes on.
func TestVehicleReportsUnanswered(t *testing.T) {
	p := newPeer(t, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandRealtime {
			return nil
		}
		return usual(f)
	})
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Reports, cfg.AnswerTimeout = 5, 50*time.Millisecond
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	require.EqualValues(t, 5, v.Stats().Unanswered)
	require.EqualValues(t, 5, v.Stats().Errors())
}

// TestVehicleSeesWrongAnswers: each kind of wrong answer to a report is counted, and so is the
// report that it does not answer.
func TestVehicleSeesWrongAnswers(t *testing.T) {
	for name, wrong := range map[string]func(f codec.Frame) []byte{
		"another time": func(f codec.Frame) []byte {
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, []byte{1, 1, 1, 1, 1, 1})
		},
		"no time": func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, nil) },
		"another echo": func(f codec.Frame) []byte {
			unit := bytes.Clone(f.Unit())
			unit[len(unit)-1] ^= 1
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, unit)
		},
		"another command": func(f codec.Frame) []byte {
			other := bytes.Clone(f)
			other[2] = byte(codec.CommandReissue)
			return codec.AppendAnswer(nil, other, codec.FlagSuccess, f.TimeBytes())
		},
		"another vehicle": func(f codec.Frame) []byte {
			other := bytes.Clone(f)
			other[4] = 'X'
			return codec.AppendAnswer(nil, other, codec.FlagSuccess, f.TimeBytes())
		},
		"another edition": func(f codec.Frame) []byte {
			other := bytes.Clone(f)
			other[0], other[1] = '$', '$'
			return codec.AppendAnswer(nil, other, codec.FlagSuccess, f.TimeBytes())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, func(f codec.Frame) []byte {
				if f.Command() == codec.CommandRealtime {
					return wrong(f)
				}
				return usual(f)
			})
			cfg := quick(p.addr, codec.Edition2016)
			cfg.Reports, cfg.Heartbeat, cfg.AnswerTimeout = 1, -1, 50*time.Millisecond
			v := newVehicle(t, cfg)
			require.NoError(t, v.Run(t.Context()))
			s := v.Stats()
			require.EqualValues(t, 1, s.Wrong)
			require.EqualValues(t, 1, s.Unanswered)
			require.EqualValues(t, 2, s.Acked)
		})
	}
}

func TestVehicleReportRefused(t *testing.T) {
	p := newPeer(t, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandRealtime {
			return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
		}
		return usual(f)
	})
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Reports = 3
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	require.EqualValues(t, 3, v.Stats().Refused)
}

func TestVehicleConnectionLost(t *testing.T) {
	p := newPeer(t, nil)
	v := newVehicle(t, quick(p.addr, codec.Edition2016))
	done := make(chan error, 1)
	go func() { done <- v.Run(t.Context()) }()
	conn := <-p.conns
	p.next(codec.CommandRealtime)
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-done, ErrClosed)
}

func TestVehicleNobodyListens(t *testing.T) {
	p := newPeer(t, nil)
	p.close()
	v := newVehicle(t, quick(p.addr, codec.Edition2016))
	var netError *net.OpError
	require.ErrorAs(t, v.Run(t.Context()), &netError)
}

func TestVehicleSkipsDamage(t *testing.T) {
	p := newPeer(t, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandVehicleLogin {
			return append([]byte("\r\nnoise"), usual(f)...)
		}
		return usual(f)
	})
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Reports = 2
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	require.EqualValues(t, 1, v.Stats().Skipped)
	require.Equal(t, v.Stats().Sent, v.Stats().Acked)
}

// TestVehicleDialsAsTold: the connection is the one that Dial makes.
func TestVehicleDialsAsTold(t *testing.T) {
	broken := errors.New("no route")
	cfg := quick("gateway.example:8999", codec.Edition2016)
	cfg.Dial = func(_ context.Context, network, addr string) (net.Conn, error) {
		require.Equal(t, "tcp", network)
		require.Equal(t, "gateway.example:8999", addr)
		return nil, broken
	}
	require.ErrorIs(t, newVehicle(t, cfg).Run(t.Context()), broken)

	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.CopyN(io.Discard, theirs, 10)
		_ = theirs.Close()
	}()
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	require.ErrorIs(t, newVehicle(t, cfg).Run(t.Context()), ErrClosed)
}

func TestConfigErrors(t *testing.T) {
	good := Config{Addr: "127.0.0.1:1", VIN: testVIN}
	for name, change := range map[string]func(*Config){
		"vehicle: Addr is missing":                                          func(c *Config) { c.Addr = "" },
		`vehicle: codec: bad VIN: "" has 0 bytes, want 1 to 17`:             func(c *Config) { c.VIN = "" },
		"vehicle: edition 2019 (want 2016 or 2025)":                         func(c *Config) { c.Edition = 2019 },
		`vehicle: ICCID "123456789012345678901" is longer than 20 bytes`:    func(c *Config) { c.ICCID = "123456789012345678901" },
		"vehicle: a negative Period, AnswerTimeout, AnswerDelay or Reports": func(c *Config) { c.Period = -1 },
		"vehicle: there is no Style(11)":                                    func(c *Config) { c.Style = 11 },
		"vehicle: 2001 cells (want 1 to 2000)":                              func(c *Config) { c.Cells = 2001 },
		"vehicle: a pace of -1 (want 0.01 to 1000)":                         func(c *Config) { c.Pace = -1 },
		"vehicle: 201 temperature probes (want 1 to 200)":                   func(c *Config) { c.Probes = 201 },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg)
		require.EqualError(t, err, name)
	}
	_, err := New(good)
	require.NoError(t, err)
	for i, name := range styleNames {
		require.Equal(t, name, Style(i).String())
		parsed, err := ParseStyle(name)
		require.NoError(t, err)
		require.Equal(t, Style(i), parsed)
	}
	_, err = ParseStyle("loud")
	require.EqualError(t, err, `vehicle: unknown answer style "loud" (want time, replyTime, echo, echoRequest, controlId, empty, flagFE, error, silent, late or leave)`)
}
