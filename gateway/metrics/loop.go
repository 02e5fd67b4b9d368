package metrics

import (
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// cacheLine separates what different cores write. 128: x86 fetches lines in pairs.
const cacheLine = 128

// Loop holds the counters of one event loop. Only additions happen on the frame path. All methods are safe from any
// goroutine and none allocates; meant is that the loop itself calls them, and the store's goroutine calls Stored,
// whose counters are therefore on lines of their own.
type Loop struct {
	_ [cacheLine]byte

	frames   [2][classes][outcomes]atomic.Uint64
	bad      [badReasons]atomic.Uint64
	answers  [len(flagNames)]atomic.Uint64
	bytesIn  atomic.Uint64
	bytesOut atomic.Uint64
	opened   atomic.Uint64
	closed   [closeReasons]atomic.Uint64
	panics   atomic.Uint64

	published      atomic.Uint64
	publishedBytes atomic.Uint64
	answerTime     histogram

	_ [cacheLine]byte

	stored      atomic.Uint64
	storedBytes atomic.Uint64
	storeTime   histogram

	_ [cacheLine]byte
}

// Opened counts a connection that the loop took over.
func (l *Loop) Opened() { l.opened.Add(1) }

// Closed counts the end of a connection that Opened has counted.
func (l *Loop) Closed(r CloseReason) { l.closed[min(r, closeReasons-1)].Add(1) }

// Received counts bytes read from connections; one call for each read is enough.
func (l *Loop) Received(bytes int) { l.bytesIn.Add(uint64(bytes)) }

// Sent counts bytes written to connections; one call for each write is enough.
func (l *Loop) Sent(bytes int) { l.bytesOut.Add(uint64(bytes)) }

// Frame counts one good frame by its edition, command and outcome.
func (l *Loop) Frame(edition codec.Edition, command codec.Command, o Outcome) {
	e := 0
	if edition == codec.Edition2025 {
		e = 1
	}
	l.frames[e][classOf(e, command)][min(o, outcomes-1)].Add(1)
}

// Bad counts one bad frame, or one run of skipped bytes.
func (l *Loop) Bad(r BadReason) { l.bad[min(r, badReasons-1)].Add(1) }

// Answer counts one answer by its flag, and the time from the arrival of the frame to its answer being written.
func (l *Loop) Answer(flag codec.Flag, took time.Duration) {
	if int(flag) >= len(flagNames) {
		flag = 0
	}
	l.answers[flag].Add(1)
	l.answerTime.observe(took)
}

// Published counts one record of so many bytes handed to the store.
func (l *Loop) Published(bytes int) {
	l.published.Add(1)
	l.publishedBytes.Add(uint64(bytes))
}

// Stored counts the store's confirmation of one record that Published has counted with the same number of bytes, and
// the time between the two.
func (l *Loop) Stored(bytes int, took time.Duration) {
	l.stored.Add(1)
	l.storedBytes.Add(uint64(bytes))
	l.storeTime.observe(took)
}

// Panic counts a panic that was kept to one connection.
func (l *Loop) Panic() { l.panics.Add(1) }

// bounds are the upper bounds of the latency buckets: a local answer without a store takes tens of microseconds, one
// that waits for a slow disk seconds.
var bounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// histogram is a fixed-bucket histogram of durations; the last bucket takes what is above all bounds.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Uint64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(uint64(d))
}

// totals is a sum of histograms while a scrape runs.
type totals struct {
	buckets [len(bounds) + 1]uint64
	sum     uint64
}

func (t *totals) add(h *histogram) {
	for i := range h.buckets {
		t.buckets[i] += h.buckets[i].Load()
	}
	t.sum += h.sum.Load()
}
