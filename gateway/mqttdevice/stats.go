package mqttdevice

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/tboxgate/tboxgate/session"
)

// counters are what Stats tells.
type counters struct {
	accepted, overLimit, received, delivered, denied, panics atomic.Uint64

	mu      sync.Mutex
	refused map[string]uint64
}

func (c *counters) refuse(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[string]uint64{}
	}
	c.refused[reason]++
}

// refusals are all reasons.
var refusals = [...]string{RefusedSignature, RefusedProduct, RefusedWill, session.RefusedNotRegistered, session.RefusedDisabled, session.RefusedSealKey, string(session.ReasonDrain)}

// Stats counts what a broker did since its start.
type Stats struct {
	Connected int               // devices online here
	Accepted  uint64            // connections
	OverLimit uint64            // connections closed at once for a limit
	Refused   map[string]uint64 // CONNECTs not let in, by reason
	Received  uint64            // messages published by devices
	Delivered uint64            // messages handed to devices
	Denied    uint64            // topics that a device may not use
	Panics    uint64            // connections that ended by a fault of the gateway
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	c := &b.count
	c.mu.Lock()
	refused := make(map[string]uint64, len(refusals)) // all of them: a series that begins with its first count has no rate
	for _, reason := range refusals {
		refused[reason] = 0
	}
	maps.Copy(refused, c.refused)
	c.mu.Unlock()
	return Stats{
		Connected: b.connected(), Accepted: c.accepted.Load(), OverLimit: c.overLimit.Load(), Refused: refused, Received: c.received.Load(),
		Delivered: c.delivered.Load(), Denied: c.denied.Load(), Panics: c.panics.Load(),
	}
}
