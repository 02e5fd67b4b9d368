package gateway

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/trace"
)

// next is the next event of a follower, which must be of the kind and about the command.
func next(t *testing.T, f *trace.Follower, kind, command string) trace.Event {
	t.Helper()
	select {
	case e, ok := <-f.Events():
		require.True(t, ok, "the trace has ended")
		require.Equal(t, kind+" "+command, e.Kind+" "+e.Command)
		return e
	case <-time.After(wait):
		require.Fail(t, "no event", "%s %s", kind, command)
		return trace.Event{}
	}
}

// TestTrace follows one vehicle of two: its frames, bad ones, our answers when they leave, commands and their answers.
func TestTrace(t *testing.T) {
	h := newHouse(t, nil)
	f, err := h.g.opt.Trace.Follow(codec.MakeVIN([]byte(vin1)))
	require.NoError(t, err)
	defer f.Close()
	other := h.login(t, vin2)
	v := h.login(t, vin1)

	e := next(t, f, "in", "vehicleLogin")
	require.Empty(t, e.Session, "it has none yet")
	require.Equal(t, v.nc.LocalAddr().String(), e.Remote)
	require.Equal(t, len(v.loginFrame()), e.Bytes)
	require.JSONEq(t, `"`+vin1+`"`, field(t, e.Frame, "vin"))
	e = next(t, f, "out", "vehicleLogin")
	require.Equal(t, "success", e.Flag)
	require.NotNil(t, e.Took)
	id := h.sessions.Get(codec.MakeVIN([]byte(vin1))).IDString()
	require.Equal(t, id, e.Session)

	h.sink.hold.Store(true) // an answer is told when it leaves
	v.send(v.realtime(1))
	e = next(t, f, "in", "realtime")
	require.Equal(t, id, e.Session)
	require.NotEmpty(t, e.Raw)
	eventually(t, "published", func() bool { return h.sink.count() == 3 })
	require.Empty(t, f.Events())
	h.sink.hold.Store(false)
	h.sink.confirm(1, false)
	next(t, f, "out", "realtime")
	v.answer(codec.CommandRealtime)

	other.send(other.realtime(1)) // somebody else's
	other.answer(codec.CommandRealtime)
	bad := v.realtime(2)
	bad[len(bad)-1] ^= 1
	v.send(bad)
	require.Equal(t, "check", next(t, f, "bad", "").Reason)

	s := h.sessions.Get(codec.MakeVIN([]byte(vin1)))
	s.Link.Send(v.frame(codec.CommandParamQuery, codec.FlagCommand, append(wireTime(at), 1, 1)), nil)
	require.Nil(t, next(t, f, "out", "paramQuery").Took)
	v.answer(codec.CommandParamQuery)
	v.send(v.frame(codec.CommandParamQuery, codec.FlagSuccess, append(wireTime(at), 0)))
	require.NotNil(t, next(t, f, "in", "paramQuery").Took, "since the command left")
	require.Zero(t, f.Dropped())

	f.Close()
	v.send(v.realtime(3))
	v.answer(codec.CommandRealtime)
	_, open := <-f.Events()
	require.False(t, open)
	require.Nil(t, h.g.opt.Trace.Active(), "nobody pays any more")
}

// TestTraceMasksSecrets: a platform's own login shows neither password nor bytes, and its vehicle has its own session.
func TestTraceMasksSecrets(t *testing.T) {
	h := newHouse(t, nil)
	of := func(vin string) *trace.Follower {
		f, err := h.g.opt.Trace.Follow(codec.MakeVIN([]byte(vin)))
		require.NoError(t, err)
		t.Cleanup(f.Close)
		return f
	}
	platform, vehicle := of(platformCode), of(vin1)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	p.answer(codec.CommandPlatformLogin)
	e := next(t, platform, "in", "platformLogin")
	require.Empty(t, e.Raw)
	require.NotContains(t, string(e.Frame), "test-password")
	require.NotContains(t, string(e.Frame), "746573742d70617373776f7264")
	v := *p
	v.vin = vin1
	p.send(v.realtime(1))
	p.answer(codec.CommandRealtime)
	next(t, vehicle, "in", "realtime")
	e = next(t, vehicle, "out", "realtime")
	require.Equal(t, platformCode, e.Platform)
	require.Equal(t, h.sessions.Get(codec.MakeVIN([]byte(vin1))).IDString(), e.Session)
}

func field(t *testing.T, object json.RawMessage, key string) string {
	t.Helper()
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &all))
	return string(all[key])
}

// lockedBuffer is written by loops while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestLogLinesNameTheSession: what is logged about a connection says which session it is, to the end.
func TestLogLinesNameTheSession(t *testing.T) {
	var log lockedBuffer
	h := newHouse(t, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	line := func(message string) (all map[string]any) {
		t.Helper()
		eventually(t, message, func() bool {
			for l := range strings.Lines(log.String()) {
				if strings.Contains(l, `"msg":"`+message+`"`) {
					require.NoError(t, json.Unmarshal([]byte(l), &all))
					return true
				}
			}
			return false
		})
		return all
	}
	v := h.login(t, vin1)
	id := h.sessions.Get(codec.MakeVIN([]byte(vin1))).IDString()
	bad := v.realtime(1)
	bad[len(bad)-1] ^= 1
	v.send(bad)
	l := line("bad frame")
	require.Equal(t, []any{vin1, id, v.nc.LocalAddr().String(), "check"}, []any{l["vin"], l["session"], l["remote"], l["reason"]})
	require.NoError(t, v.nc.Close())
	l = line("connection closed")
	require.Equal(t, []any{id, "peerClosed"}, []any{l["session"], l["reason"]})

	stranger := h.dial(t, vinUnknown)
	stranger.send(stranger.loginFrame())
	stranger.answer(codec.CommandVehicleLogin)
	l = line("login refused")
	require.Equal(t, []any{vinUnknown, nil, "notRegistered"}, []any{l["vin"], l["session"], l["reason"]})

	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	p.answer(codec.CommandPlatformLogin)
	unknown := *p
	unknown.vin = vinUnknown
	p.send(unknown.realtime(1))
	p.answer(codec.CommandRealtime)
	l = line("vehicle of a platform refused")
	require.Equal(t, []any{vinUnknown, platformCode}, []any{l["vin"], l["platform"]})
	require.Regexp(t, "^[0-9a-f]{16}$", l["session"], "the platform link's")
}
