package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// frames gives what a test wants and remembers what it was asked.
type frames struct {
	asked   stream.Query
	gapsFor string
	give    func(ctx context.Context, yield func(*stream.Record, error) bool)
}

func (f *frames) Read(ctx context.Context, q stream.Query) iter.Seq2[*stream.Record, error] {
	f.asked = q
	return func(yield func(*stream.Record, error) bool) { f.give(ctx, yield) }
}

func (f *frames) Gaps(_ context.Context, vin codec.VIN, since, until time.Time, period time.Duration) ([]stream.Gap, error) {
	f.gapsFor = fmt.Sprint(vin, " ", since.UTC().Format(time.RFC3339), " ", until.IsZero(), " ", period)
	return []stream.Gap{{VIN: vin.String(), Seconds: 90, Filled: stream.FilledNo}, {VIN: vin.String(), Seconds: 100, Filled: stream.FilledYes}}, nil
}

func (f *frames) Last(_ context.Context, vin codec.VIN) (json.RawMessage, error) {
	if vin.String() != "A" {
		return nil, fmt.Errorf("vehicle %s: %w", vin, admin.ErrNotFound)
	}
	return json.RawMessage(`{"vin":"A"}`), nil
}

// stored is a record as JSON, with so many bytes.
func stored(t *testing.T, vin string, size int) *stream.Record {
	t.Helper()
	body := fmt.Sprintf(`{"edition":2016,"command":"heartbeat","flag":"command","vin":%q,"rest":"%s"}`, vin, strings.Repeat("0", size))
	r, err := stream.Parse("", nil, []byte(body))
	require.NoError(t, err)
	return &r[0]
}

func TestStoredFrames(t *testing.T) {
	for _, way := range []string{"socket", "local"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			f := &frames{}
			w.api.Frames = f
			var c *admin.Client
			if way == "socket" {
				c, _ = overSocket(t, w.api.Handler())
			} else {
				c = admin.NewLocalClient(w.api.Handler())
			}
			broken := errors.New("the store is away")
			f.give = func(_ context.Context, yield func(*stream.Record, error) bool) {
				_ = yield(stored(t, "A", 10), nil) && yield(stored(t, "B", 200_000), nil) &&
					yield(nil, &stream.ParseError{Subject: "s", Err: errors.New("odd")}) && yield(stored(t, "C", 10), nil) && yield(nil, broken)
			}
			since := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
			var got []string
			for line, err := range c.StoredFrames(t.Context(), admin.FrameQuery{
				VINs: []codec.VIN{vin(t, "A"), vin(t, "B C")}, Commands: []string{"realtime", "0xC1"}, Since: since, Until: since.Add(time.Hour),
			}) {
				if err != nil {
					got = append(got, fmt.Sprint(errors.Is(err, admin.ErrDamaged), " ", err))
					continue
				}
				r, err := stream.Parse("", nil, line)
				require.NoError(t, err)
				got = append(got, r[0].VIN.String())
			}
			require.Equal(t, []string{"A", "B", "true a stored message cannot be read: stream: message on s: record 0 at offset 0: odd",
				"C", "false the store is away"}, got)
			require.Equal(t, stream.Query{VINs: []codec.VIN{vin(t, "A"), vin(t, "B C")}, Commands: []string{"realtime", "0xC1"},
				Since: since, Until: since.Add(time.Hour)}, f.asked)

			var seconds []int64
			for g, err := range c.Gaps(t.Context(), vin(t, "A"), since, time.Time{}, 45*time.Second) {
				require.NoError(t, err)
				seconds = append(seconds, g.Seconds)
			}
			require.Equal(t, []int64{90, 100}, seconds)
			require.Equal(t, "A 2026-01-02T03:04:05Z true 45s", f.gapsFor)

			state, err := c.Last(t.Context(), vin(t, "A"))
			require.NoError(t, err)
			require.JSONEq(t, `{"vin":"A"}`, string(state))
			_, err = c.Last(t.Context(), vin(t, "B"))
			require.ErrorIs(t, err, admin.ErrNotFound)
		})
	}
}

// TestFollowOutlivesTheLimitOfARequest: the server's ReadTimeout is for requests, not for an answer that goes on. What
// follows ends when the client goes.
func TestFollowOutlivesTheLimitOfARequest(t *testing.T) {
	w := newWorld(t)
	next, ended := make(chan *stream.Record), make(chan error, 1)
	w.api.Frames = &frames{give: func(ctx context.Context, yield func(*stream.Record, error) bool) {
		for {
			select {
			case r := <-next:
				if !yield(r, nil) {
					ended <- nil
					return
				}
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}}
	srv := httptest.NewUnstartedServer(w.api.Handler())
	srv.Config.ReadTimeout = 20 * time.Millisecond
	srv.Start()
	defer srv.Close()
	c := admin.NewRemoteClient(srv.URL, "")
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := stored(t, "A", 1)
	go func() {
		time.Sleep(100 * time.Millisecond) // longer than the limit
		select {
		case next <- r:
		case <-ctx.Done():
		}
	}()
	n := 0
	for line, err := range c.StoredFrames(ctx, admin.FrameQuery{Follow: true}) {
		require.NoError(t, err)
		require.Contains(t, string(line), `"vin":"A"`)
		n++
		break
	}
	require.Equal(t, 1, n)
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the reading goes on without a reader")
	}
}

func TestBadFrameRequests(t *testing.T) {
	w := newWorld(t)
	get := func(target string) (int, string) {
		rec := httptest.NewRecorder()
		w.api.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, target, nil))
		return rec.Code, rec.Body.String()
	}
	status, body := get("/v1/frames")
	require.Equal(t, 404, status)
	require.Equal(t, `{"error":"frames are not kept here"}`+"\n", body)
	w.api.NoFrames = "the sink is file"
	for _, path := range []string{"/v1/frames", "/v1/gaps?vin=A", "/v1/last?vin=A"} {
		status, body = get(path)
		require.Equal(t, 404, status)
		require.Equal(t, `{"error":"the sink is file"}`+"\n", body)
	}
	w.api.Frames = &frames{}
	for target, want := range map[string]string{
		"/v1/frames?vin=":           "vin: ",
		"/v1/frames?command=x":      `command: \"x\" is neither a name such as realtime nor an id`,
		"/v1/frames?since=1h":       `since: \"1h\" is no RFC 3339 time`,
		"/v1/last":                  "vin: ",
		"/v1/gaps":                  "vin: ",
		"/v1/gaps?vin=A&period=-1s": "period: -1s is not above zero",
		"/v1/gaps?vin=A&period=x":   "invalid duration",
		"/v1/gaps?vin=A&until=x":    "until: ",
	} {
		status, body = get(target)
		require.Equal(t, 400, status, target)
		require.Contains(t, body, want, target)
	}
}
