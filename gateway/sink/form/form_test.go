package form_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/form"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// frames returns other people's frames of both editions, those with secrets apart.
func frames(t *testing.T) (open, secret []codec.Frame) {
	t.Helper()
	for _, name := range []string{"2016", "2025"} {
		f, err := os.Open("../../../codec/testdata/frames/" + name + ".jsonl")
		require.NoError(t, err)
		in := bufio.NewScanner(f)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			var line struct{ Hex string }
			require.NoError(t, json.Unmarshal(in.Bytes(), &line))
			b, err := hex.DecodeString(line.Hex)
			require.NoError(t, err)
			frame, err := codec.ParseFrame(b)
			switch {
			case err != nil:
			case codec.Secret(frame):
				secret = append(secret, frame)
			default:
				open = append(open, frame)
			}
		}
		require.NoError(t, in.Err())
		require.NoError(t, f.Close())
	}
	require.Greater(t, len(open), 50)
	require.NotEmpty(t, secret)
	return open, secret
}

// record is the raw record of a frame.
func record(f codec.Frame) *sink.Record {
	return &sink.Record{
		VIN: f.VIN(), Command: f.Command(), Edition: f.Edition(), Raw: true, Body: f, Node: "gw\"1", Session: 0xab12,
		ReceivedAt: time.Date(2026, 7, 1, 8, 0, 0, 123_456_789, codec.Beijing), Remote: netip.MustParseAddrPort("192.0.2.7:40123"),
		Platform: "P1", Duplicate: true,
	}
}

// stored reads a body as the stream's readers do, a second implementation of the same form.
func stored(t *testing.T, body []byte) stream.Record {
	t.Helper()
	all, err := stream.Parse("gbt32960.up.x.y", nil, body)
	require.NoError(t, err, string(body))
	require.Len(t, all, 1)
	return all[0]
}

// TestEveryFormGivesEveryOther goes from each form of a frame to each other one.
func TestEveryFormGivesEveryOther(t *testing.T) {
	open, _ := frames(t)
	for _, f := range open {
		raw := record(f)
		plain := bytes.Clone(new(form.Converter).JSON(raw, false))
		both := bytes.Clone(new(form.Converter).JSON(raw, true))
		require.Equal(t, strings.TrimSuffix(string(plain), "}")+`,"raw":"`+hex.EncodeToString(f)+`"}`, string(both))

		want := stored(t, plain)
		require.Equal(t, f.VIN(), want.VIN)
		require.Equal(t, "gw\"1", want.Node)
		require.Equal(t, uint64(0xab12), want.Session)
		require.Equal(t, "192.0.2.7:40123", want.Remote)
		require.Equal(t, "P1", want.Platform)
		require.True(t, want.Duplicate)
		want.Raw, want.Body = true, f
		require.Equal(t, string(want.AppendJSON(nil, nil)), string(plain))

		for _, from := range [][]byte{plain, both} {
			r := *raw
			r.Raw, r.Body = false, from
			var c form.Converter
			got, ok := c.Frame(&r)
			require.True(t, ok)
			require.Equal(t, []byte(f), got)
			require.Equal(t, string(plain), string(c.JSON(&r, false)))
			require.Equal(t, string(both), string(c.JSON(&r, true)))
			require.Equal(t, c.Facts(raw), c.Facts(&r), string(from))
		}
	}
}

func TestSecretsStayOut(t *testing.T) {
	_, secret := frames(t)
	for _, f := range secret {
		var m codec.Message
		m.Decode(f)
		r := record(f)
		r.Raw, r.Body = false, m.AppendJSON(nil, codec.JSONOptions{Mask: true})
		var c form.Converter
		_, ok := c.Frame(r)
		require.False(t, ok)
		require.Equal(t, string(r.Body), string(c.JSON(r, true)))
		// Nor does a raw record give them, which no gateway makes of such a frame.
		if unit := f.Unit(); len(unit) > codec.TimeSize+2 { // behind time and serial
			require.NotContains(t, string(c.JSON(record(f), true)), hex.EncodeToString(unit[codec.TimeSize+2:]))
		}
	}
}

