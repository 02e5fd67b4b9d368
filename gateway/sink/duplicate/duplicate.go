// Package duplicate marks records that repeat a stored one, on their way into a sink.
//
//	event loop --Record--> Marker.Publish --(nothing to ask, nothing of the vehicle waits)--> sink
//	                            │ Unsure, or behind one of the same vehicle
//	                            ▼
//	                     the vehicle's queue --worker: asks the Finder, marks--> sink
//
// Almost every record takes the upper way and costs a load and a compare. A record that may repeat another
// waits for the answer off the event loop; those of its vehicle that come meanwhile wait behind it, so that the
// order of a vehicle's records holds. What waits is bounded by the gateway's windows: it is not confirmed.
package duplicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

// Finder tells whether a report is stored; stream.Index is one.
type Finder interface {
	// Stored reports whether the vehicle's report with this collection time and hash is stored, and takes
	// it for stored from then on. An error that says of itself that it is not Temporary is not asked about
	// again.
	Stored(ctx context.Context, vin codec.VIN, at time.Time, hash uint64) (bool, error)
}

// Limits of the questions to a Finder.
const (
	workers = 8 // vehicles that are asked about at a time
	tries   = 3
)

// patience is how long one question may take.
const patience = 10 * time.Second

// Marker is a sink.Sink before another one.
type Marker struct {
	next   sink.Sink
	finder Finder
	log    *slog.Logger
	warn   *rate.Limiter

	busy atomic.Int64 // vehicles with a queue

	mu     sync.Mutex
	queues map[codec.VIN]*queue
	ready  []*queue // those that no worker has
	wake   *sync.Cond
	closed bool
	ended  sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc

	fresh, found, unchecked atomic.Uint64
}

// queue is the records of one vehicle that wait, oldest first.
type queue struct {
	vin     codec.VIN
	waiting []*held
}

// held is one record with memory of its own.
type held struct {
	record sink.Record
	to     sink.Receiver
	ticket uint64
}

// New returns a Marker before next.
func New(next sink.Sink, finder Finder, log *slog.Logger) *Marker {
	m := &Marker{next: next, finder: finder, log: log, warn: rate.NewLimiter(rate.Every(10*time.Second), 1), queues: make(map[codec.VIN]*queue)}
	m.wake = sync.NewCond(&m.mu)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for range workers {
		m.ended.Go(m.work)
	}
	return m
}

var _ sink.Sink = (*Marker)(nil)

// Publish hands the record on, at once or when it is known whether it repeats another.
func (m *Marker) Publish(r *sink.Record, to sink.Receiver, ticket uint64) (stored bool) {
	if !r.Unsure && (m.busy.Load() == 0 || !m.behind(r, to, ticket)) {
		return m.next.Publish(r, to, ticket)
	}
	if r.Unsure {
		m.hold(r, to, ticket)
	}
	return false
}

// behind queues a record when others of its vehicle wait.
func (m *Marker) behind(r *sink.Record, to sink.Receiver, ticket uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queues[r.VIN]
	if q == nil {
		return false
	}
	q.waiting = append(q.waiting, copyOf(r, to, ticket))
	return true
}

// hold queues a record that is to be asked about.
func (m *Marker) hold(r *sink.Record, to sink.Receiver, ticket uint64) {
	h := copyOf(r, to, ticket)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	q := m.queues[r.VIN]
	if q == nil {
		q = &queue{vin: r.VIN}
		m.queues[r.VIN] = q
		m.busy.Add(1)
		m.ready = append(m.ready, q)
		m.wake.Signal()
	}
	q.waiting = append(q.waiting, h)
}

func copyOf(r *sink.Record, to sink.Receiver, ticket uint64) *held {
	h := &held{*r, to, ticket}
	h.record.Body = slices.Clone(r.Body)
	return h
}

// work serves one vehicle after the other.
func (m *Marker) work() {
	for {
		m.mu.Lock()
		for len(m.ready) == 0 && !m.closed {
			m.wake.Wait()
		}
		if m.closed {
			m.mu.Unlock()
			return
		}
		q := m.ready[0]
		m.ready = m.ready[1:]
		h := q.waiting[0]
		m.mu.Unlock()
		m.serve(q, h)
	}
}

