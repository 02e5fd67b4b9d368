package trace

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var vin = codec.MakeVIN([]byte("LTEST000000000001"))

func heartbeat(t *testing.T, flag codec.Flag) codec.Frame {
	t.Helper()
	b, err := codec.AppendFrame(nil, codec.Header{Edition: 2016, Command: codec.CommandHeartbeat, Flag: flag, VIN: vin, Encryption: codec.EncryptionNone}, nil)
	require.NoError(t, err)
	return codec.Frame(b)
}

// TestSlowReader: what a follower does not read is dropped and counted, and costs nobody a wait.
func TestSlowReader(t *testing.T) {
	var h Hub
	f, err := h.Follow(vin)
	require.NoError(t, err)
	defer f.Close()
	for range queue + 10 {
		h.Active().In(Link{Session: 1}, time.Now(), heartbeat(t, codec.FlagCommand))
	}
	require.EqualValues(t, 10, f.Dropped())
	require.Zero(t, f.Dropped(), "told once")
	require.Equal(t, Stats{Followers: 1, Dropped: 10}, h.Stats())
	require.Len(t, f.Events(), queue)
}

func TestTook(t *testing.T) {
	var h Hub
	f, err := h.Follow(vin)
	require.NoError(t, err)
	defer f.Close()
	at := time.Unix(1_800_000_000, 0)
	here := func(codec.VIN) Link { return Link{Session: 1} }
	two := append(append([]byte("garbage"), heartbeat(t, codec.FlagSuccess)...), heartbeat(t, codec.FlagSuccess)...)
	h.Active().In(here(vin), at, heartbeat(t, codec.FlagCommand))
	h.Active().In(here(vin), at.Add(time.Second), heartbeat(t, codec.FlagCommand))
	h.Active().Out(here, at.Add(1500*time.Millisecond), append(two, heartbeat(t, codec.FlagSuccess)...))
	var took []float64
	for range 5 {
		if e := <-f.Events(); e.Took != nil {
			took = append(took, *e.Took)
		}
	}
	require.Equal(t, []float64{1500, 500}, took, "in order; an answer to nothing has no time")
	for range 10 * maxAsked {
		h.Active().In(here(vin), at, heartbeat(t, codec.FlagCommand))
	}
	require.Len(t, f.asked[codec.CommandHeartbeat], maxAsked, "what nobody answers is not remembered for ever")
}

func TestFollowers(t *testing.T) {
	var h Hub
	require.Nil(t, h.Active())
	h.Presence(session.PresenceEvent{VIN: vin, Online: true}) // nobody listens
	var all []*Follower
	for range maxFollowed {
		f, err := h.Follow(vin)
		require.NoError(t, err)
		all = append(all, f)
	}
	_, err := h.Follow(vin)
	require.ErrorIs(t, err, ErrTooMany)
	all[0].Close()
	all[0].Close()
	_, err = h.Follow(vin)
	require.NoError(t, err)
	require.False(t, h.Active().Follows(codec.VIN{1}))

	h.Presence(session.PresenceEvent{VIN: vin, Session: 0xAB, At: time.Now(), Reason: session.ReasonIdle})
	e := <-all[1].Events()
	require.Equal(t, []string{"offline", "idle", "00000000000000ab"}, []string{e.Kind, e.Reason, e.Session})

	h.Close()
	_, open := <-all[1].Events()
	require.False(t, open)
	require.Nil(t, h.Active())
	_, err = h.Follow(vin)
	require.ErrorIs(t, err, ErrClosed)
	all[1].Close() // after the hub
}
