package session

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func TestIDs(t *testing.T) {
	require.Equal(t, "000000000000002a", FormatID(42))
	require.Equal(t, "ffffffffffffffff", FormatID(1<<64-1))
	seen := make(map[uint64]bool)
	for range 10_000 {
		id := NewID()
		require.NotZero(t, id)
		require.False(t, seen[id])
		seen[id] = true
		require.Regexp(t, "^[0-9a-f]{16}$", FormatID(id))
	}
}

func TestSessionSeen(t *testing.T) {
	s := login(vin(t, "LTEST000000000001"), &testLink{})
	s.LoginAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.Equal(t, s.LoginAt, s.LastSeen(), "before the first frame")
	at := s.LoginAt.Add(90 * time.Second)
	s.Seen(s.LoginAt.Add(time.Second))
	s.Seen(at)
	require.True(t, s.LastSeen().Equal(at))
	require.EqualValues(t, 2, s.Frames())
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Seen(at) }))
}

func TestSessionInfo(t *testing.T) {
	s := login(vin(t, "LTEST000000000001"), &testLink{platform: "P1"})
	s.ID = 42
	s.LoginAt = time.Date(2026, 1, 2, 11, 4, 5, 678_900_000, codec.Beijing)
	s.Seen(s.LoginAt.Add(time.Minute))
	text, err := json.Marshal(s.Info())
	require.NoError(t, err)
	require.JSONEq(t, `{"session":"000000000000002a","vin":"LTEST000000000001","productKey":"gbt32960","platform":"P1",
		"edition":2016,"iccid":"89860000000000000001","remote":"192.0.2.1:40000",
		"loginAt":"2026-01-02T03:04:05.678Z","lastSeenAt":"2026-01-02T03:05:05.678Z","frames":1}`, string(text))

	s.Seen(s.LoginAt.Truncate(time.Second))
	text, err = json.Marshal(s.Info())
	require.NoError(t, err)
	require.Contains(t, string(text), `"lastSeenAt":"2026-01-02T03:04:05.000Z"`, "always three decimals")
}

func TestICCID(t *testing.T) {
	require.Equal(t, "89860000000000000001", MakeICCID([]byte("89860000000000000001")).String())
	require.Equal(t, "8986", MakeICCID([]byte("8986 \x00 \x00")).String())
	require.Equal(t, MakeICCID([]byte("8986")), MakeICCID([]byte("8986 \x00 ")))
	require.Equal(t, "", MakeICCID(nil).String())
	require.Equal(t, ICCID{}, MakeICCID([]byte("                      ")))
}

func TestPresenceEventJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 11, 4, 5, 6_700_000, codec.Beijing)
	for _, c := range []struct {
		name  string
		event PresenceEvent
		json  string
		kind  string
	}{
		{"vehicle link",
			PresenceEvent{VIN: vin(t, "LTEST000000000001"), ProductKey: "gbt32960", Session: 42, Node: "n1", Online: true, At: at, Reason: ReasonLogin},
			`{"vin":"LTEST000000000001","productKey":"gbt32960","session":"000000000000002a","node":"n1","at":"2026-01-02T03:04:05.006Z","reason":"login"}`, "online"},
		{"platform link",
			PresenceEvent{VIN: vin(t, "X"), ProductKey: "k", Platform: "00000000000002111", Session: 1<<64 - 1, Node: "n", At: at, Reason: ReasonGatewayRestart},
			`{"vin":"X","productKey":"k","platform":"00000000000002111","session":"ffffffffffffffff","node":"n","at":"2026-01-02T03:04:05.006Z","reason":"gatewayRestart"}`, "offline"},
		{"text that must be escaped",
			PresenceEvent{VIN: vin(t, `a"b\c`), ProductKey: "k\x01\x7f\xff", Session: 1, Node: "北京", At: at, Reason: ReasonIdle},
			`{"vin":"a\"b\\c","productKey":"k\u0001\u007F` + "\uFFFD" + `","session":"0000000000000001","node":"北京","at":"2026-01-02T03:04:05.006Z","reason":"idle"}`, "offline"},
		{"a VIN in GB 18030",
			PresenceEvent{VIN: codec.MakeVIN([]byte("\xBE\xA9A1")), Session: 1, At: at, Reason: ReasonIdle},
			`{"vin":"京A1","productKey":"","session":"0000000000000001","node":"","at":"2026-01-02T03:04:05.006Z","reason":"idle"}`, "offline"},
		{"a platform in GB 18030",
			PresenceEvent{VIN: vin(t, "X"), Platform: "\xBE\xA9\x01", Session: 1, At: at, Reason: ReasonIdle},
			`{"vin":"X","productKey":"","platform":"京\u0001","session":"0000000000000001","node":"","at":"2026-01-02T03:04:05.006Z","reason":"idle"}`, "offline"},
		{"a VIN that is no text",
			PresenceEvent{VIN: codec.MakeVIN([]byte{1, 2, 0xFF}), Session: 1, At: at, Reason: ReasonIdle},
			`{"vinHex":"0102ff0000000000000000000000000000","productKey":"","session":"0000000000000001","node":"","at":"2026-01-02T03:04:05.006Z","reason":"idle"}`, "offline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.json, string(c.event.AppendJSON(nil)))
			require.True(t, json.Valid([]byte(c.json)))
			require.Equal(t, c.kind, c.event.Kind())
		})
	}
}

func TestPresenceEventJSONDoesNotAllocate(t *testing.T) {
	e := PresenceEvent{VIN: vin(t, "LTEST000000000001"), ProductKey: "gbt32960", Platform: "P1", Session: 42, Node: "n1", At: time.Now(), Reason: ReasonLogin}
	dst := make([]byte, 0, 512)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = e.AppendJSON(dst[:0]) }))
}

func TestPace(t *testing.T) {
	s := &Session{}
	now := time.Unix(1_000_000, 0)
	allowed := func(n int) (yes int) {
		for range n {
			if s.Pace(now, 100*time.Millisecond, 5) {
				yes++
			}
		}
		return yes
	}
	require.Equal(t, 5, allowed(20), "a burst")
	now = now.Add(100 * time.Millisecond)
	require.Equal(t, 1, allowed(20), "then one for each interval")
	now = now.Add(250 * time.Millisecond)
	require.Equal(t, 2, allowed(20))
	now = now.Add(time.Hour)
	require.Equal(t, 5, allowed(20), "silence earns no more than a burst")
}
