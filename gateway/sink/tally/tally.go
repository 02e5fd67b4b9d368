// Package tally keeps a sink's books: what it holds and has not stored, whether that moves on, and the
// end, at which nobody may be told any more.
package tally

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

// LateAfter is how long nothing may be stored, while something waits, before a sink is unwell.
const LateAfter = 5 * time.Second

// ErrClosed says that a sink was closed before everything was stored.
var ErrClosed = errors.New("closed")

// Tally counts for one sink. The zero value is ready to use; its methods are safe for concurrent use.
type Tally struct {
	mu       sync.Mutex
	stats    sink.Stats
	progress time.Time // of the last confirmation, or when something began to wait
	troubles []trouble // what is wrong, one for each part of the sink that knows
	closed   bool
	empty    chan struct{} // closed when nothing waits any more; made by Close

	over sync.RWMutex // read: somebody is being told
	dead bool         // nobody is told any more
}

type trouble struct {
	of  string
	err error
}

// Take counts something that is to be stored, of size bytes. False: the sink is closed and takes nothing.
func (t *Tally) Take(size int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.stats.Waiting == 0 {
		t.progress = time.Now()
	}
	t.stats.Waiting++
	t.stats.WaitingBytes += int64(size)
	return true
}

// Stored counts it as stored and tells the receiver, unless the sink is at its end.
func (t *Tally) Stored(size int, to sink.Receiver, ticket uint64) {
	t.over.RLock()
	if !t.dead {
		to.Stored(ticket)
	}
	t.over.RUnlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Waiting--
	t.stats.WaitingBytes -= int64(size)
	t.stats.Stored++
	t.progress = time.Now()
	if t.stats.Waiting == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// Retried counts n repetitions.
func (t *Tally) Retried(n int) {
	t.mu.Lock()
	t.stats.Retried += uint64(n)
	t.mu.Unlock()
}

// Trouble notes why a part of the sink cannot store; nil: it can again. It reports whether that is news.
func (t *Tally) Trouble(of string, err error) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, old := range t.troubles {
		if old.of != of {
			continue
		}
		if err == nil {
			t.troubles = append(t.troubles[:i], t.troubles[i+1:]...)
			return true
		}
		t.troubles[i].err = err
		return old.err.Error() != err.Error()
	}
	if err == nil {
		return false
	}
	t.troubles = append(t.troubles, trouble{of, err})
	return true
}

// Healthy returns the first trouble, or that nothing has been stored for LateAfter, or nil.
func (t *Tally) Healthy() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.troubles) > 0 {
		return t.troubles[0].err
	}
	if t.stats.Waiting > 0 {
		if d := time.Since(t.progress); d > LateAfter {
			return fmt.Errorf("nothing was stored for %s, %d wait", d.Round(time.Second), t.stats.Waiting)
		}
	}
	return nil
}

// Stats returns the counters.
func (t *Tally) Stats() sink.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Close takes nothing more and waits until everything is stored or ctx ends.
// Whatever it returns, nobody is told of anything afterwards. The error says how much was not stored.
func (t *Tally) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	empty := t.empty
	if t.stats.Waiting > 0 && empty == nil {
		empty = make(chan struct{})
		t.empty = empty
	}
	t.mu.Unlock()
	var err error
	if empty != nil {
		select {
		case <-empty:
		case <-ctx.Done():
			if n := t.Stats().Waiting; n > 0 {
				err = fmt.Errorf("%w with %d not stored: %w", ErrClosed, n, context.Cause(ctx))
				if why := t.Healthy(); why != nil {
					err = fmt.Errorf("%w (%w)", err, why)
				}
			}
		}
	}
	t.over.Lock()
	t.dead = true
	t.over.Unlock()
	return err
}

// Backoff is how long to wait before attempt n, from 1, is repeated: 100 ms, doubled up to 5 s.
func Backoff(n int) time.Duration {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	if n > 6 {
		return most
	}
	return min(first<<max(n-1, 0), most)
}
