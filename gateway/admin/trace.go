package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/trace"
)

// Trace lets an operator follow one vehicle; trace.Hub is one.
type Trace interface {
	Follow(vin codec.VIN) (*trace.Follower, error)
}

// trace streams what happens to a vehicle, a line at a time, until nobody reads any more or the gateway stops.
func (a API) trace(w http.ResponseWriter, r *http.Request) {
	vin, ok := vinOf(w, r)
	if !ok {
		return
	}
	f, err := a.Trace.Follow(vin)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer f.Close()
	stream := http.NewResponseController(w)
	// The server's read timeout is for requests; it would end this one after a minute. In the same process there is none.
	_ = stream.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = stream.Flush() // the client sees that it follows before the first event
	lines := json.NewEncoder(w)
	for {
		select {
		case e, open := <-f.Events():
			if !open {
				return
			}
			e.Dropped = f.Dropped()
			if lines.Encode(e) != nil || stream.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// Trace follows a vehicle: it calls following once the gateway does, then yields what happens until ctx ends or the
// gateway stops. The loop ends with the first error.
func (c *Client) Trace(ctx context.Context, vin codec.VIN, following func()) iter.Seq2[trace.Event, error] {
	return linesFrom[trace.Event](ctx, c, "/v1/trace", url.Values{"vin": {vin.String()}}, following)
}
