package admin

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tboxgate/tboxgate/session"
)

// Fleet answers questions about all vehicles at once; session.Fleet is one.
type Fleet interface {
	Summary(now time.Time) session.FleetSummary
	Silent(now time.Time, least time.Duration, never bool) iter.Seq[session.FleetVehicle]
	ClockOff(now time.Time, by time.Duration) iter.Seq[session.FleetVehicle]
	Encrypted(now time.Time) iter.Seq[session.FleetVehicle]
}

func (a API) fleetSummary(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Fleet.Summary(time.Now()))
}

func (a API) fleetSilent(w http.ResponseWriter, r *http.Request) {
	if least, ok := durationOf(w, r, "for", time.Hour); ok {
		writeFleet(w, a.Fleet.Silent(time.Now(), least, r.URL.Query().Get("never") == "true"))
	}
}

func (a API) fleetClock(w http.ResponseWriter, r *http.Request) {
	if off, ok := durationOf(w, r, "off", time.Minute); ok {
		writeFleet(w, a.Fleet.ClockOff(time.Now(), off))
	}
}

func (a API) fleetEncrypted(w http.ResponseWriter, _ *http.Request) {
	writeFleet(w, a.Fleet.Encrypted(time.Now()))
}

func writeFleet(w http.ResponseWriter, list iter.Seq[session.FleetVehicle]) {
	lines := newLineWriter(w)
	for v := range list {
		if !lines.write(v) {
			return
		}
	}
}

// durationOf reads a parameter such as for=1h, or answers why it cannot and returns false.
func durationOf(w http.ResponseWriter, r *http.Request, name string, otherwise time.Duration) (time.Duration, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, true
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		writeError(w, http.StatusBadRequest, fmt.Sprintf("%s: %q is not a duration such as 90s or 1h", name, text))
		return 0, false
	}
	return d, true
}

// FleetSummary asks for the fleet in numbers.
func (c *Client) FleetSummary(ctx context.Context) (session.FleetSummary, error) {
	var s session.FleetSummary
	return s, c.do(ctx, http.MethodGet, "/v1/fleet", nil, nil, &s)
}

// FleetSilent lists the vehicles of which nothing has been heard for so long; see session.Fleet. The loop ends with
// the first error.
func (c *Client) FleetSilent(ctx context.Context, least time.Duration, never bool) iter.Seq2[session.FleetVehicle, error] {
	return lines[session.FleetVehicle](ctx, c, "/v1/fleet/silent", url.Values{"for": {least.String()}, "never": {strconv.FormatBool(never)}})
}

// FleetClock lists the vehicles whose clock is off by so much.
func (c *Client) FleetClock(ctx context.Context, off time.Duration) iter.Seq2[session.FleetVehicle, error] {
	return lines[session.FleetVehicle](ctx, c, "/v1/fleet/clock", url.Values{"off": {off.String()}})
}

// FleetEncrypted lists the vehicles that have sent encrypted data units.
func (c *Client) FleetEncrypted(ctx context.Context) iter.Seq2[session.FleetVehicle, error] {
	return lines[session.FleetVehicle](ctx, c, "/v1/fleet/encrypted", nil)
}
