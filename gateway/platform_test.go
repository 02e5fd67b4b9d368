package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
)

func TestPlatformLink(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandPlatformLogin).Flag())
	require.NotContains(t, h.sink.records()[0].body, "test-password")

	v1, v2, unknown := *p, *p, *p
	v1.vin, v2.vin, unknown.vin = vin1, vin2, vinUnknown
	p.send(v1.loginFrame(), v2.realtime(1), unknown.realtime(1), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil))
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandVehicleLogin).Flag())
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandRealtime).Flag(), "a report without login opens the session")
	require.Equal(t, codec.FlagError, p.answer(codec.CommandRealtime).Flag(), "an unregistered vehicle")
	p.answer(codec.CommandHeartbeat)
	require.Equal(t, 2, h.sessions.Len())
	recs := h.sink.records()
	require.Equal(t, platformCode, recs[len(recs)-1].rec.Platform)

	// Another link of the same platform takes one VIN over; both links live.
	q := h.dial(t, platformCode)
	q.send(q.platformLogin("test-password"))
	q.answer(codec.CommandPlatformLogin)
	w1 := *q
	w1.vin = vin1
	q.send(w1.realtime(2))
	q.answer(codec.CommandRealtime)
	require.NotSame(t, h.sessions.Get(codec.MakeVIN([]byte(vin1))).Link, h.sessions.Get(codec.MakeVIN([]byte(vin2))).Link)
	p.send(v2.realtime(3))
	p.answer(codec.CommandRealtime)

	p.send(p.frame(codec.CommandPlatformLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
	p.answer(codec.CommandPlatformLogout)
	eventually(t, "its vehicles are offline", func() bool { return h.sessions.Len() == 1 })
	_ = q.nc.Close()
	eventually(t, "all offline", func() bool { return h.sessions.Len() == 0 })
	online := map[string]int{}
	for _, e := range h.presence() {
		if e.Online {
			online[e.VIN.String()]++
		} else {
			online[e.VIN.String()]--
		}
		require.Equal(t, platformCode, e.Platform)
	}
	require.Equal(t, map[string]int{vin1: 0, vin2: 0}, online)
}

// TestPlatformBesideTheVehicle: a platform's report is no reason to throw off a vehicle that is connected itself; a login is.
func TestPlatformBesideTheVehicle(t *testing.T) {
	h := newHouse(t, nil)
	v := h.login(t, vin1)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	p.answer(codec.CommandPlatformLogin)
	p.send(v.realtime(1))
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandRealtime).Flag())
	v.send(v.realtime(2))
	v.answer(codec.CommandRealtime)
	require.Len(t, h.presence(), 1)
	p.send(v.loginFrame())
	p.answer(codec.CommandVehicleLogin)
	v.ended()
	require.Equal(t, platformCode, h.sessions.Get(codec.MakeVIN([]byte(vin1))).Platform)
}

func TestPlatformRefused(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("wrong"))
	require.Equal(t, codec.FlagError, p.answer(codec.CommandPlatformLogin).Flag())
	p.ended()
	require.Zero(t, h.sink.count())
}

// TestPlatformThatIsWrongAgainAndAgain: logins of another code on its link are bad frames in a row, as they are on a vehicle's.
func TestPlatformThatIsWrongAgainAndAgain(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.BadFrames = 4 })
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	p.answer(codec.CommandPlatformLogin)
	p.vin = "OTHERPLATFORM"
	for range 4 {
		p.send(p.platformLogin("test-password"))
		require.Equal(t, codec.FlagError, p.answer(codec.CommandPlatformLogin).Flag())
	}
	p.ended()
}
