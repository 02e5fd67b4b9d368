package vehicle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func testPlatform(addr string, e codec.Edition, vehicles int) PlatformConfig {
	cfg := PlatformConfig{Code: "TESTPLATFORM00001", User: "tester", Password: "test-password", Vehicle: quick(addr, e)}
	cfg.Vehicle.VIN, cfg.Vehicle.Heartbeat = "", 0
	for i := range vehicles {
		cfg.Vehicles = append(cfg.Vehicles, fmt.Sprintf("LTEST%012d", i))
	}
	return cfg
}

func TestPlatformRelays(t *testing.T) {
	for _, e := range editions {
		p := newPeer(t, nil)
		cfg := testPlatform(p.addr, e, 5)
		cfg.Vehicle.Reports = 3
		platform, err := NewPlatform(cfg)
		require.NoError(t, err)
		require.NoError(t, platform.Run(t.Context()))
		frames := p.drain()
		require.Len(t, frames, 1+5+15+5+1)

		var m codec.Message
		m.Decode(frames[0])
		require.Empty(t, m.Problems())
		login := m.Body.(*codec.PlatformLogin)
		require.Equal(t, "TESTPLATFORM00001", frames[0].VIN().String())
		require.Equal(t, uint16(1), login.Serial)
		require.Equal(t, "tester", codec.Text(login.Username[:]))
		require.Equal(t, "test-password", codec.Text(login.Password[:]))

		reports := map[string]int{}
		for i, f := range frames {
			m.Decode(f)
			require.Empty(t, m.Problems())
			switch {
			case i == 0:
			case i <= 5:
				require.Equal(t, codec.CommandVehicleLogin, f.Command())
				require.Equal(t, cfg.Vehicles[i-1], f.VIN().String())
			case i <= 20:
				require.Equal(t, codec.CommandRealtime, f.Command())
				reports[f.VIN().String()]++
			case i <= 25:
				require.Equal(t, codec.CommandVehicleLogout, f.Command())
			default:
				require.Equal(t, codec.CommandPlatformLogout, f.Command())
				require.Equal(t, "TESTPLATFORM00001", f.VIN().String())
				require.Equal(t, uint16(1), m.Body.(*codec.Logout).Serial)
			}
		}
		for _, vin := range cfg.Vehicles {
			require.Equal(t, 3, reports[vin])
		}
		s := platform.Stats()
		require.Zero(t, s.Errors())
		require.EqualValues(t, 15, s.Reports)
		require.Equal(t, s.Sent, s.Acked)
	}
}

func TestPlatformLoginRefused(t *testing.T) {
	p := newPeer(t, func(f codec.Frame) []byte {
		return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
	})
	platform, err := NewPlatform(testPlatform(p.addr, codec.Edition2016, 1))
	require.NoError(t, err)
	var refused *RefusedError
	require.ErrorAs(t, platform.Run(t.Context()), &refused)
	require.Equal(t, RefusedError{VIN: "TESTPLATFORM00001", Command: "platformLogin", Flag: codec.FlagError}, *refused)
}

// TestPlatformRoutesCommands: a command goes to the vehicle it names; for a stranger there is no
// answer.
func TestPlatformRoutesCommands(t *testing.T) {
	p := newPeer(t, nil)
	cfg := testPlatform(p.addr, codec.Edition2016, 3)
	cfg.Vehicle.Heartbeat = 3 * time.Millisecond
	platform, err := NewPlatform(cfg)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- platform.Run(t.Context()) }()
	conn := <-p.conns
	require.NotNil(t, p.next(codec.CommandRealtime))
	stranger := order(t, codec.Edition2016, codec.CommandControl, 3)
	copy(stranger[4:], "LTEST999999999999")
	stranger[len(stranger)-1] = codec.Check(stranger[2 : len(stranger)-1])
	ours := order(t, codec.Edition2016, codec.CommandControl, 3)
	copy(ours[4:], cfg.Vehicles[2])
	ours[len(ours)-1] = codec.Check(ours[2 : len(ours)-1])
	_, err = conn.Write(append(stranger, ours...))
	require.NoError(t, err)
	answer := p.next(codec.CommandControl)
	require.Equal(t, cfg.Vehicles[2], answer.VIN().String())
	require.Equal(t, codec.FlagSuccess, answer.Flag())
	beat := p.next(codec.CommandHeartbeat)
	require.Equal(t, "TESTPLATFORM00001", beat.VIN().String())
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	require.EqualValues(t, 1, platform.Stats().Ignored)
	require.EqualValues(t, 1, platform.Stats().Commands)
}

func TestPlatformConfigErrors(t *testing.T) {
	for want, change := range map[string]func(*PlatformConfig){
		"vehicle: a platform needs vehicles":                              func(c *PlatformConfig) { c.Vehicles = nil },
		"vehicle: the platform has LTEST000000000000 twice":               func(c *PlatformConfig) { c.Vehicles = append(c.Vehicles, c.Vehicles[0]) },
		`vehicle: the platform's code "" has 0 bytes, 1 to 17 are wanted`: func(c *PlatformConfig) { c.Code = "" },
		"vehicle: Addr is missing":                                        func(c *PlatformConfig) { c.Vehicle.Addr = "" },
	} {
		cfg := testPlatform("127.0.0.1:1", codec.Edition2016, 2)
		change(&cfg)
		_, err := NewPlatform(cfg)
		require.EqualError(t, err, want)
	}
	cfg := testPlatform("127.0.0.1:1", codec.Edition2016, 2)
	cfg.User = "a name of many bytes"
	_, err := NewPlatform(cfg)
	require.ErrorIs(t, err, codec.ErrText)
}
