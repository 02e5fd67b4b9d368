package nats

import (
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// onReply takes one confirmation or refusal, on the subscription's goroutine.
func (p *publisher) onReply(msg *natsgo.Msg) {
	number, ok := parseReplyNumber(msg.Subject, len(p.inbox))
	if !ok {
		if r, ok := parseBurstReply(msg.Subject[min(len(p.inbox), len(msg.Subject)):]); ok {
			p.onBurstReply(r, msg)
		}
		return
	}
	seq, err := parseAck(msg)
	if err != nil {
		p.refused(number, err)
		return
	}
	p.confirmed(number, seq)
}

// confirmed ends a message: it is stored, with this number of the stream's.
func (p *publisher) confirmed(number, seq uint64) {
	p.mu.Lock()
	m := p.store(number)
	if m == nil {
		p.mu.Unlock()
		return
	}
	m.seq = seq
	p.lastSeq = seq
	wake := p.afterStored()
	p.mu.Unlock()
	if wake {
		p.signal()
	}
	p.tell(m, nil)
}

// store ends the message of a confirmed attempt; nil: it has ended before. The lock is held; afterStored
// follows.
func (p *publisher) store(number uint64) *message {
	m := p.flyingAt(number)
	if m != nil {
		p.flight[number%windowMessages] = nil // m may be another message soon
	} else {
		m = p.late[number]
		delete(p.late, number)
	}
	if m == nil || m.state == stored { // stored twice
		return nil
	}
	if m.state == flying { // with this number, or already with another one
		p.due--
		p.dueSize -= len(m.buf)
	}
	m.state = stored
	p.passed = max(p.passed, number)
	p.stats.Stored += uint64(m.records())
	p.forget(m)
	if m.batch != nil {
		p.batch.stored(m)
	}
	return m
}

// afterStored does what follows from confirmations and reports whether to wake the writer. The lock is
// held.
func (p *publisher) afterStored() (wake bool) {
	p.progress = time.Now()
	p.advance()
	if p.trouble != nil {
		p.recovered()
	}
	return p.mustWake()
}

// flyingAt returns the message whose reply with this number is due, or nil. The lock is held.
func (p *publisher) flyingAt(number uint64) *message {
	if number < p.head || number >= p.tail {
		return nil
	}
	if m := p.flight[number%windowMessages]; m != nil && m.state == flying {
		return m
	}
	return nil
}

// advance moves the head of the flight over what is stored. The lock is held.
func (p *publisher) advance() {
	for p.head != p.tail {
		slot := &p.flight[p.head%windowMessages]
		if *slot != nil && (*slot).state != stored {
			return
		}
		*slot = nil
		p.head++
	}
}

// forget takes a message out of the accounts. The lock is held.
func (p *publisher) forget(m *message) {
	p.stats.Waiting -= m.records()
	p.stats.WaitingBytes -= int64(len(m.buf))
	if m.done != nil && p.latest[m.subject()] == m {
		delete(p.latest, m.subject())
	}
	if p.stats.Waiting == 0 {
		clear(p.late)
		if p.empty != nil {
			close(p.empty)
			p.empty = nil
		}
	}
}

// tell hands the outcome to whoever waits for it, without the lock, and reuses the message.
func (p *publisher) tell(m *message, err error) {
	for _, older := range m.covers {
		p.tell(older, err)
	}
	switch {
	case m.done != nil:
		m.done(err)
	case err != nil:
	case m.batch != nil:
		for _, r := range m.batch.told {
			r.to.Stored(r.ticket)
		}
	case m.to != nil:
		m.to.Stored(m.ticket)
	}
	if m.reuse {
		p.drop(m)
	}
}

// drop gives back a message that nobody and no number names.
func (p *publisher) drop(m *message) {
	m.reset()
	p.pool.Put(m)
}
