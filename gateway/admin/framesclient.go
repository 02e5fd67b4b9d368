package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// ErrDamaged is the kind of error for a stored message that cannot be read. The frames behind it still come.
var ErrDamaged = errors.New("a stored message cannot be read")

// StoredFrames reads stored frames, each as one line of JSON without its end, valid until the next is asked for. After
// an error of kind ErrDamaged the loop may go on; any other ends it.
func (c *Client) StoredFrames(ctx context.Context, q FrameQuery) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		resp, err := c.send(ctx, http.MethodGet, "/v1/frames", q.values(), nil, "")
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			yield(nil, readError(resp))
			return
		}
		in := bufio.NewReaderSize(resp.Body, 64<<10)
		var long []byte
		for {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				long = append(long, line...)
				continue
			}
			if len(long) > 0 {
				long = append(long, line...)
				line = long
			}
			switch {
			case errors.Is(err, io.EOF) && len(line) == 0:
				return
			case err != nil:
				yield(nil, fmt.Errorf("admin: GET /v1/frames: %w", err))
				return
			}
			line, err = told(bytes.TrimSuffix(line, []byte("\n")))
			if !yield(line, err) || err != nil && !errors.Is(err, ErrDamaged) {
				return
			}
			long = long[:0]
		}
	}
}

// told makes an error of a line that is no frame.
func told(line []byte) ([]byte, error) {
	if !bytes.HasPrefix(line, []byte(lineError)) && !bytes.HasPrefix(line, []byte(lineDamaged)) {
		return line, nil
	}
	var text struct{ Error, Damaged string }
	if err := json.Unmarshal(line, &text); err != nil {
		return nil, fmt.Errorf("admin: GET /v1/frames: the answer is not what it should be: %w", err)
	}
	if text.Damaged != "" {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, text.Damaged)
	}
	return nil, errors.New(text.Error)
}

// Gaps lists the gaps in a vehicle's reports; zero times and a zero period are their defaults, see stream.Gaps.
func (c *Client) Gaps(ctx context.Context, vin codec.VIN, since, until time.Time, period time.Duration) iter.Seq2[stream.Gap, error] {
	v := FrameQuery{VINs: []codec.VIN{vin}, Since: since, Until: until}.values()
	if period > 0 {
		v.Set("period", period.String())
	}
	return lines[stream.Gap](ctx, c, "/v1/gaps", v)
}

// Last returns the last known state of a vehicle; ErrNotFound when nothing was stored of it.
func (c *Client) Last(ctx context.Context, vin codec.VIN) (json.RawMessage, error) {
	var state json.RawMessage
	return state, c.do(ctx, http.MethodGet, "/v1/last", url.Values{"vin": {vin.String()}}, nil, &state)
}