func TestFacts(t *testing.T) {
	frame := func(e codec.Edition, c codec.Command, enc codec.Encryption, unit string) codec.Frame {
		u, err := hex.DecodeString(unit)
		require.NoError(t, err)
		f, err := codec.AppendFrame(nil, codec.Header{Edition: e, Command: c, Flag: codec.FlagCommand,
			VIN: [codec.VINSize]byte([]byte("LTEST000000000001")), Encryption: enc}, u)
		require.NoError(t, err)
		return f
	}
	for _, c := range []struct {
		name      string
		frame     codec.Frame
		collected string
		undecoded string
	}{
		{"private item", frame(codec.Edition2016, codec.CommandRealtime, codec.EncryptionNone, "1a0701080000"+"80000107"), "2026-07-01T08:00:00+08:00", ""},
		{"reserved item: what is before it is good", frame(codec.Edition2016, codec.CommandRealtime, codec.EncryptionNone, "1a0701080000"+"80000107"+"0a01"), "2026-07-01T08:00:00+08:00", ""},
		{"cut", frame(codec.Edition2016, codec.CommandRealtime, codec.EncryptionNone, "1a0701080000"+"0401"), "2026-07-01T08:00:00+08:00", "truncated"},
		{"no time", frame(codec.Edition2016, codec.CommandRealtime, codec.EncryptionNone, "1a07"), "", "truncated"},
		{"no such month", frame(codec.Edition2016, codec.CommandRealtime, codec.EncryptionNone, "1a0d01080000"), "", ""},
		{"encrypted", frame(codec.Edition2025, codec.CommandRealtime, codec.EncryptionSM4, "00112233445566778899"), "", "encrypted"},
		{"private command", frame(codec.Edition2016, 0xC1, codec.EncryptionNone, "1a0701080000"), "", "unknownCommand"},
	} {
		var conv form.Converter
		raw := record(c.frame)
		require.Equal(t, form.Facts{Collected: c.collected, Undecoded: c.undecoded}, conv.Facts(raw), c.name)
		r := *raw
		r.Raw, r.Body = false, bytes.Clone(conv.JSON(raw, false))
		require.Equal(t, form.Facts{Collected: c.collected, Undecoded: c.undecoded}, conv.Facts(&r), "%s: %s", c.name, r.Body)
	}
}

func TestJSONThatIsTooLarge(t *testing.T) {
	item := append([]byte{0x80, 0x27, 0x10}, make([]byte, 10000)...)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte("LTEST000000000001")), Encryption: codec.EncryptionNone}, append(codec.AppendTime(nil, time.Now()), append(item,
		bytes.Repeat([]byte{0x80, 0, 0}, 200)...)...))
	require.NoError(t, err)
	const limit = 24_000
	raw := record(f)
	long := new(form.Converter).JSON(raw, false)
	require.Greater(t, len(long), limit)
	r := *raw
	r.Raw, r.Body = false, long
	for _, in := range []*sink.Record{raw, &r} {
		c := form.Converter{Max: limit}
		short := bytes.Clone(c.JSON(in, false))
		require.LessOrEqual(t, len(short), limit)
		r2 := *raw
		r2.Raw, r2.Body = false, short
		require.Equal(t, "tooLarge", c.Facts(&r2).Undecoded)
		got, ok := c.Frame(&r2)
		require.True(t, ok)
		require.Equal(t, f, got)
	}
}

func TestWhatIsNoFrame(t *testing.T) {
	open, _ := frames(t)
	r := record(open[0])
	r.Body = []byte("not a frame")
	var c form.Converter
	_, ok := c.Frame(r)
	require.False(t, ok)
	require.Equal(t, form.NoFrame, c.Facts(r).Undecoded)
	out := c.JSON(r, true)
	require.True(t, json.Valid(out), string(out))
	require.Contains(t, string(out), hex.EncodeToString([]byte("not a frame")))
	for _, body := range []string{"", "{", "{}", `{"raw":"zz"}`, `{"a":`, `{"a":"\"`, "[]", `{"problems":[`} {
		r.Raw, r.Body = false, []byte(body)
		_, ok = c.Frame(r)
		require.False(t, ok)
		c.Facts(r)
		c.JSON(r, true)
		c.JSON(r, false)
	}
}

func TestHeaders(t *testing.T) {
	open, _ := frames(t)
	var r *sink.Record
	for _, f := range open {
		if f.Command() == codec.CommandRealtime && f.Edition() == codec.Edition2016 {
			r = record(f)
			break
		}
	}
	got := map[string]string{}
	form.Facts{Collected: "c", Undecoded: "encrypted"}.Headers(r, func(k, v string) { got[k] = v })
	require.Equal(t, map[string]string{
		"edition": "2016", "command": "realtime", "vin": r.VIN.String(), "collected": "c", "received": "2026-07-01T00:00:00.123Z",
		"node": "gw\"1", "session": "000000000000ab12", "remote": "192.0.2.7:40123", "platform": "P1", "duplicate": "true", "problems": "encrypted",
	}, got)
}
