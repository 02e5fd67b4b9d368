package stream_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// samples returns the good frames of codec/testdata, made by other people.
func samples(t testing.TB) []codec.Frame {
	t.Helper()
	var all []codec.Frame
	for _, name := range []string{"2016.jsonl", "2025.jsonl"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "codec", "testdata", "frames", name))
		require.NoError(t, err)
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			var s struct{ Hex string }
			require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
			b, err := hex.DecodeString(s.Hex)
			require.NoError(t, err)
			if f, err := codec.ParseFrame(b); err == nil {
				all = append(all, f)
			}
		}
	}
	require.Greater(t, len(all), 50)
	return all
}

// envelope is what the gateway adds; with duplicate or without.
const envelope = `"receivedAt":"2026-03-04T05:06:07.089Z","node":"gw1","session":"00c0ffee00c0ffee","remote":"192.0.2.7:50123","platform":"P \"1\""`

// envelopeHeaders is the envelope as a raw frame's headers have it.
var envelopeHeaders = map[string][]string{
	"Tboxgate-Received-At": {"2026-03-04T05:06:07.089Z"}, "Tboxgate-Node": {"gw1"}, "Tboxgate-Session": {"00c0ffee00c0ffee"},
	"Tboxgate-Remote": {"192.0.2.7:50123"}, "Tboxgate-Platform": {`P "1"`},
}

// asJSON is the JSON of a frame as the gateway stores it.
func asJSON(f codec.Frame, mask bool, more string) []byte {
	var m codec.Message
	m.Decode(f)
	b := m.AppendJSON(nil, codec.JSONOptions{Mask: mask})
	return append(b[:len(b)-1], ","+envelope+more+"}"...)
}

func TestParse(t *testing.T) {
	headers := maps.Clone(envelopeHeaders)
	headers["Tboxgate-Duplicate"] = []string{"true"}
	for i, f := range samples(t) {
		subject := stream.FrameSubject(f.VIN().String(), f.Command().Name(f.Edition()))
		json := asJSON(f, false, `,"duplicate":true`)
		both := asJSON(f, false, fmt.Sprintf(`,"duplicate":true,"raw":"%x"`, []byte(f)))
		entry := fmt.Appendf(nil, `{"rawBytes":%d,"vin":"any",%s,"duplicate":true}`+"\n%s\n", len(f), envelope, []byte(f))
		batch := fmt.Appendf(bytes.Clone(entry), "%s\n%s\n", json, both)

		var all []stream.Record
		for _, m := range []struct {
			subject string
			header  map[string][]string
			body    []byte
			n       int
		}{{subject, nil, json, 1}, {subject, nil, both, 1}, {subject, headers, f, 1}, {subject, nil, entry, 1}, {stream.BatchSubject(f.VIN()), nil, batch, 3}} {
			got, err := stream.Parse(m.subject, m.header, m.body)
			require.NoError(t, err, "sample %d: %s", i, m.body)
			require.Len(t, got, m.n)
			all = append(all, got...)
		}
		want, wantOK := f.Time()
		for k, r := range all {
			require.Equal(t, f.VIN(), r.VIN, "sample %d, form %d", i, k)
			require.Equal(t, f.Edition(), r.Edition)
			require.Equal(t, f.Command(), r.Command)
			require.Equal(t, f.Flag(), r.Flag)
			require.Equal(t, time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), r.ReceivedAt.UTC())
			require.Equal(t, uint64(0xc0ffee00c0ffee), r.Session)
			require.Equal(t, []string{"gw1", "192.0.2.7:50123", `P "1"`}, []string{r.Node, r.Remote, r.Platform})
			require.True(t, r.Duplicate)
			require.False(t, r.Masked)
			raw, err := r.AppendFrame([]byte("before"))
			require.NoError(t, err)
			require.Equal(t, "before"+string(f), string(raw))
			at, ok := r.CollectedAt()
			require.Equal(t, wantOK, ok, "sample %d, form %d: %s", i, k, json)
			require.True(t, want.Equal(at))
			object := r.AppendJSON(nil, nil)
			again, err := codec.EncodeJSON(nil, object)
			if !codec.Secret(f) || !r.Raw { // a raw secret frame is never stored; its JSON would be masked
				require.NoError(t, err)
				require.Equal(t, []byte(f), again)
			}
			if !bytes.Contains(object, []byte(`"raw"`)) && !codec.Secret(f) {
				require.JSONEq(t, string(json), string(object))
			}
		}
		require.Equal(t, []int{0, 1, 2}, []int{all[4].Index, all[5].Index, all[6].Index})
	}
}

