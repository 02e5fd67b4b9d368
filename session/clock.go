package session

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// maxClockOff bounds what is kept of a vehicle's clock: 34 years either way.
const maxClockOff = 1<<30 - 1

// Clocked notes the collection time of a realtime report that arrived at the given time. A reissued report must not be
// noted: its collection lies in the past by its nature. It costs some nanoseconds; only the goroutine that owns the
// link calls it. A time that no calendar has is passed over.
func (s *Session) Clocked(collected codec.Time, at time.Time) {
	if !collected.Valid() {
		return
	}
	off := min(max(unixOf(collected)-at.Unix(), -maxClockOff), maxClockOff)
	if v := int32(off<<1 | 1); s.clock.Load() != v { // it seldom changes, and reading is cheaper than writing
		s.clock.Store(v)
	}
}

// ClockOff returns by how much the vehicle's clock seems to be ahead of ours, to the second, negative when it is behind:
// collection time less arrival of its last realtime report, so a report that took long on its way looks like a clock
// that is behind. It reports false before the first one.
func (s *Session) ClockOff() (time.Duration, bool) {
	v := s.clock.Load()
	return time.Duration(v>>1) * time.Second, v&1 == 1
}

// Sealed counts one frame with an encrypted data unit. Safe from any goroutine.
func (s *Session) Sealed() { s.sealed.Add(1) }

// SealedFrames returns the number of frames counted by Sealed.
func (s *Session) SealedFrames() uint32 { return s.sealed.Load() }

// daysBefore is the days of a year before each month, 29 February left out.
var daysBefore = [13]int64{0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}

// unixOf is the Unix time of a valid wire time, without the detour through time.Date.
func unixOf(t codec.Time) int64 {
	const (
		of2000  = 946684800 // 2000-01-01 00:00:00 UTC
		beijing = 8 * 3600
	)
	year := int64(t[0])
	days := year*365 + (year+3)/4 + daysBefore[t[1]] + int64(t[2]) - 1
	if t[1] > 2 && year%4 == 0 { // every fourth year of this century, 2000 too
		days++
	}
	return of2000 + days*86400 + int64(t[3])*3600 + int64(t[4])*60 + int64(t[5]) - beijing
}
