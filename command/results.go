package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

const (
	// markPrefix begins the keys of the bucket that are not results.
	markPrefix = "mark."
	// saveRetry is how soon results that the store did not take are written again.
	saveRetry = time.Second
	// pollInterval is how often Wait looks for a result of another node.
	pollInterval = 200 * time.Millisecond
	// taskOverhead is about what a result takes in memory besides its body.
	taskOverhead = 1 << 10
)

// results is the view in memory: open commands, those whose result is not in the store yet, and recent ones.
type results struct {
	byID    map[int64]*task
	ended   []*task // over, oldest first
	bytes   int     // of ended
	unsaved map[*task]struct{}
	saved   chan struct{}      // a token when unsaved has become empty
	retry   *time.Timer        // set while a retry of failed writes is due
	gaveUp  bool               // Close does not wait any longer
	fresh   map[int64]struct{} // ids of this run, while those of an earlier one are looked for; then nil
}

func newResults() results {
	return results{byID: map[int64]*task{}, unsaved: map[*task]struct{}{}, saved: make(chan struct{}, 1), fresh: map[int64]struct{}{}}
}

func (r *results) add(t *task) {
	r.byID[t.result.MessageID] = t
	if r.fresh != nil {
		r.fresh[t.result.MessageID] = struct{}{}
	}
}

func (r *results) over(t *task) {
	r.ended = append(r.ended, t)
	r.bytes += t.size()
}

func (t *task) size() int { return taskOverhead + len(t.result.Body) }

// trimResults forgets the oldest results beyond the memory limit. Those not yet in the store are kept four times as long.
func (d *Dispatcher) trimResults() {
	r := &d.results
	for len(r.ended) > 0 && r.bytes > d.o.RecentBytes {
		t := r.ended[0]
		if t.stored < t.version && r.bytes <= 4*d.o.RecentBytes {
			return
		}
		r.ended[0] = nil
		r.ended = r.ended[1:]
		r.bytes -= t.size()
		delete(r.byID, t.result.MessageID)
		d.dropUnsaved(t)
	}
}

func (d *Dispatcher) dropUnsaved(t *task) {
	r := &d.results
	delete(r.unsaved, t)
	if len(r.unsaved) == 0 {
		select {
		case r.saved <- struct{}{}:
		default:
		}
	}
}

// changed announces and stores a change of a command's result. frame goes into the event.
func (d *Dispatcher) changed(t *task, frame codec.Frame) {
	t.version++
	result, vin := t.result, t.key.vin
	body := encodeEvent(&result, d.now(), frame)
	d.out.push(func() {
		d.o.Publish(vin, EventKind, body)
		d.o.Observe(result)
	})
	d.save(t)
}

// save writes a command's result as it stands now.
func (d *Dispatcher) save(t *task) {
	value, err := json.Marshal(&t.result)
	if err != nil {
		d.o.Logger.Error("command result cannot be written as JSON", "messageId", t.result.MessageID, about(t, t.session), "error", err)
		return
	}
	d.results.unsaved[t] = struct{}{}
	key, version := resultKey(t.result.MessageID), t.version
	d.out.push(func() {
		d.o.KV.PutAsync(key, value, func(err error) { d.saved(t, version, err) })
	})
}

// saved is the store's word on one write.
func (d *Dispatcher) saved(t *task, version int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &d.results
	if err == nil {
		t.stored = max(t.stored, version)
		if t.stored == t.version {
			d.dropUnsaved(t)
			d.trimResults()
		}
		return
	}
	if version < t.version || r.gaveUp {
		return // a newer write is under way, or nobody waits any more
	}
	if r.retry == nil {
		d.o.Logger.Warn("command results are not stored, trying again", "error", err)
		r.retry = time.AfterFunc(saveRetry, d.saveAgain)
	}
}

// saveAgain writes all results that the store does not have. A write that is still under way may be done twice, to no harm.
func (d *Dispatcher) saveAgain() {
	d.mu.Lock()
	d.results.retry = nil
	for t := range d.results.unsaved {
		d.save(t)
	}
	d.mu.Unlock()
	d.out.flush()
}

// waitSaved waits until the store has everything. After one that gave up it writes again first.
func (d *Dispatcher) waitSaved(ctx context.Context) error {
	d.mu.Lock()
	again := d.results.gaveUp
	d.results.gaveUp = false
	d.mu.Unlock()
	if again {
		d.saveAgain()
	}
	for {
		d.mu.Lock()
		n := len(d.results.unsaved)
		if n == 0 || ctx.Err() != nil {
			d.results.gaveUp = n > 0
			if d.results.retry != nil {
				d.results.retry.Stop()
				d.results.retry = nil
			}
			d.mu.Unlock()
			if n > 0 {
				return fmt.Errorf("command: %w: %d results are not stored: %w", ErrStore, n, ctx.Err())
			}
			return nil
		}
		d.mu.Unlock()
		select {
		case <-d.results.saved:
		case <-ctx.Done():
		}
	}
}

