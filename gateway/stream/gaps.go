package stream

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/codec"
)

// Gap is a time between two neighbouring realtime reports of a vehicle that is longer than it should be.
// All times are collection times, +08:00.
type Gap struct {
	VIN     string    `json:"vin"`
	From    time.Time `json:"from"`    // the last realtime report before
	To      time.Time `json:"to"`      // the first after
	Seconds int64     `json:"seconds"` // its length
	// Logout says that the vehicle had logged out: it was parked, and no report was due.
	Logout bool `json:"logout"`
	// Reissued is how many reports of this time came later (0x03).
	Reissued int `json:"reissued"`
	// Filled says whether they fill the gap: "no", "partly", "yes".
	Filled string `json:"filled"`
	// Missing are the times that are still without reports, where they fill it partly.
	Missing []Span `json:"missing,omitempty"`
}

// Span is a time between two reports.
type Span struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds int64     `json:"seconds"`
}

// The values of Gap.Filled.
const (
	FilledNo     = "no"
	FilledPartly = "partly"
	FilledYes    = "yes"
)

// DefaultPeriod is the longest period of reports that the 2016 edition allows (§6.4: 30 s).
const DefaultPeriod = 30 * time.Second

// Gaps finds the gaps of one vehicle, oldest first: neighbouring reports further apart than one and a half
// periods, with collection times from since (zero: the oldest) to before until (zero: now). It reads the
// vehicle's realtime reports, reissues and logouts and holds their times, 16 bytes a report.
func Gaps(ctx context.Context, js jetstream.JetStream, vin codec.VIN, since, until time.Time, period time.Duration) ([]Gap, error) {
	q := Query{VINs: []codec.VIN{vin}, Commands: []string{"realtime", "reissue", "vehicleLogout"}, Since: since}
	if !since.IsZero() {
		q.Since = since.Add(-storeLate) // a terminal whose clock is ahead
	}
	return findGaps(vin, Read(ctx, js, q), since, until, period)
}

// mention is a report, or a logout, by its collection time.
type mention struct {
	at   int64 // Unix seconds
	kind codec.Command
}

func findGaps(vin codec.VIN, records iter.Seq2[*Record, error], since, until time.Time, period time.Duration) ([]Gap, error) {
	if period <= 0 {
		period = DefaultPeriod
	}
	limit := int64(period * 3 / 2 / time.Second)
	var all []mention
	for r, err := range records {
		if damaged(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		at, ok := r.CollectedAt()
		if !ok || !since.IsZero() && at.Before(since) || !until.IsZero() && !at.Before(until) {
			continue
		}
		all = append(all, mention{at.Unix(), r.Command})
	}
	slices.SortFunc(all, func(a, b mention) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind)) })
	var gaps []Gap
	last := -1 // the last realtime report
	for i, m := range all {
		if m.kind != codec.CommandRealtime {
			continue
		}
		if last >= 0 && m.at-all[last].at > limit {
			gaps = append(gaps, gapOf(vin, all[last:i+1], limit))
		}
		last = i
	}
	return gaps, nil
}

// gapOf describes the gap between the first and the last mention.
func gapOf(vin codec.VIN, all []mention, limit int64) Gap {
	from, to := all[0].at, all[len(all)-1].at
	g := Gap{VIN: vin.String(), From: wireClock(from), To: wireClock(to), Seconds: to - from, Filled: FilledNo}
	last := from
	for _, m := range all[1:] {
		switch m.kind {
		case codec.CommandVehicleLogout:
			g.Logout = true
			continue
		case codec.CommandReissue:
			if m.at == from {
				continue // beside the report that the gap begins after: of another gap, or a repetition
			}
			g.Reissued++
		}
		if m.at-last > limit {
			g.Missing = append(g.Missing, Span{wireClock(last), wireClock(m.at), m.at - last})
		}
		last = m.at
	}
	switch {
	case len(g.Missing) == 0:
		g.Filled = FilledYes
	case g.Reissued > 0:
		g.Filled = FilledPartly
	default:
		g.Missing = nil // it is the gap itself
	}
	return g
}

func wireClock(unix int64) time.Time { return time.Unix(unix, 0).In(codec.Beijing) }
