package command

import "sync"

// outbox runs the effects of state changes (frames to links, events, store writes) in the order in which they were pushed,
// without the dispatcher's lock, on whichever goroutine flushes first. Effects may call back into the dispatcher.
//
// None of the effects blocks, so that flush may be called on an event loop.
type outbox struct {
	mu      sync.Mutex
	queue   []func()
	running bool
}

// push adds an effect. Called under the dispatcher's lock, which gives the order.
func (o *outbox) push(effect func()) {
	o.mu.Lock()
	o.queue = append(o.queue, effect)
	o.mu.Unlock()
}

// flush runs what is queued. When another goroutine, or an outer flush on this one, is at it already, it returns at once:
// that one will run the new effects too.
func (o *outbox) flush() {
	o.mu.Lock()
	if o.running {
		o.mu.Unlock()
		return
	}
	o.running = true
	for len(o.queue) > 0 {
		batch := o.queue
		o.queue = nil
		o.mu.Unlock()
		for _, effect := range batch {
			effect()
		}
		o.mu.Lock()
	}
	o.running = false
	o.mu.Unlock()
}