// atATime is how many records of one vehicle are served before others have their turn.
const atATime = 32

// serve hands records of a vehicle on. Its queue stays in the map until none waits, so that no later record overtakes
// them.
func (m *Marker) serve(q *queue, h *held) {
	for n := 1; h != nil; n++ {
		if h.record.Unsure && m.repeats(&h.record) {
			markDuplicate(&h.record)
		}
		if m.ctx.Err() != nil {
			return
		}
		if m.next.Publish(&h.record, h.to, h.ticket) {
			h.to.Stored(h.ticket)
		}
		m.mu.Lock()
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		switch {
		case len(q.waiting) == 0:
			h = nil
			delete(m.queues, q.vin)
			m.busy.Add(-1)
		case n >= atATime:
			h = nil
			m.ready = append(m.ready, q)
			m.wake.Signal()
		default:
			h = q.waiting[0]
		}
		m.mu.Unlock()
	}
}

// repeats asks the finder. A record about which there is no answer is stored as it is: the vehicle must not wait for
// a mark.
func (m *Marker) repeats(r *sink.Record) bool {
	var err error
	for i := range tries {
		if i > 0 {
			select {
			case <-time.After(time.Duration(i) * 200 * time.Millisecond):
			case <-m.ctx.Done():
				return false
			}
		}
		ctx, cancel := context.WithTimeout(m.ctx, patience)
		var stored bool
		stored, err = m.finder.Stored(ctx, r.VIN, r.CollectedAt, r.UnitHash)
		cancel()
		if stored {
			m.found.Add(1)
			return true
		}
		if err == nil {
			m.fresh.Add(1)
			return false
		}
		var final interface{ Temporary() bool }
		if errors.As(err, &final) && !final.Temporary() {
			break
		}
	}
	m.unchecked.Add(1)
	if m.ctx.Err() == nil && m.warn.Allow() {
		m.log.Warn("a report may repeat a stored one, and it cannot be told: stored without a mark", "vin", r.VIN.String(), "session", session.FormatID(r.Session), "error", err)
	}
	return false
}

// mark ends the JSON of a duplicate.
const mark = `,"duplicate":true}`

// markDuplicate makes a record a duplicate.
func markDuplicate(r *sink.Record) {
	if r.Duplicate {
		return
	}
	r.Duplicate = true
	if n := len(r.Body); !r.Raw && n > 0 && r.Body[n-1] == '}' {
		r.Body = append(r.Body[:n-1], mark...)
	}
}

// Stats counts what a Marker did.
type Stats struct {
	Fresh     uint64 // records that the store was asked about and did not have
	Found     uint64 // records that repeat a stored one
	Unchecked uint64 // records about which there was no answer: stored without a mark
	Vehicles  int    // whose records wait for an answer at the moment
}

// Stats returns counters for metrics.
func (m *Marker) Stats() Stats {
	return Stats{Fresh: m.fresh.Load(), Found: m.found.Load(), Unchecked: m.unchecked.Load(), Vehicles: int(m.busy.Load())}
}

// Healthy is the next sink's.
func (m *Marker) Healthy() error { return m.next.Healthy() }

// Close waits until every record is handed on or ctx ends, ends the workers and closes the next sink.
func (m *Marker) Close(ctx context.Context) error {
	left := m.drain(ctx)
	m.mu.Lock()
	m.closed = true
	m.wake.Broadcast()
	m.mu.Unlock()
	m.cancel()
	m.ended.Wait()
	err := m.next.Close(ctx)
	if left > 0 {
		return fmt.Errorf("duplicate: records of %d vehicles still waited for the store: %w", left, context.Cause(ctx))
	}
	return err
}

// drain waits until nothing waits and returns how many vehicles' records still do.
func (m *Marker) drain(ctx context.Context) int64 {
	for m.busy.Load() > 0 {
		select {
		case <-ctx.Done():
			return m.busy.Load()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return 0
}
