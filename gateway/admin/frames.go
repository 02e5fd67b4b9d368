package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// Frames are the stored frames.
type Frames interface {
	// Read is stream.Read on the store. It ends when ctx ends or the gateway stops.
	Read(ctx context.Context, q stream.Query) iter.Seq2[*stream.Record, error]
	// Gaps is stream.Gaps on the store.
	Gaps(ctx context.Context, vin codec.VIN, since, until time.Time, period time.Duration) ([]stream.Gap, error)
	// Last returns what is known last of a vehicle as JSON (last.Known); ErrNotFound when nothing was stored of it.
	Last(ctx context.Context, vin codec.VIN) (json.RawMessage, error)
}

// FrameQuery says which stored frames are wanted.
type FrameQuery struct {
	VINs     []codec.VIN // empty: of all vehicles
	Commands []string    // JSON names or ids ("0xC1"); empty: all
	Since    time.Time   // received at or after; zero: from the oldest
	Until    time.Time   // received before; zero: to the newest
	Follow   bool        // go on with what comes
	Merge    bool        // put split packs together
}

// values writes the query as URL parameters.
func (q FrameQuery) values() url.Values {
	v := url.Values{}
	for _, vin := range q.VINs {
		v.Add("vin", vin.String())
	}
	for _, c := range q.Commands {
		v.Add("command", c)
	}
	for key, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(key, t.UTC().Format(time.RFC3339Nano))
		}
	}
	for key, set := range map[string]bool{"follow": q.Follow, "merge": q.Merge} {
		if set {
			v.Set(key, "true")
		}
	}
	return v
}

// parseFrameQuery reads what values writes.
func parseFrameQuery(v url.Values) (q FrameQuery, err error) {
	for _, text := range v["vin"] {
		vin, err := codec.ParseVIN(text)
		if err != nil {
			return q, fmt.Errorf("vin: %w", err)
		}
		q.VINs = append(q.VINs, vin)
	}
	for _, name := range v["command"] {
		if !KnownCommand(name) {
			return q, fmt.Errorf("command: %q is neither a name such as realtime nor an id such as 0xC1", name)
		}
		q.Commands = append(q.Commands, name)
	}
	for key, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if s := v.Get(key); s != "" {
			if *to, err = time.Parse(time.RFC3339Nano, s); err != nil {
				return q, fmt.Errorf("%s: %q is no RFC 3339 time", key, s)
			}
		}
	}
	q.Follow, q.Merge = v.Get("follow") == "true", v.Get("merge") == "true"
	return q, nil
}

// KnownCommand reports whether a text names a command of either edition as frames' JSON does, or is an id in hex.
func KnownCommand(name string) bool {
	for _, e := range [...]codec.Edition{codec.Edition2016, codec.Edition2025} {
		if _, err := codec.ParseCommand(name, e); err == nil {
			return true
		}
	}
	return false
}

// The keys of a line that is no frame.
const (
	lineError   = `{"error":`   // the reading ends with it
	lineDamaged = `{"damaged":` // a message that cannot be read; others follow
)

// routes of the stored frames; without them a refusal that says why.
func (a API) frameRoutes(mux *http.ServeMux) {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /v1/frames": a.readFrames, "GET /v1/gaps": a.listGaps, "GET /v1/last": a.lastState,
	} {
		if a.Frames == nil {
			h = func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, a.noFrames()) }
		}
		mux.HandleFunc(pattern, h)
	}
}

func (a API) noFrames() string {
	if a.NoFrames != "" {
		return a.NoFrames
	}
	return "frames are not kept here"
}

// readFrames streams JSON lines.
func (a API) readFrames(w http.ResponseWriter, r *http.Request) {
	q, err := parseFrameQuery(r.URL.Query())
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(w, 64<<10)
	flush := func() error {
		err := out.Flush()
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		return err
	}
	if q.Follow && flush() != nil {
		return
	}
	records := a.Frames.Read(r.Context(), stream.Query{
		VINs: q.VINs, Commands: q.Commands, Since: q.Since, Until: q.Until, Follow: q.Follow,
	})
	if q.Merge {
		records = stream.Merge(records)
	}
	var m codec.Message
	var line []byte
	for rec, err := range records {
		var bad *stream.ParseError
		switch {
		case err == nil:
			line = rec.AppendJSON(line[:0], &m)
		case errors.As(err, &bad):
			line = appendTold(line[:0], lineDamaged, err)
		default:
			line = appendTold(line[:0], lineError, err)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return
		}
		if q.Follow && flush() != nil {
			return
		}
	}
	_ = flush() // the peer is gone if it fails
}

// appendTold appends a line that is no frame.
func appendTold(dst []byte, key string, err error) []byte {
	text, jsonErr := json.Marshal(err.Error())
	if jsonErr != nil {
		text = []byte(`"the reason cannot be written"`)
	}
	return append(append(append(dst, key...), text...), '}')
}

// listGaps writes JSON lines.
func (a API) listGaps(w http.ResponseWriter, r *http.Request) {
	vin, ok := vinOf(w, r)
	if !ok {
		return
	}
	v := r.URL.Query()
	q, err := parseFrameQuery(v)
	period := stream.DefaultPeriod
	if s := v.Get("period"); err == nil && s != "" {
		if period, err = time.ParseDuration(s); err == nil && period <= 0 {
			err = fmt.Errorf("period: %s is not above zero", s)
		}
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	gaps, err := a.Frames.Gaps(r.Context(), vin, q.Since, q.Until, period)
	if err != nil {
		answer(w, nil, err)
		return
	}
	lines := newLineWriter(w)
	for _, g := range gaps {
		if !lines.write(g) {
			return
		}
	}
}

func (a API) lastState(w http.ResponseWriter, r *http.Request) {
	vin, ok := vinOf(w, r)
	if !ok {
		return
	}
	state, err := a.Frames.Last(r.Context(), vin)
	answer(w, state, err)
}
