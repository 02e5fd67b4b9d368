package session

import "time"

// Timestamp is a time that the gateway tells about itself. Its JSON is RFC 3339 in UTC with exactly
// three decimals, so that columns line up and texts sort as the times do. It is read like any
// time.Time.
type Timestamp struct{ time.Time }

// At returns t as a Timestamp: in UTC, cut to the millisecond.
func At(t time.Time) Timestamp { return Timestamp{t.UTC().Truncate(time.Millisecond)} }

// MarshalJSON writes the time as "2006-01-02T15:04:05.000Z".
func (t Timestamp) MarshalJSON() ([]byte, error) { return appendTime(nil, t.Time), nil }
