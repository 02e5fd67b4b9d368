package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// deleteTimeout limits one deletion in the store, so that a store that never answers is tried again.
const deleteTimeout = 10 * time.Second

// write is the way of one VIN to the store. It exists while memory and store differ or may differ.
// At most one operation of a VIN is under way, so its writes cannot overtake each other. It is
// guarded by the lock of the VIN's shard.
type write struct {
	dirty   bool // memory has changed since the operation under way began, if one is
	queued  bool // in writer.queue
	flying  bool // an operation is under way
	drop    []symbol
	flown   []symbol // the drops of the operation under way
	waiting []*receipt
	aboard  []*receipt // the receipts of the operation under way
}

// receipt waits until several VINs are stored. Its count starts at one, for the caller.
type receipt struct {
	left atomic.Int64
	done chan struct{}
}

func newReceipt() *receipt {
	rc := &receipt{done: make(chan struct{})}
	rc.left.Store(1)
	return rc
}

func (rc *receipt) release() {
	if rc.left.Add(-1) == 0 {
		close(rc.done)
	}
}

// alone reports whether nothing was given to the receipt to wait for.
func (rc *receipt) alone() bool { return rc.left.Load() == 1 }

// join lets rc, which may be nil, wait for all changes so far: those of the operation under way too,
// unless a later one is to follow.
func (w *write) join(rc *receipt) {
	if rc == nil {
		return
	}
	rc.left.Add(1)
	if w.flying && !w.dirty {
		w.aboard = append(w.aboard, rc)
	} else {
		w.waiting = append(w.waiting, rc)
	}
}

// drops reports whether an entry of the product is on the way to be deleted.
func (w *write) drops(product symbol) bool {
	return slices.Contains(w.drop, product) || slices.Contains(w.flown, product)
}

// writer is the queue of VINs to be stored.
type writer struct {
	mu    sync.Mutex
	queue []codec.VIN
	wake  chan struct{} // one signal: the queue has something
	slots chan struct{} // one for every operation under way
	open  atomic.Int64  // VINs with a write
	empty chan struct{} // one signal: open fell to 0

	retryMin, retryMax time.Duration
	round              int           // counts the pauses
	pause              time.Duration // of the current round, 0 while the store is well
	until              time.Time     // end of the pause
	err                error         // the store's last, nil after a success
}

func newWriter(opt RegistryOptions) writer {
	return writer{
		wake: make(chan struct{}, 1), empty: make(chan struct{}, 1), slots: make(chan struct{}, opt.Window),
		retryMin: opt.RetryMin, retryMax: opt.RetryMax,
	}
}

// signal leaves one signal in a channel of size one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *writer) push(vin codec.VIN) {
	w.mu.Lock()
	w.queue = append(w.queue, vin)
	w.mu.Unlock()
	signal(w.wake)
}

// take waits for the end of a pause and for VINs to write. It returns all there are, and false
// at the end of ctx.
func (w *writer) take(ctx context.Context) (vins []codec.VIN, ok bool) {
	for {
		w.mu.Lock()
		wait := time.Until(w.until)
		if wait <= 0 && len(w.queue) > 0 {
			vins, w.queue = w.queue, nil
			w.mu.Unlock()
			return vins, true
		}
		w.mu.Unlock()
		if wait <= 0 {
			select {
			case <-w.wake:
			case <-ctx.Done():
				return nil, false
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, false
		}
	}
}

// resume returns the current round if the store is not in a pause.
func (w *writer) resume() (round int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.round, time.Until(w.until) <= 0
}

// giveBack puts VINs that were not begun to the front of the queue.
func (w *writer) giveBack(vins []codec.VIN) {
	w.mu.Lock()
	w.queue = append(slices.Clip(vins), w.queue...)
	w.mu.Unlock()
	signal(w.wake)
}

// outcome takes note of how an operation of a round ended. The first failure of a round begins a
// pause, the others belong to it. It reports whether the store has become unwell or well by this.
func (w *writer) outcome(round int, err error) (turned bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		turned = w.err != nil && round == w.round
		if round == w.round {
			w.pause, w.err = 0, nil
		}
		return turned
	}
	turned = w.err == nil
	w.err = err
	if round == w.round {
		w.round++
		w.pause = min(max(2*w.pause, w.retryMin), w.retryMax)
		w.until = time.Now().Add(w.pause)
	}
	return turned
}

