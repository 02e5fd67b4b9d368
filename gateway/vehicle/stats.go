package vehicle

import (
	"fmt"
	"math/bits"
	"sync"
	"time"
)

// Stats counts what a vehicle or a platform sent and what came back. After a run
//
//	Sent = Acked + Refused + Unanswered + Interrupted
//	Requeued = Retried + what still waits for its turn + what was given up
type Stats struct {
	Sent        uint64 // frames sent that want an answer: logins, reports, heartbeats, time syncs, logouts
	Acked       uint64 // of them, answered with success as the standard wants it
	Late        uint64 // of Acked, answered later than Config.AnswerTimeout
	Refused     uint64 // answered with another flag than success
	Wrong       uint64 // answers that answer nothing sent: other time, command or identifier
	Unanswered  uint64 // sent and not answered although the connection held
	Interrupted uint64 // sent on a connection that broke before the answer, or that a fault of the script broke
	Skipped     uint64 // damaged stretches between frames in what came back
	Lingering   uint64 // older connections that the gateway left open after the vehicle logged in on a new one

	Logins     uint64 // vehicle and platform logins among Sent
	Reports    uint64 // realtime reports among Sent
	Reissues   uint64 // reissues among Sent
	Requeued   uint64 // reports among Interrupted, which are put back to be reissued
	Retried    uint64 // of Requeued, those that were reissued: they are among Reissues, and among Sent again
	Heartbeats uint64 // heartbeats among Sent
	TimeSyncs  uint64 // time syncs among Sent
	Commands   uint64 // queries, settings and controls answered
	Ignored    uint64 // commands left unanswered: they could not be read, or the style is silence

	Connects   uint64 // connections made
	Reconnects uint64 // of them, after one that broke or that a fault broke
	Faults     uint64 // faults of the script that were played
	Damaged    uint64 // damaged frames that a fault sent; they want no answer
	Rejected   uint64 // errors that the gateway answered to them all the same

	RTT  RTT  // between a frame and its answer
	Skew Skew // of this machine's clock against the gateway's
}

// Errors returns the number of things that a flawless gateway would not have done. A connection that
// breaks is told by the error of Run, and what it left without an answer does not count here.
func (s Stats) Errors() uint64 { return s.Refused + s.Wrong + s.Unanswered + s.Skipped + s.Lingering }

// Add adds what o counted to s.
func (s *Stats) Add(o Stats) {
	to, from := s.numbers(), o.numbers()
	for i, n := range from {
		*to[i] += *n
	}
	s.RTT.add(&o.RTT)
	s.Skew.add(o.Skew)
}

// numbers are the counters of s.
func (s *Stats) numbers() [23]*uint64 {
	return [...]*uint64{
		&s.Sent, &s.Acked, &s.Late, &s.Refused, &s.Wrong, &s.Unanswered, &s.Interrupted, &s.Skipped, &s.Lingering,
		&s.Logins, &s.Reports, &s.Reissues, &s.Requeued, &s.Retried, &s.Heartbeats, &s.TimeSyncs, &s.Commands, &s.Ignored,
		&s.Connects, &s.Reconnects, &s.Faults, &s.Damaged, &s.Rejected,
	}
}

// Skew is the difference of the gateway's clock and this machine's, measured by time syncs (0x08). The
// answer holds whole seconds, so that one is right to half a second and half its round trip. It is a
// value: add it up.
type Skew struct {
	Count    uint64
	Sum      time.Duration // positive: the gateway's clock is ahead
	Min, Max time.Duration
}

// observe takes the gateway's time of an answer to what was sent and received at these times.
func (k *Skew) observe(gateway, sent, received time.Time) {
	d := gateway.Add(500 * time.Millisecond).Sub(sent.Add(received.Sub(sent) / 2))
	k.add(Skew{1, d, d, d})
}

func (k *Skew) add(o Skew) {
	switch {
	case o.Count == 0:
	case k.Count == 0:
		*k = o
	default:
		*k = Skew{k.Count + o.Count, k.Sum + o.Sum, min(k.Min, o.Min), max(k.Max, o.Max)}
	}
}

// Mean returns the mean difference, 0 without any.
func (k *Skew) Mean() time.Duration {
	if k.Count == 0 {
		return 0
	}
	return k.Sum / time.Duration(k.Count)
}

// State is what a simulated vehicle does at present.
type State uint8

// The states of a vehicle.
const (
	StateOffline State = iota // not logged in: before, after, between, in a blind zone
	StateDriving
	StateParked
	StateCharging
	StateAlarm // driving or charging with a serious alarm
	states
)

// Fleet is the number of vehicles in each state.
type Fleet [states]int

// Add adds the vehicles of o.
func (f *Fleet) Add(o Fleet) {
	for i, n := range o {
		f[i] += n
	}
}

// Online returns the number of vehicles that are logged in.
func (f Fleet) Online() int {
	n := 0
	for _, k := range f[StateDriving:] {
		n += k
	}
	return n
}

// counters are the statistics of a vehicle or platform over all its connections.
type counters struct {
	mu sync.Mutex
	Stats
	fleet Fleet
}

func (c *counters) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Stats
}

func (c *counters) states() Fleet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fleet
}

func (c *counters) update(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.Stats)
}

// move notes that a vehicle has changed its state.
func (c *counters) move(from, to State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fleet[from]--
	c.fleet[to]++
}

// RTT is a distribution of round-trip times. It is a value: copy it, add it up.
type RTT struct {
	count   uint64
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