func resultKey(id int64) string { return strconv.FormatInt(id, 10) }

// Result returns what is known about a command of a product. The error matches ErrNotFound (unknown, of another product, or
// older than the bucket keeps) or ErrStore.
func (d *Dispatcher) Result(ctx context.Context, productKey string, id int64) (Result, error) {
	r, _, err := d.find(ctx, id)
	if err == nil && r.ProductKey != productKey {
		err = ErrNotFound
	}
	if err != nil {
		return Result{}, fmt.Errorf("command: message %d: %w", id, err)
	}
	return r, nil
}

// Wait returns the result of a command once it is over. When ctx ends first it returns the result so far with ctx's error.
func (d *Dispatcher) Wait(ctx context.Context, id int64) (Result, error) {
	for {
		r, done, err := d.find(ctx, id)
		if err != nil {
			return Result{}, fmt.Errorf("command: message %d: %w", id, err)
		}
		if r.Over() {
			return r, nil
		}
		var poll <-chan time.Time
		if done == nil { // of another node: it will be seen in the store
			poll = time.After(pollInterval)
		}
		select {
		case <-done:
		case <-poll:
		case <-ctx.Done():
			return r, fmt.Errorf("command: message %d is %s: %w", id, r.State, ctx.Err())
		}
	}
}

// find returns a result from memory, then with the channel that tells its end, or from the store.
func (d *Dispatcher) find(ctx context.Context, id int64) (Result, <-chan struct{}, error) {
	d.mu.Lock()
	if t := d.results.byID[id]; t != nil {
		r := t.result
		d.mu.Unlock()
		return r, t.done, nil
	}
	d.mu.Unlock()
	value, err := d.o.KV.Get(ctx, resultKey(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r, ok := d.elsewhere.find(id, d.o.Now()); ok {
			return r, nil, nil
		}
		return Result{}, nil, ErrNotFound
	case err != nil:
		return Result{}, nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	var r Result
	if err := json.Unmarshal(value, &r); err != nil {
		return Result{}, nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if !r.Over() && r.Node == d.o.Node {
		// Ours, and not in memory: an earlier run died with it, and recoverOpen has not come to it yet.
		r.State, r.Reason = StateDisconnected, Reason(session.ReasonGatewayRestart)
	}
	return r, nil, nil
}

// recoverOpen ends the commands that an earlier run of this node left open: their sessions died with the gateway. Ids do not tell
// them from those of this run: other nodes, with clocks of their own, have given some of them.
func (d *Dispatcher) recoverOpen(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open []Result
	over := false
	err := d.o.KV.Watch(ctx, func(key string, value []byte) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if r, ok := leftOpen(key, value, d.o.Node); ok && !over {
			open = append(open, r)
		}
	})
	if err != nil && ctx.Err() == nil {
		d.o.Logger.Warn("commands that an earlier run left open are not announced", "error", err)
	}
	d.mu.Lock()
	over = true
	fresh := d.results.fresh
	d.results.fresh = nil
	for _, r := range open {
		if _, ours := fresh[r.MessageID]; ours {
			continue // sent meanwhile
		}
		if r.Topic != "" {
			d.recoverTopic(r)
			continue
		}
		vin, err := codec.ParseVIN(r.DeviceName)
		if err != nil {
			continue
		}
		r.State, r.Reason, r.EndedAt = StateDisconnected, Reason(session.ReasonGatewayRestart), d.now()
		t := &task{key: slotKey{vin, r.Command}, result: r, done: make(chan struct{})}
		close(t.done)
		d.results.add(t)
		d.results.over(t)
		d.changed(t, nil)
	}
	d.trimResults()
	d.mu.Unlock()
	d.out.flush()
}

// leftOpen reads an entry of the bucket if it is a command of this node that is not over.
func leftOpen(key string, value []byte, node string) (Result, bool) {
	var r Result
	if strings.HasPrefix(key, markPrefix) || value == nil {
		return r, false
	}
	// Most entries are over; they are not worth decoding.
	if !bytes.Contains(value, []byte(`"state":"`+StateSent+`"`)) && !bytes.Contains(value, []byte(`"state":"`+StateQueued+`"`)) {
		return r, false
	}
	if json.Unmarshal(value, &r) != nil || r.Node != node || r.Over() {
		return r, false
	}
	return r, true
}
