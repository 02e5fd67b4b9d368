package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

// TestPlatformBarred: the links of a platform that is deleted, or gets another password, are cut at once, and its vehicles go
// offline. Vehicles that are connected themselves stay.
func TestPlatformBarred(t *testing.T) {
	h := newHouse(t, nil)
	own := h.login(t, vin1)
	link := func(password string) *peer {
		p := h.dial(t, platformCode)
		p.send(p.platformLogin(password))
		require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandPlatformLogin).Flag())
		return p
	}
	busy, idle, loggedOut := link("test-password"), link("test-password"), link("test-password")
	stranger := h.dial(t, vin2)
	car := *busy
	car.vin = vin2
	busy.send(car.loginFrame())
	busy.answer(codec.CommandVehicleLogin)
	loggedOut.send(loggedOut.frame(codec.CommandPlatformLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
	loggedOut.answer(codec.CommandPlatformLogout)

	require.NoError(t, h.platforms.Create(t.Context(), platformCode, "tester", "test-password", true), "nothing changes")
	busy.send(car.realtime(1))
	busy.answer(codec.CommandRealtime)
	require.NoError(t, h.platforms.Create(t.Context(), platformCode, "tester", "new-password", true))
	busy.ended()
	idle.ended()
	eventually(t, "closed", func() bool { return h.g.connections.Load() == 3 })
	again := link("new-password")
	again.send(car.realtime(2))
	again.answer(codec.CommandRealtime)
	require.NoError(t, h.platforms.Delete(t.Context(), platformCode))
	again.ended()
	eventually(t, "offline", func() bool { return h.sessions.Get(codec.MakeVIN([]byte(vin2))) == nil })

	events := map[string][]string{}
	for _, e := range h.presence() {
		events[e.VIN.String()] = append(events[e.VIN.String()], e.Kind()+" "+string(e.Reason))
	}
	require.Equal(t, map[string][]string{vin1: {"online login"}, vin2: {"online login", "offline kicked", "online login", "offline kicked"}}, events)
	own.send(own.realtime(1))
	own.answer(codec.CommandRealtime)
	loggedOut.send(loggedOut.platformLogin("new-password"))
	require.Equal(t, codec.FlagError, loggedOut.answer(codec.CommandPlatformLogin).Flag(), "it is nobody's link any more, and stays")
	loggedOut.ended()
	stranger.send(stranger.loginFrame())
	require.Equal(t, codec.FlagSuccess, stranger.answer(codec.CommandVehicleLogin).Flag())
	require.Zero(t, h.sessions.ClosePlatform(platformCode, session.ReasonKicked), "a refused login leaves no link behind")
}

// TestPlatformDeletedWhileItLogsIn: however a login and the deletion meet, no link stays open.
func TestPlatformDeletedWhileItLogsIn(t *testing.T) {
	h := newHouse(t, nil)
	for range 50 {
		p := h.dial(t, platformCode)
		p.send(p.platformLogin("test-password"))
		require.NoError(t, h.platforms.Delete(t.Context(), platformCode))
		require.NoError(t, p.nc.SetReadDeadline(time.Now().Add(wait)))
		_, err := io.Copy(io.Discard, p.nc)
		require.NoError(t, err, "refused, or let in and cut")
		_ = p.nc.Close()
		require.NoError(t, h.platforms.Create(t.Context(), platformCode, "tester", "test-password", false))
	}
}

// TestPlatformSealKey: a platform whose password lies under another seal key is refused, and the log says why and what to do.
func TestPlatformSealKey(t *testing.T) {
	kv := memkv.New()
	var platforms [2]*session.Platforms
	for i := range platforms {
		box, err := seal.New(bytes.Repeat([]byte{byte(i)}, seal.KeySize))
		require.NoError(t, err)
		platforms[i], err = session.OpenPlatforms(t.Context(), kv, box, session.PlatformsOptions{})
		require.NoError(t, err)
		defer platforms[i].Close()
		if i == 0 {
			require.NoError(t, platforms[0].Create(t.Context(), platformCode, "tester", "test-password", false))
		}
	}
	var log lockedBuffer
	h := newHouse(t, func(o *Options) {
		o.Gate.Platforms = platforms[1]
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	require.Equal(t, codec.FlagError, p.answer(codec.CommandPlatformLogin).Flag())
	p.ended()
	require.Regexp(t, `level=ERROR msg="login refused: the platform's password was sealed with another seal key" `+
		`remote=\S+ platform=`+platformCode+` kind=platform reason=sealKey remedy="put that key back .*, or create the platform again .*"\n`, log.String())
	require.Equal(t, 1.0, h.meter(t, "tboxgate_logins_total", "kind", "platform", "result", "sealKey"))
}
