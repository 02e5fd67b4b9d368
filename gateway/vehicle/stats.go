package vehicle

import (
	"fmt"
	"math/bits"
	"time"
)

// Stats counts what a vehicle or a platform sent and what came back.
type Stats struct {
	Sent       uint64 // frames sent that want an answer: logins, reports, heartbeats, logouts
	Acked      uint64 // of them, answered with success as the standard wants it
	Refused    uint64 // answered with another flag than success
	Wrong      uint64 // answers that answer nothing sent: other time, command or identifier
	Unanswered uint64 // sent and not answered when the connection ended
	Skipped    uint64 // damaged stretches between frames in what came back

	Reports    uint64 // realtime reports among Sent
	Heartbeats uint64 // heartbeats among Sent
	Commands   uint64 // queries, settings and controls answered
	Ignored    uint64 // commands left unanswered: they could not be read, or the style is silence

	RTT RTT // between a frame and its answer
}

// Errors returns the number of things that a flawless gateway would not have done.
func (s Stats) Errors() uint64 { return s.Refused + s.Wrong + s.Unanswered + s.Skipped }

// Add adds what o counted to s.
func (s *Stats) Add(o Stats) {
	s.Sent += o.Sent
	s.Acked += o.Acked
	s.Refused += o.Refused
	s.Wrong += o.Wrong
	s.Unanswered += o.Unanswered
	s.Skipped += o.Skipped
	s.Reports += o.Reports
	s.Heartbeats += o.Heartbeats
	s.Commands += o.Commands
	s.Ignored += o.Ignored
	s.RTT.add(&o.RTT)
}

// RTT is a distribution of round-trip times. It is a value: copy it, add it up.
type RTT struct {
	count   uint64
	sum     time.Duration
	min     time.Duration
	max     time.Duration
	buckets [256]uint32
}

// bucketOf returns the bucket of d: eight for each power of two microseconds, so that a quantile
// is right to some 6 %.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 8 {
		return int(us)
	}
	shift := bits.Len64(us) - 4
	return min(8*shift+int(us>>shift), len(RTT{}.buckets)-1)
}

// bucketValue returns the middle of a bucket.
func bucketValue(i int) time.Duration {
	if i < 16 {
		return time.Duration(i) * time.Microsecond
	}
	shift := i/8 - 1
	low := uint64(i-8*shift) << shift
	return time.Duration(low+(1<<shift)/2) * time.Microsecond
}

func (r *RTT) observe(d time.Duration) {
	if r.count == 0 || d < r.min {
		r.min = d
	}
	r.max = max(r.max, d)
	r.count++
	r.sum += d
	r.buckets[bucketOf(d)]++
}

func (r *RTT) add(o *RTT) {
	if o.count == 0 {
		return
	}
	if r.count == 0 || o.min < r.min {
		r.min = o.min
	}
	r.max = max(r.max, o.max)
	r.count += o.count
	r.sum += o.sum
	for i, n := range o.buckets {
		r.buckets[i] += n
	}
}

// Count returns the number of round trips.
func (r *RTT) Count() uint64 { return r.count }

// Min returns the shortest round trip, 0 without any.
func (r *RTT) Min() time.Duration { return r.min }

// Max returns the longest round trip.
func (r *RTT) Max() time.Duration { return r.max }

// Mean returns the mean round trip.
func (r *RTT) Mean() time.Duration {
	if r.count == 0 {
		return 0
	}
	return r.sum / time.Duration(r.count)
}

// Quantile returns the round trip that a share q (0 to 1) of all did not exceed, to some 6 %.
func (r *RTT) Quantile(q float64) time.Duration {
	if r.count == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(r.count)+0.5), 1), r.count)
	for i, n := range r.buckets {
		if uint64(n) >= rank {
			return min(max(bucketValue(i), r.min), r.max)
		}
		rank -= uint64(n)
	}
	return r.max
}

// String tells the distribution in a line for people.
func (r *RTT) String() string {
	if r.count == 0 {
		return "no answers"
	}
	return fmt.Sprintf("min %v, median %v, 99 %% %v, max %v", short(r.min), short(r.Quantile(0.5)), short(r.Quantile(0.99)), short(r.max))
}

// short rounds d to three digits, or to the microsecond: 464µs, 1.04ms, 12.3ms, 2.72s.
func short(d time.Duration) time.Duration {
	unit := time.Microsecond
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit)
}
