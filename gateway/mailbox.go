package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"

	"github.com/tboxgate/tboxgate/session"
)

// mailbox is the only way from other goroutines into a loop. What lies in it is
// read in the order it was put in; gnet's Execute, whose tasks may overtake
// each other, only rings the bell.
type mailbox struct {
	loop  *loop
	event atomic.Pointer[gnet.EventLoop] // nil until the loop's first connection

	mu     sync.Mutex
	stored []storedMail
	mail   []mail
	tick   bool // a second has passed
	resume bool // the store has room again
	rung   bool // the loop has been told and has not looked yet
	closed bool // the loop has ended: nothing is taken any more
}

// storedMail says that the record of a ticket of c is durable.
type storedMail struct {
	c      *conn
	ticket uint64
}

// mail is a frame to be sent on c; without a frame, the wish that c be closed;
// without c, something to be done on the loop.
type mail struct {
	c      *conn
	frame  []byte
	done   func(error) // nil unless there is a frame
	reason session.Reason
	do     func()
}

func (b *mailbox) putStored(c *conn, ticket uint64) {
	b.mu.Lock()
	b.stored = append(b.stored, storedMail{c, ticket})
	b.ringLocked()
}

// put reports false when the loop has ended.
func (b *mailbox) put(m mail) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.mail = append(b.mail, m)
	b.ringLocked()
	return true
}

func (b *mailbox) putTick() {
	b.mu.Lock()
	b.tick = true
	b.ringLocked()
}

func (b *mailbox) putResume() {
	b.mu.Lock()
	b.resume = true
	b.ringLocked()
}

// ringLocked unlocks mu and rings unless the bell has rung already.
func (b *mailbox) ringLocked() {
	ring := !b.rung && !b.closed
	el := b.event.Load()
	if el == nil {
		ring = false // no connection yet, so nobody waits for the mail
	}
	if ring {
		b.rung = true
	}
	b.mu.Unlock()
	if ring {
		// An error means that the engine is shutting down; loop.stop empties the box.
		_ = (*el).Execute(context.Background(), b)
	}
}

// Run empties the box on the loop. It is gnet's Runnable.
func (b *mailbox) Run(context.Context) error {
	b.loop.readMail()
	return nil
}

// batch is what lay in a mailbox.
type batch struct {
	stored []storedMail
	mail   []mail
	tick   bool
	resume bool
}

// swap takes what lies in the box and leaves last's memory for what comes next.
func (b *mailbox) swap(last batch) batch {
	clear(last.mail)
	clear(last.stored)
	b.mu.Lock()
	defer b.mu.Unlock()
	got := batch{stored: b.stored, mail: b.mail, tick: b.tick, resume: b.resume}
	b.stored, b.mail = last.stored[:0], last.mail[:0]
	b.tick, b.resume, b.rung = false, false, false
	return got
}

// close refuses further mail and returns what nobody will read.
func (b *mailbox) close() []mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	left := b.mail
	b.mail, b.stored = nil, nil
	return left
}
