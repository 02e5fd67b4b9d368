package main

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/session"
)

// presence is told of every vehicle that goes online or offline, in order, under a lock of the table.
func (n *node) presence(e session.PresenceEvent) {
	n.state.registry.Note(e)
	n.commands.Presence(e)
	n.announce(e)
	n.traces.Presence(e)
	if e.Online {
		// One that was disabled or deleted between the gate and the table was offline when barred looked. Not here: the
		// table is locked.
		if d, known := n.state.registry.Lookup(e.VIN); !known || d.Disabled {
			go n.barred(e.VIN)
		}
	}
}

func (n *node) announce(e session.PresenceEvent) {
	if n.last != nil {
		n.last.Touch(e.VIN)
	}
	n.state.store.Events().Publish(e.VIN, e.Kind(), e.AppendJSON(nil))
}

// refused is told of logins that were not let in.
func (n *node) refused(e session.RefusedEvent) {
	n.state.store.Events().Publish(e.VIN, session.KindRefused, e.AppendJSON(nil))
}

// endLeftSessions ends the sessions that a crash left open.
func (n *node) endLeftSessions() {
	if left := n.state.registry.RecoverOnline(time.Now(), n.announce); left > 0 {
		n.log.Warn("the gateway had not been stopped: sessions ended", "sessions", left, "reason", session.ReasonGatewayRestart)
	}
}

// barred is told of devices that were deleted or disabled, by this node or another.
func (n *node) barred(vin codec.VIN) {
	if s := n.table.Get(vin); s != nil {
		admin.Kick(n.table, s)
	}
}

// platformBarred is told of platforms that were deleted or whose user name or password changed, by this node or another.
func (n *node) platformBarred(code codec.VIN) {
	if links := n.table.ClosePlatform(code.String(), session.ReasonKicked); links > 0 {
		n.log.Info("connections of a platform closed: it was deleted, or its user name or password changed", "platform", code.String(), "connections", links)
	}
}
