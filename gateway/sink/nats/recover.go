package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"
)

// This file holds what a publisher does when not everything is confirmed: refusals, lost replies,
// lost connections, messages that no server takes, and the end.

// checkLost notices attempts that nobody will confirm. Replies of one stream come in order, so one
// is lost when nothing at all was confirmed for a while, or when it is old and a later one was
// confirmed. The age alone says nothing: a slow disk needs long for a whole window. The lock is
// held.
func (p *publisher) checkLost(now time.Time) {
	if p.due == 0 || now.Sub(p.flightAge(now)) < p.patience {
		return
	}
	n, m := p.oldestFlying()
	if m == nil || now.Sub(m.sent) < p.patience {
		return
	}
	if now.Sub(p.progress) >= p.patience || p.passed > n {
		p.abandon(ErrNoAnswer, now)
	}
}

// flightAge returns when the oldest attempt of the flight was published. The lock is held.
func (p *publisher) flightAge(now time.Time) time.Time {
	if m := p.flight[p.head%windowMessages]; m != nil {
		return m.sent
	}
	return now
}

// oldestFlying returns the oldest attempt whose reply is due. The lock is held.
func (p *publisher) oldestFlying() (uint64, *message) {
	for n := p.head; n != p.tail; n++ {
		if m := p.flyingAt(n); m != nil {
			return n, m
		}
	}
	return 0, nil
}

// abandon gives up all attempts under way. Their messages will be published again, but a
// confirmation that still comes counts, so that a slow store is not asked for ever. The lock is
// held.
func (p *publisher) abandon(err error, now time.Time) {
	maps.DeleteFunc(p.late, func(_ uint64, m *message) bool { return m.state == stored })
	for n := p.head; n != p.tail; n++ {
		if m := p.flyingAt(n); m != nil {
			m.state, m.reuse = failed, false
			p.late[n] = m
		}
	}
	p.due, p.dueSize = 0, 0
	p.fail(err, now)
}

// fail notes a failure, and when to try again: once for all failures of one round. The lock is held.
func (p *publisher) fail(err error, now time.Time) {
	if p.trouble == nil {
		p.since, p.struck, p.backoff = now, false, 0
		p.breaks++
	}
	if !p.struck {
		p.struck = true
		p.backoff = min(max(2*p.backoff, backoffFirst), backoffMost)
		p.retryAt = now.Add(p.backoff)
	}
	if p.trouble == nil || p.trouble.Error() != err.Error() {
		p.notes = append(p.notes, note{
			slog.LevelWarn, "store: " + p.name + " are not being stored, trying again",
			[]any{"error", err, "waiting", p.stats.Waiting},
		})
	}
	p.trouble = err
}

// recovered ends the trouble when a message was stored and nothing from before it is under way. The
// lock is held.
func (p *publisher) recovered() {
	if p.due > 0 || p.head != p.tail {
		return
	}
	p.notes = append(p.notes, note{
		slog.LevelInfo, "store: " + p.name + " are being stored again",
		[]any{"after", time.Since(p.since).Round(time.Millisecond), "waiting", p.stats.Waiting},
	})
	p.trouble, p.retryAt, p.backoff = nil, time.Time{}, 0
}

// collect puts the messages of ended attempts in front of all others, in their order. The lock is
// held and no reply is due.
func (p *publisher) collect() {
	for n := p.tail; n != p.head; {
		n--
		slot := &p.flight[n%windowMessages]
		if m := *slot; m != nil && m.state == failed {
			m.state = waiting
			p.again.pushFront(m)
		}
		*slot = nil
	}
	p.head = p.tail
}

// refused ends an attempt that the server or the connection did not take.
func (p *publisher) refused(number uint64, err error) {
	p.mu.Lock()
	m := p.flyingAt(number)
	if m == nil {
		p.mu.Unlock()
		return
	}
	m.state = failed
	p.due--
	p.dueSize -= len(m.buf)
	var drop *message
	switch {
	case errors.Is(err, errMoved):
		p.progress, p.passed = time.Now(), max(p.passed, number) // a word of the stream's, as a confirmation is
		fallthrough
	case errors.Is(err, ErrTooLarge):
		drop = p.setAside(number, m, err)
	default:
		p.fail(err, time.Now())
	}
	wake := p.mustWake()
	// The first tries may just meet a stream whose leader moves.
	repair := errors.Is(err, ErrNoStream) && p.backoff > 4*backoffFirst && !p.closed
	p.mu.Unlock()
	if wake {
		p.signal()
	}
	if repair {
		p.repair()
	}
	if drop != nil {
		p.tell(drop, err)
	}
}

// setAside takes a message out of the way that this server will never take, so that it does not stop
// the others. One that somebody waits for is given up and returned; a record stays, and makes the
// sink unhealthy, until there is a connection to another server. The lock is held.
func (p *publisher) setAside(number uint64, m *message, err error) (drop *message) {
	p.flight[number%windowMessages] = nil
	p.advance()
	if p.trouble != nil {
		p.recovered()
	}
	if m.done != nil {
		p.unlink(m)
		m.state = stored
		p.forget(m)
		return m
	}
	m.state = waiting
	p.parked = append(p.parked, m)
	p.notes = append(p.notes, note{
		slog.LevelError, "store: one of the " + p.name + " is set aside until the server takes larger messages",
		[]any{"subject", m.subject(), "error", err},
	})
	return nil
}

// supersede links the write m to the unconfirmed older write of the same key. Without that an older
// value that failed would be written again after a newer one. The lock is held.
func (p *publisher) supersede(m *message) {
	if older := p.latest[m.subject()]; older != nil {
		older.later = m
	}
	p.latest[m.subject()] = m
}

