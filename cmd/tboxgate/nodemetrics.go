package main

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/gateway/clock"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/session"
)

// commandDone counts commands that are over.
func (n *node) commandDone(r command.Result) {
	kind := commandKind(r.Command)
	if r.Topic != "" {
		kind = metrics.CommandMessage
	}
	switch {
	case r.Late():
		n.metrics.CommandLate(kind)
	case r.Over():
		n.metrics.CommandDone(kind, string(r.State), r.EndedAt.Sub(r.CreatedAt.Time))
	}
}

func commandKind(c codec.Command) string {
	switch c {
	case codec.CommandParamQuery:
		return "query"
	case codec.CommandParamSet:
		return "set"
	default:
		return "control"
	}
}

// pendingCommands is what the dispatcher has under way.
func (n *node) pendingCommands() []metrics.PendingCommands {
	p := n.commands.Pending(0)
	all := []metrics.PendingCommands{{Command: metrics.CommandMessage, InFlight: p.InFlight, Queued: p.Queued}}
	for c := codec.CommandParamQuery; c <= codec.CommandControl; c++ {
		p := n.commands.Pending(c)
		all = append(all, metrics.PendingCommands{Command: commandKind(c), InFlight: p.InFlight, Queued: p.Queued})
	}
	return all
}

func (n *node) watch() {
	sources := metrics.Sources{
		LastStates: n.lastStates(),
		Sessions:   n.table.Len, Devices: n.state.registry.Len, StoreHealthy: n.sinks.healthy,
		Platforms:    func() int { return len(n.state.platforms.List()) },
		StoreBacklog: n.sinks.backlog,
		StoreSpace:   n.storeSpace,
		StoreStarts:  n.state.store.Restarts,
		EventsLost:   n.state.store.Events().Lost,
		Fleet:        func() session.FleetSummary { return n.fleet().Summary(time.Now()) },
		Clock:        clock.Read,
		Commands:     n.pendingCommands,
		Trace:        n.traces.Stats,
	}
	if n.marker != nil {
		sources.Duplicates = n.marker.Stats
	}
	n.metrics.Watch(sources)
}

// lastStates tells how late last known states are; nil where none are kept.
func (n *node) lastStates() func() (time.Duration, int) {
	if n.last == nil {
		return nil
	}
	return func() (time.Duration, int) { return n.last.Lag(), n.last.Waiting() }
}

// fleet answers questions about all vehicles.
func (n *node) fleet() session.Fleet {
	return session.Fleet{Table: n.table, Registry: n.state.registry}
}

// storeSpace is what the store has found out about its room.
func (n *node) storeSpace() metrics.Space {
	streams, disk := n.state.store.Space()
	m := metrics.Space{DiskFree: -1}
	if disk != nil {
		m.DiskFree = disk.Free
	}
	for _, s := range streams {
		st := metrics.StreamSpace{Stream: s.Stream, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Kept: s.Kept, Left: s.Left}
		if !s.Oldest.IsZero() {
			st.Age = time.Since(s.Oldest)
		}
		m.Streams = append(m.Streams, st)
	}
	return m
}