func (w *writer) lastError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// drain waits until nothing is left to write, or for the end of ctx.
func (w *writer) drain(ctx context.Context) error {
	for w.open.Load() > 0 {
		select {
		case <-w.empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// save has the writer bring the VIN's entry in the store to what memory says. rc, which may be nil,
// waits for it. The shard is locked.
func (r *Registry) save(sh *registryShard, vin codec.VIN, rc *receipt) *write {
	w := sh.writes[vin]
	if w == nil {
		w = &write{}
		sh.writes[vin] = w
		r.writer.open.Add(1)
	}
	w.dirty = true
	w.join(rc)
	if !w.queued && !w.flying {
		w.queued = true
		r.writer.push(vin)
	}
	return w
}

// writeLoop begins operations, a window of them at a time, until ctx ends.
func (r *Registry) writeLoop(ctx context.Context) {
	for {
		vins, ok := r.writer.take(ctx)
		if !ok {
			return
		}
		for i, vin := range vins {
			select {
			case r.writer.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			round, ok := r.writer.resume()
			if !ok { // an operation has failed since
				<-r.writer.slots
				r.writer.giveBack(vins[i:])
				break
			}
			r.begin(ctx, vin, round)
		}
	}
}

// begin starts the operation that stores what memory says of a VIN now: the deletion of entries in
// products that it has left, then its entry, if it has one.
func (r *Registry) begin(ctx context.Context, vin codec.VIN, round int) {
	sh := r.shard(vin)
	sh.mu.Lock()
	w := sh.writes[vin]
	w.dirty, w.queued, w.flying = false, false, true
	w.flown, w.drop = w.drop, nil
	w.aboard, w.waiting = w.waiting, nil
	rec, exists := sh.devices[vin]
	drops := w.flown
	sh.mu.Unlock()

	put := func() {
		if !exists {
			r.landed(sh, vin, round, nil)
			return
		}
		value := rec.appendStored(make([]byte, 0, 512), vin, r.names, r.opt.Node)
		key := deviceKey(r.names.text(rec.product), vin)
		r.kv.PutAsync(key, value, func(err error) {
			r.hear(key, err)
			r.landed(sh, vin, round, err)
		})
	}
	if len(drops) == 0 {
		put()
		return
	}
	r.running.Go(func() {
		for _, product := range drops {
			if err := r.dropEntry(ctx, sh, tombKey{product, vin}); err != nil {
				r.hear(deviceKey(r.names.text(product), vin), err)
				r.landed(sh, vin, round, err)
				return
			}
		}
		put()
	})
}

// hear takes from an error what another node has written in the place of an operation that an outage held up: what the
// entry gets next has all of it.
func (r *Registry) hear(key string, err error) {
	if newer, ok := superseded(err); ok {
		r.follow(key, newer)
	}
}

// superseded reports whether another node's write stands in the place of an operation, and its value.
func superseded(err error) (newer []byte, ok bool) {
	var s interface{ Newer() []byte }
	if !errors.As(err, &s) {
		return nil, false
	}
	return s.Newer(), true
}

// dropEntry deletes one entry of the bucket.
func (r *Registry) dropEntry(ctx context.Context, sh *registryShard, key tombKey) error {
	// Counted before, since Watch may report the deletion before Delete returns.
	sh.expectEcho(key, 1)
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	err := r.kv.Delete(ctx, deviceKey(r.names.text(key.product), key.vin))
	if err != nil {
		sh.expectEcho(key, -1)
	}
	return err
}

func (sh *registryShard) expectEcho(key tombKey, n int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if t, ok := sh.tombs[key]; ok {
		t.echoes = max(t.echoes+n, 0)
		sh.tombs[key] = t
	}
}

// landed takes the end of the VIN's operation: on to the next change, or again after a failure.
func (r *Registry) landed(sh *registryShard, vin codec.VIN, round int, err error) {
	sh.mu.Lock()
	w := sh.writes[vin]
	aboard := w.aboard
	w.flying, w.aboard = false, nil
	if err != nil {
		w.dirty = true
		if _, again := superseded(err); again {
			// What was registered anew meanwhile is not deleted.
			have := sh.devices[vin].product
			w.flown = slices.DeleteFunc(w.flown, func(product symbol) bool { return product == have })
		}
		w.drop = append(w.flown, w.drop...)
		w.waiting = append(aboard, w.waiting...)
	}
	w.flown = nil
	if w.dirty {
		w.queued = true
	} else {
		delete(sh.writes, vin)
	}
	again := w.dirty
	sh.mu.Unlock()

	said := err
	if _, again := superseded(err); again {
		said = nil // the store is well
	}
	turned := r.writer.outcome(round, said)
	switch {
	case turned && said != nil:
		r.log.Warn("the store does not take device entries; they are written when it does", "vin", vin.String(), "error", err)
	case turned:
		r.log.Info("the store takes device entries again")
	}
	if err == nil {
		for _, rc := range aboard {
			rc.release()
		}
	}
	if again {
		r.writer.push(vin)
	} else if r.writer.open.Add(-1) == 0 {
		signal(r.writer.empty)
	}
	<-r.writer.slots
}

// await waits for what was given to rc.
func (r *Registry) await(ctx context.Context, rc *receipt, what string) error {
	rc.release()
	var why error
	select {
	case <-rc.done:
		return nil
	case <-ctx.Done():
		why = ctx.Err()
	case <-r.stopped:
		why = ErrClosed
	}
	left := rc.left.Load()
	if left == 0 { // both at once: it is done
		return nil
	}
	if err := r.Healthy(); err != nil {
		return fmt.Errorf("%w: %s, %d to go: %w; the store says: %w", ErrUnconfirmed, what, left, why, err)
	}
	return fmt.Errorf("%w: %s, %d to go: %w", ErrUnconfirmed, what, left, why)
}