func TestMaskedRecordHasNoFrame(t *testing.T) {
	n := 0
	for _, f := range samples(t) {
		if !codec.Secret(f) {
			continue
		}
		n++
		got, err := stream.Parse("gbt32960.up.X.platformLogin", nil, asJSON(f, true, ""))
		require.NoError(t, err)
		require.True(t, got[0].Masked)
		_, err = got[0].AppendFrame(nil)
		require.ErrorIs(t, err, stream.ErrMasked)
	}
	require.Positive(t, n)
}

func TestParseErrors(t *testing.T) {
	good := string(asJSON(samples(t)[0], false, ""))
	for _, tt := range []struct{ subject, body, want string }{
		{"gbt32960.up.A.realtime", "", "start mark"},
		{"gbt32960.up.A.realtime", "##12", "short"},
		{"gbt32960.up.A.realtime", `{"edition":2016}`, "edition or command is missing"},
		{"gbt32960.up.A.realtime", `{"edition":2017,"command":"realtime"}`, "edition 2017 is unknown"},
		{"gbt32960.up.A.realtime", `{"edition":2016,"command":7}`, "a string is wanted, not 7"},
		{"gbt32960.up.A.realtime", `{"edition":2016,"command":"realtime","flag":"command","vin":"A","receivedAt":"now"}`, "key receivedAt"},
		{"gbt32960.up.A.realtime", good + "x", "follows the JSON object"},
		{"gbt32960.up.A.realtime", good[:len(good)-1], "no JSON object"},
		{"gbt32960.batch.03", good, "the line has no end"},
		{"gbt32960.batch.03", good + "\n{\"rawBytes\":99}\n##", "record 1 at offset " + fmt.Sprint(len(good)+1) + ": the frame of 99 bytes is cut"},
		{"gbt32960.batch.03", "{\"rawBytes\":-1}\n", "is no length of a frame"},
	} {
		got, err := stream.Parse(tt.subject, nil, []byte(tt.body))
		var bad *stream.ParseError
		require.True(t, errors.As(err, &bad), "%q: %v", tt.body, err)
		if tt.want != "start mark" && tt.want != "short" {
			require.ErrorContains(t, err, tt.want)
		}
		require.Len(t, got, bad.Index)
	}
}

// TestParseNeverPanics: a message may be cut anywhere.
func TestParseNeverPanics(t *testing.T) {
	for _, f := range samples(t) {
		body := append(asJSON(f, false, ""), '\n')
		for cut := range body {
			_, _ = stream.Parse("gbt32960.up.A.b", nil, body[:cut])
			_, _ = stream.Parse("gbt32960.batch.00", nil, body[cut:])
		}
	}
}

func TestSubjects(t *testing.T) {
	require.Equal(t, nats.StreamRecords, stream.Frames)
	require.Equal(t, nats.SubjectRecords, stream.SubjectFrames)
	require.Equal(t, "gbt32960.up.*.*", stream.FrameSubject("", ""))
	require.Equal(t, "gbt32960.up.A=20B.0xC1", stream.FrameSubject("A B", "0xC1"))
	vin, err := codec.ParseVIN("LTEST000000000001")
	require.NoError(t, err)
	require.Regexp(t, `^gbt32960\.batch\.(0\d|1[0-5])$`, stream.BatchSubject(vin))
}

func BenchmarkParse(b *testing.B) {
	f, err := os.ReadFile(filepath.Join("..", "..", "codec", "testdata", "bench", "realtime.bin"))
	require.NoError(b, err)
	for name, body := range map[string][]byte{"json": asJSON(f, false, ""), "raw": f} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var dst []stream.Record
			for b.Loop() {
				dst, err = stream.AppendRecords(dst[:0], "gbt32960.up.A.realtime", nil, body)
			}
			require.NoError(b, err)
		})
	}
}
