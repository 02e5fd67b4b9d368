package metrics

import (
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Loop holds the counters of one event loop. A frame touches a dozen of them, so they are plain numbers that belong to
// the loop; what a scrape reads is the copy that Publish made last. All methods but those of the collector are called
// from the loop only, and none allocates.
type Loop struct {
	counts

	refresh func() // asks the loop to publish, and waits a moment for it; may be nil

	mu    sync.Mutex
	shown counts
}

// counts are the numbers of a loop.
type counts struct {
	frames    [2][classes][outcomes]tally
	encrypted [methods]uint64
	paused    [pauseReasons]uint64
	bad       [badReasons]uint64
	answers   [len(flagNames)]uint64
	bytesIn   uint64
	bytesOut  uint64
	opened    uint64
	closed    [closeReasons]uint64
	panics    uint64
	repeats   uint64

	published, publishedBytes uint64
	stored, storedBytes       uint64
	answerTime, storeTime     histogram
}

// Publish shows scrapes what has been counted so far.
func (l *Loop) Publish() {
	l.mu.Lock()
	l.shown = l.counts
	l.mu.Unlock()
}

// read returns what the loop has counted, or had when it published last if it is busy for long.
func (l *Loop) read() counts {
	if l.refresh != nil {
		l.refresh()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown
}

// Opened counts a connection that the loop took over.
func (l *Loop) Opened() { l.opened++ }

// Closed counts the end of a connection that Opened has counted.
func (l *Loop) Closed(r CloseReason) { l.closed[min(r, closeReasons-1)]++ }

// Received counts bytes read from connections; one call for each read is enough.
func (l *Loop) Received(bytes int) { l.bytesIn += uint64(bytes) }

// Sent counts bytes written to connections; one call for each write is enough.
func (l *Loop) Sent(bytes int) { l.bytesOut += uint64(bytes) }

// tally counts frames and their bytes.
type tally struct{ frames, bytes uint64 }

// Frame counts one good frame of so many bytes by its edition, command and outcome.
func (l *Loop) Frame(edition codec.Edition, command codec.Command, o Outcome, bytes int) {
	e := 0
	if edition == codec.Edition2025 {
		e = 1
	}
	t := &l.frames[e][classOf(e, command)][min(o, outcomes-1)]
	t.frames++
	t.bytes += uint64(bytes)
}

// Encrypted counts one good frame whose data unit is encrypted, by its method.
func (l *Loop) Encrypted(e codec.Encryption) { l.encrypted[methodOf(e)]++ }

// Paused counts one time that a connection's input was left unread because the store was slow.
func (l *Loop) Paused(r PauseReason) { l.paused[min(r, pauseReasons-1)]++ }

// Bad counts one bad frame, or one run of skipped bytes.
func (l *Loop) Bad(r BadReason) { l.bad[min(r, badReasons-1)]++ }

// Answer counts one answer by its flag, and the time from the arrival of the frame to its answer being written.
func (l *Loop) Answer(flag codec.Flag, took time.Duration) {
	if int(flag) >= len(flagNames) {
		flag = 0
	}
	l.answers[flag]++
	l.answerTime.observe(took)
}

// Repeat counts one report that its session knows to be a duplicate.
func (l *Loop) Repeat() { l.repeats++ }

// Published counts one record of so many bytes handed to the store.
func (l *Loop) Published(bytes int) {
	l.published++
	l.publishedBytes += uint64(bytes)
}

// Stored counts the store's confirmation of one record that Published has counted with the same number of bytes, and
// the time between the two.
func (l *Loop) Stored(bytes int, took time.Duration) {
	l.stored++
	l.storedBytes += uint64(bytes)
	l.storeTime.observe(took)
}

// Panic counts a panic that was kept to one connection.
func (l *Loop) Panic() { l.panics++ }
