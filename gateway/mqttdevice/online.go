package mqttdevice

import (
	"context"
	"net"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/tboxgate/tboxgate/session"
)

// RecoverOnline ends the sessions that this node left open when it died. Call it before Start.
func (b *Broker) RecoverOnline() int {
	left := b.o.Devices.left(b.o.Node)
	for _, d := range left {
		e := PresenceEvent{
			ProductKey: d.ProductKey, DeviceName: d.DeviceName, Session: d.Session, Node: b.o.Node, Remote: d.Remote, At: time.Now(),
			Reason: session.ReasonGatewayRestart,
		}
		b.o.Devices.note(e)
		b.o.Presence(e)
	}
	return len(left)
}

// connected returns the number of devices online here.
func (b *Broker) connected() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// admit makes the session of a device whose CONNECT is good.
func (b *Broker) admit(cl *mqtt.Client, sign signature, topics []Topic) {
	s := &deviceSession{
		key: deviceKey{sign.productKey, sign.deviceName}, id: session.FormatID(session.NewID()), topics: topics, cl: cl,
		order: b.connects.Add(1),
		pace:  b.o.Limits.limiter(), waiting: map[uint16]*delivery{},
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	cl.ID = s.id
	cl.Properties.Clean = true
	cl.Properties.Props.SessionExpiryInterval, cl.Properties.Props.TopicAliasMaximum = 0, 0
	if k := b.o.Limits.keepAlive(cl.State.Keepalive); k != cl.State.Keepalive {
		cl.State.Keepalive, cl.State.ServerKeepalive = k, true
	}
	_ = cl.Net.Conn.SetDeadline(time.Now().Add(time.Duration(cl.State.Keepalive) * 3 / 2 * time.Second))
	b.byClient.Store(cl.ID, s)
	b.byConn.Store(cl.Net.Conn, s)
}

// gone is told of the end of every connection. The broker itself says nothing of one that ends before it has been answered, or
// by a panic.
func (b *Broker) gone(c net.Conn) {
	if v, ok := b.byConn.LoadAndDelete(c); ok {
		b.offline(v.(*deviceSession), session.ReasonPeerClosed)
	}
}

func (b *Broker) sessionOf(cl *mqtt.Client) *deviceSession {
	if v, ok := b.byClient.Load(cl.ID); ok {
		return v.(*deviceSession)
	}
	return nil
}

// online makes s the device's session; an older one ends.
func (b *Broker) online(s *deviceSession) {
	b.mu.Lock()
	old := b.sessions[s.key]
	if old != nil && old.order > s.order { // its CONNECT was later, its goroutine faster
		b.mu.Unlock()
		s.stop(session.ReasonTakeover, packets.ErrSessionTakenOver)
		return
	}
	if old != nil {
		b.emit(old, false, session.ReasonTakeover)
	}
	b.sessions[s.key] = s
	b.emit(s, true, session.ReasonLogin)
	b.mu.Unlock()
	if old != nil {
		old.stop(session.ReasonTakeover, packets.ErrSessionTakenOver)
	}
	b.changed(s.key) // it may have been disabled between the check and now
	if b.draining.Load() {
		s.stop(session.ReasonDrain, packets.ErrServerShuttingDown)
	}
}

// offline ends s, unless another connection has taken its place.
func (b *Broker) offline(s *deviceSession, reason session.Reason) {
	b.byClient.Delete(s.id)
	b.mu.Lock()
	if b.sessions[s.key] == s {
		delete(b.sessions, s.key)
		b.emit(s, false, reason)
		if len(b.sessions) == 0 && b.none != nil {
			close(b.none)
			b.none = nil
		}
	}
	b.mu.Unlock()
	s.over()
}

// emit tells of a change. The broker is locked, so that the events of a device keep their order.
func (b *Broker) emit(s *deviceSession, online bool, reason session.Reason) {
	e := PresenceEvent{
		ProductKey: s.key.product, DeviceName: s.key.name, Session: s.id, Node: b.o.Node, Remote: remoteOf(s.cl.Net.Remote),
		Online: online, At: time.Now(), Reason: reason,
	}
	b.o.Devices.note(e)
	b.o.Presence(e)
	b.o.Log.Debug("MQTT device "+e.Kind(), s.about(), "remote", e.Remote, "reason", string(reason))
}

// changed looks at a device after a change of its entries: one that was disabled or deleted is cut off, and one that has
// connected to another node since loses its connection here.
func (b *Broker) changed(k deviceKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[k]
	if s == nil {
		return
	}
	switch d, known := b.o.Devices.Lookup(k.product, k.name); {
	case !known || d.Disabled:
		s.stop(session.ReasonKicked, packets.ErrNotAuthorized)
	case d.Session != s.id && d.Session != "" && d.Online():
		s.stop(session.ReasonTakeover, packets.ErrSessionTakenOver)
	}
}

// refuse tells of a connection that is not let in.
func (b *Broker) refuse(cl *mqtt.Client, sign signature, reason string, err error) {
	b.count.refuse(reason)
	r := Refusal{ProductKey: sign.productKey, DeviceName: sign.deviceName, Remote: remoteOf(cl.Net.Remote), Reason: reason, At: time.Now()}
	if !validKey(r.ProductKey) || !validName(r.DeviceName) {
		r.ProductKey, r.DeviceName = "", ""
	}
	b.o.Refused(r)
	attrs := []any{"productKey", r.ProductKey, "deviceName", r.DeviceName, "remote", r.Remote, "reason", reason}
	switch {
	case reason == session.RefusedSealKey:
		b.o.Warn.Error("an MQTT device cannot sign in: its secret was sealed with another seal key", append(attrs, "remedy", sealedRemedy)...)
	case err != nil:
		b.o.Warn.Warn("MQTT device refused", append(attrs, "error", err)...)
	default:
		b.o.Warn.Warn("MQTT device refused", attrs...)
	}
}
