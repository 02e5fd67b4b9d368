// Package trace lets operators follow one vehicle's frames while the gateway runs. Nobody else pays for it: a loop looks
// at one pointer, which is nil as long as nobody is followed.
package trace

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

const (
	queue       = 256 // events that a follower may leave unread
	maxFollowed = 16  // followers at the same time
)

// ErrTooMany says that too many vehicles are followed already.
var ErrTooMany = errors.New("trace: 16 vehicles are followed already")

// ErrClosed says that the gateway ends.
var ErrClosed = errors.New("trace: the gateway stops")

// Hub hands what happens to those who follow. The zero value is ready; its methods are safe from any goroutine and, but
// for Follow, never block.
type Hub struct {
	active  atomic.Pointer[Followers] // nil when nobody follows
	dropped atomic.Uint64             // events that followers lost

	mu     sync.Mutex
	all    []*Follower
	closed bool
}

// Followers are those who follow at the moment.
type Followers struct{ byVIN map[codec.VIN][]*Follower }

// Active returns the followers, nil when there are none: the only question on a frame's way.
func (h *Hub) Active() *Followers { return h.active.Load() }

// Follow follows a vehicle, online or not, until Close.
func (h *Hub) Follow(vin codec.VIN) (*Follower, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, ErrClosed
	case len(h.all) >= maxFollowed:
		return nil, ErrTooMany
	}
	f := &Follower{hub: h, vin: vin, events: make(chan Event, queue), asked: map[codec.Command][]time.Time{}}
	h.all = append(h.all, f)
	h.publish()
	return f, nil
}

// Stats is what a Hub does, for metrics.
type Stats struct {
	Followers int
	Dropped   uint64 // events that followers lost because they did not read them in time
}

// Stats returns the numbers of the moment.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Followers: len(h.all), Dropped: h.dropped.Load()}
}

// Close ends all followers, and those that would come.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, f := range h.all {
		f.end()
	}
	h.all = nil
	h.publish()
}

// publish shows the loops who follows. The lock is held.
func (h *Hub) publish() {
	if len(h.all) == 0 {
		h.active.Store(nil)
		return
	}
	f := &Followers{byVIN: map[codec.VIN][]*Follower{}}
	for _, one := range h.all {
		f.byVIN[one.vin] = append(f.byVIN[one.vin], one)
	}
	h.active.Store(f)
}

// Presence tells of a vehicle that has gone online or offline.
func (h *Hub) Presence(e session.PresenceEvent) {
	if f := h.Active(); f != nil {
		f.tell(e.VIN, Event{At: session.At(e.At), Kind: e.Kind(), Session: session.FormatID(e.Session), Platform: e.Platform, Reason: string(e.Reason)})
	}
}

// Link is where a frame came from or goes to.
type Link struct {
	Session  uint64 // 0 before a login
	Remote   netip.AddrPort
	Platform string // "" for a vehicle link
}

// In tells of a frame that has arrived.
func (fs *Followers) In(l Link, at time.Time, f codec.Frame) {
	for _, one := range fs.byVIN[f.VIN()] {
		one.frame(KindIn, l, at, f)
	}
}

// Follows reports whether somebody follows the vehicle.
func (fs *Followers) Follows(vin codec.VIN) bool { return fs.byVIN[vin] != nil }

// Out tells of frames that are being sent: answers and commands, one behind the other in b. link is asked for the link
// of a vehicle that is followed.
func (fs *Followers) Out(link func(codec.VIN) Link, at time.Time, b []byte) {
	for len(b) > 0 {
		f, n, err := codec.Next(b, codec.MaxUnitSize)
		if n == 0 {
			return
		}
		if b = b[n:]; err == nil && fs.Follows(f.VIN()) {
			l := link(f.VIN())
			for _, one := range fs.byVIN[f.VIN()] {
				one.frame(KindOut, l, at, f)
			}
		}
	}
}

// Bad tells of a bad frame on the link of a vehicle.
func (fs *Followers) Bad(vin codec.VIN, l Link, at time.Time, reason string) {
	e := l.event(KindBad, at)
	e.Reason = reason
	fs.tell(vin, e)
}

func (fs *Followers) tell(vin codec.VIN, e Event) {
	for _, one := range fs.byVIN[vin] {
		one.put(e)
	}
}

// Follower receives the events of one vehicle.
type Follower struct {
	hub     *Hub
	vin     codec.VIN
	events  chan Event
	dropped atomic.Uint64

	mu    sync.Mutex
	ended bool
	asked map[codec.Command][]time.Time // when frames came or commands went that have no answer yet, oldest first
}

// Events are what happens, in order. The channel is closed by Close and when the gateway ends.
func (f *Follower) Events() <-chan Event { return f.events }

// Dropped is the number of events that were lost because they were not read in time, since the last call.
func (f *Follower) Dropped() uint64 { return f.dropped.Swap(0) }

// Close ends following.
func (f *Follower) Close() {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.all, f); i >= 0 {
		h.all = slices.Delete(h.all, i, i+1)
		h.publish()
	}
	f.end()
}

func (f *Follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.events)
	}
}

// put never blocks: an event that finds no room is counted.
func (f *Follower) put(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.putLocked(e)
}

func (f *Follower) putLocked(e Event) {
	if f.ended {
		return
	}
	select {
	case f.events <- e:
	default:
		f.dropped.Add(1)
		f.hub.dropped.Add(1)
	}
}

// frame describes a frame and finds out what it answers.
func (f *Follower) frame(kind string, l Link, at time.Time, frame codec.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := l.event(kind, at)
	if took, ok := f.took(frame, at); ok {
		ms := float64(took.Microseconds()) / 1000
		e.Took = &ms
	}
	if len(f.events) == cap(f.events) { // not worth the decoding
		f.putLocked(e)
		return
	}
	e.describe(frame)
	f.putLocked(e)
}

// maxAsked bounds what is remembered of frames that nobody answers.
const maxAsked = 64

// took is the time since the frame that this one answers. Answers come in the order of what they answer.
func (f *Follower) took(frame codec.Frame, at time.Time) (time.Duration, bool) {
	c := frame.Command()
	open := f.asked[c]
	if frame.Flag() == codec.FlagCommand {
		if len(open) < maxAsked {
			f.asked[c] = append(open, at)
		}
		return 0, false
	}
	if len(open) == 0 {
		return 0, false
	}
	f.asked[c] = open[1:]
	return at.Sub(open[0]), true
}
