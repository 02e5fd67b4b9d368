package gateway

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

func TestRecordHoldsTheEnvelope(t *testing.T) {
	for _, payload := range []sink.Payload{sink.PayloadJSON, sink.PayloadBoth, sink.PayloadRaw} {
		t.Run(string(payload), func(t *testing.T) {
			h := newHouse(t, func(o *Options) { o.Payload = payload; o.Node = `no"de` })
			p := h.login(t, vin1)
			frame := p.realtime(1)
			p.send(frame)
			p.answer(codec.CommandRealtime)
			k := h.sink.records()[1]
			s := h.sessions.Get(codec.MakeVIN([]byte(vin1)))
			require.Equal(t, s.ID, k.rec.Session)
			if payload == sink.PayloadRaw {
				require.True(t, k.rec.Raw)
				require.Equal(t, string(frame), k.body)
				return
			}
			var got map[string]any
			require.NoError(t, json.Unmarshal([]byte(k.body), &got), k.body)
			require.Equal(t, "realtime", got["command"])
			require.Equal(t, `no"de`, got["node"])
			require.Equal(t, s.IDString(), got["session"])
			require.Equal(t, p.nc.LocalAddr().String(), got["remote"])
			at, err := time.Parse("2006-01-02T15:04:05.000Z", got["receivedAt"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), at, wait)
			if payload == sink.PayloadBoth {
				require.True(t, strings.HasPrefix(got["raw"].(string), "232302fe"))
			} else {
				require.NotContains(t, got, "raw")
			}
		})
	}
}

// TestRecordsOfOneReadHaveTheirOwnEnvelope: what arrives together shares the envelope only where it is the same.
func TestRecordsOfOneReadHaveTheirOwnEnvelope(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, platformCode)
	v, w := *p, *p
	v.vin, w.vin = vin1, vin2
	p.send(append(slices.Concat(p.platformLogin("test-password"), v.loginFrame(), w.loginFrame(), v.realtime(1), w.realtime(1), v.realtime(2)), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil)...))
	for range 6 {
		_, err := p.in.ReadFrame()
		require.NoError(t, err)
	}
	direct := h.login(t, vin1)
	direct.send(direct.realtime(1))
	direct.answer(codec.CommandRealtime)

	all := h.sink.records()
	require.Len(t, all, 8)
	for i, k := range all {
		var got struct{ VIN, Session, Platform, Remote string }
		require.NoError(t, json.Unmarshal([]byte(k.body), &got), k.body)
		require.Equal(t, k.rec.VIN.String(), got.VIN)
		require.Equal(t, k.rec.Remote.String(), got.Remote, "record %d", i)
		require.Equal(t, k.rec.Platform, got.Platform, "record %d", i)
		require.Equal(t, string(session.AppendID(nil, k.rec.Session)), got.Session, "record %d", i)
	}
	require.Equal(t, direct.nc.LocalAddr(), net.TCPAddrFromAddrPort(all[7].rec.Remote))
	require.NotEqual(t, all[3].rec.Session, all[4].rec.Session)
	require.Equal(t, platformCode, all[5].rec.Platform)
	require.Empty(t, all[7].rec.Platform)
}

// faultySink faults on reports that may repeat others.
type faultySink struct{ sink.Sink }

func (s faultySink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) bool {
	if r.Unsure {
		panic("a fault in the sink")
	}
	return s.Sink.Publish(r, to, ticket)
}

// TestAFaultLeavesNothingToOthers: what was known of the report that the loop came to grief on is not told of the next frame.
func TestAFaultLeavesNothingToOthers(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Loops, o.Sink = 1, faultySink{o.Sink} })
	p := h.login(t, vin1)
	p.send(p.frame(codec.CommandReissue, codec.FlagCommand, wireTime(at)))
	p.ended()
	h.login(t, vin2)
	require.Equal(t, 2, h.sink.count())
}

// TestEnvelopeIsMadeAgain when anything in it is another's: frames before a login have the session 0 on every connection, and a
// link becomes a platform's on the way.
func TestEnvelopeIsMadeAgain(t *testing.T) {
	l := &loop{g: &Gateway{nodeJSON: []byte(`"n"`)}, now: at.UTC()}
	a, b := &conn{remote: netip.MustParseAddrPort("192.0.2.1:1")}, &conn{remote: netip.MustParseAddrPort("192.0.2.2:2")}
	want := func(c *conn, id uint64, receivedAt time.Time, more string) {
		t.Helper()
		require.Equal(t, `,"receivedAt":"`+receivedAt.UTC().Format("2006-01-02T15:04:05.000Z")+`","node":"n","session":"`+session.FormatID(id)+
			`","remote":"`+c.remote.String()+`"`+more, string(l.envelopeOf(c, id)))
	}
	want(a, 0, at, "")
	want(b, 0, at, "")
	want(b, 1, at, "")
	b.platform.Store(&platform{json: []byte(`"P"`)})
	want(b, 1, at, `,"platform":"P"`)
	l.now = l.now.Add(time.Millisecond)
	want(b, 1, at.Add(time.Millisecond), `,"platform":"P"`)
}