// unlink takes a write that is given up out of the order of its key: an older one that failed is not
// covered by it, and is itself followed by what comes next. The lock is held.
func (p *publisher) unlink(m *message) {
	for older := range p.held {
		if older.later == m {
			older.later = m.later
			if p.latest[m.subject()] == m {
				p.latest[m.subject()] = older
			}
		}
	}
}

// held yields every message that is not stored yet, those set aside aside. The lock is held.
func (p *publisher) held(yield func(*message) bool) {
	for n := p.head; n != p.tail; n++ {
		if m := p.flight[n%windowMessages]; m != nil && m.state != stored && !yield(m) {
			return
		}
	}
	for _, q := range []*fifo{&p.again, &p.queue} {
		for m := q.head; m != nil; m = m.next {
			if m.state != stored && !yield(m) {
				return
			}
		}
	}
}

// covered reports whether the write m, about to be published again, has a newer one of the same key:
// it is not written then, and ends together with the newest. The lock is held.
func (p *publisher) covered(m *message) bool {
	if m.later == nil {
		return false
	}
	newest := m.later
	for newest.later != nil {
		newest = newest.later
	}
	p.forget(m)
	m.state = stored
	if newest.state != stored {
		newest.covers = append(newest.covers, m)
		return true
	}
	p.stats.Stored++
	go p.tell(m, nil) // the lock is held, and done may call back
	return true
}

// connectionLost is called when the connection broke: what was under way may be lost.
func (p *publisher) connectionLost(err error) {
	if err == nil {
		err = ErrDisconnected
	} else {
		err = fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	p.mu.Lock()
	p.down = err
	p.breaks++
	if p.due > 0 {
		p.abandon(err, time.Now())
	}
	p.mu.Unlock()
	p.signal()
}

// connectionBack is called when the connection stands again. Between the break and this call
// messages may have gone into either connection, so everything under way is published again.
func (p *publisher) connectionBack() {
	p.mu.Lock()
	p.down = nil
	now := time.Now()
	if p.due > 0 {
		p.abandon(ErrDisconnected, now)
	}
	p.retryAt = now
	for _, m := range p.parked { // the server may be another one now
		p.queue.push(m)
	}
	p.parked = nil
	p.mu.Unlock()
	p.signal()
}

// interruptions returns how often storing was interrupted, and whether it is now.
func (p *publisher) interruptions() (n uint64, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaks, p.trouble != nil || p.down != nil
}

// healthy returns nil, or why nothing is stored at the moment.
func (p *publisher) healthy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.down
	if err == nil {
		err = p.trouble
	}
	if err == nil && len(p.parked) > 0 {
		err = ErrTooLarge
	}
	age := p.oldest().Round(time.Millisecond)
	switch {
	case err != nil && p.stats.Waiting > 0:
		return fmt.Errorf("%d %s wait for the store, the oldest for %s: %w", p.stats.Waiting, p.name, age, err)
	case err != nil:
		return err
	case age > lateAfter:
		return fmt.Errorf("%d %s wait for the store, the oldest for %s: %w", p.stats.Waiting, p.name, age, ErrNoAnswer)
	}
	return nil
}

// oldest returns the age of the oldest message held. The lock is held.
func (p *publisher) oldest() time.Duration {
	var age time.Duration
	if p.head != p.tail {
		if m := p.flight[p.head%windowMessages]; m != nil {
			age = time.Since(m.queued)
		}
	}
	for _, m := range []*message{p.again.head, p.queue.head} {
		if m != nil && m.state != stored {
			age = max(age, time.Since(m.queued))
		}
	}
	if len(p.parked) > 0 {
		age = max(age, time.Since(p.parked[0].queued))
	}
	return age
}

// snapshot returns the counters.
func (p *publisher) snapshot() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// close takes no more messages, waits until all are stored or ctx ends, and stops the writer and the
// replies. Whoever waits for a write that was not stored is told ErrClosed.
func (p *publisher) close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.over
		return nil
	}
	p.closed = true
	if p.batch != nil {
		p.batch.end()
	}
	empty := make(chan struct{})
	if p.stats.Waiting == 0 {
		close(empty)
	} else {
		p.empty = empty
	}
	wake := p.mustWake()
	p.mu.Unlock()
	if wake {
		p.signal()
	}

	select {
	case <-empty:
	case <-ctx.Done():
	}
	close(p.quit)
	<-p.over
	_ = p.sub.Unsubscribe() // fails only when the connection is closed, which ended it
	<-p.deaf

	p.mu.Lock()
	left, cause := p.giveUp()
	p.mu.Unlock()
	records := 0
	for _, m := range left {
		records += m.records()
		p.tell(m, ErrClosed)
	}
	if len(left) == 0 {
		return nil
	}
	if cause == nil {
		cause = context.Cause(ctx)
	}
	return fmt.Errorf("nats: closed with %d %s not stored: %w", records, p.name, cause)
}

// giveUp empties the publisher and returns what was not stored, and why. The lock is held.
func (p *publisher) giveUp() (left []*message, cause error) {
	if cause = p.down; cause == nil {
		cause = p.trouble
	}
	for n := p.head; n != p.tail; n++ {
		if m := p.flight[n%windowMessages]; m != nil && m.state != stored {
			left = append(left, m)
		}
		p.flight[n%windowMessages] = nil
	}
	p.head = p.tail
	for _, q := range []*fifo{&p.again, &p.queue} {
		for m := q.pop(); m != nil; m = q.pop() {
			if m.state != stored {
				left = append(left, m)
			}
		}
	}
	left = append(left, p.parked...)
	p.parked = nil
	for _, m := range left {
		m.reuse = false
	}
	return left, cause
}
