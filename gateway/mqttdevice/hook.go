package mqttdevice

import (
	"context"
	"errors"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tboxgate/tboxgate/session"
)

// hook is what the broker asks and tells. Its methods run on the connection's own goroutine, but for those about packets to a
// device, which run on that of whoever publishes.
type hook struct {
	mqtt.HookBase
	b *Broker
}

// ID names the hook.
func (h *hook) ID() string { return "tboxgate" }

// Provides says which methods below there are.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnPacketRead,
		mqtt.OnSubscribe, mqtt.OnPublish, mqtt.OnPublishDropped, mqtt.OnQosPublish, mqtt.OnWillSent:
		return true
	}
	return false
}

// OnConnectAuthenticate lets a device in that signs with its secret. Every connection is a session of its own in the broker,
// under an id that nobody else can name: the protocol's take-over by client id would let two ids of one device live side by
// side.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	sign, err := parseSignature(pk.Connect.ClientIdentifier, string(pk.Connect.Username), string(pk.Connect.Password))
	if err != nil {
		h.b.refuse(cl, sign, RefusedSignature, err)
		return false
	}
	topics, known := h.b.o.Products(sign.productKey)
	device, signed, registered, err := h.b.o.Devices.verify(&sign)
	switch will := pk.Connect.WillTopic; {
	case !known:
		h.b.refuse(cl, sign, RefusedProduct, nil)
	case !registered:
		h.b.refuse(cl, sign, session.RefusedNotRegistered, nil)
	case err != nil:
		h.b.refuse(cl, sign, session.RefusedSealKey, err)
	case !signed:
		h.b.refuse(cl, sign, RefusedSignature, nil)
	case device.Disabled:
		h.b.refuse(cl, sign, session.RefusedDisabled, nil)
	case pk.Connect.WillFlag && !allowed(topics, sign.productKey, sign.deviceName, will, Publish):
		h.b.refuse(cl, sign, RefusedWill, nil) // the broker would publish it without asking
	case h.b.draining.Load():
		h.b.refuse(cl, sign, string(session.ReasonDrain), nil)
	default:
		h.b.admit(cl, sign, topics)
		return true
	}
	return false
}

// OnACLCheck lets a device publish to (write) or subscribe to topics of its own.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	s := h.b.sessionOf(cl)
	if s == nil {
		return false
	}
	want := Subscribe
	if write {
		want = Publish
	}
	ok := allowed(s.topics, s.key.product, s.key.name, topic, want)
	if !ok {
		h.b.count.denied.Add(1)
		h.b.o.Log.Debug("an MQTT device may not use a topic", s.about(), "topic", topic, "want", want)
	}
	return ok
}

// OnSessionEstablished: the device has heard that it is in.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if s := h.b.sessionOf(cl); s != nil {
		h.b.online(s)
	}
}

// OnDisconnect ends the session.
func (h *hook) OnDisconnect(cl *mqtt.Client, err error, _ bool) {
	if s := h.b.sessionOf(cl); s != nil {
		h.b.offline(s, s.reason(err))
	}
}

// OnPacketRead holds a device to the rate: it is not read faster. Its acknowledgements are taken here, where they can only be
// the device's: the broker calls OnQosComplete for its own as well.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if s := h.b.sessionOf(cl); s != nil {
		if pk.FixedHeader.Type == packets.Puback {
			s.acknowledged(pk.PacketID)
			return pk, nil
		}
		_ = s.pace.Wait(s.ctx) // it fails when the session ends, and the next read tells
	}
	return pk, nil
}

// OnSubscribe bounds the subscriptions of a device. A filter that is empty is refused by the broker.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	have := cl.State.Subscriptions.GetAll()
	n := len(have)
	for i := range pk.Filters {
		if _, again := have[pk.Filters[i].Filter]; again {
			continue
		}
		if n++; n > h.b.o.Limits.Subscriptions {
			pk.Filters[i].Filter = ""
		}
	}
	return pk
}

// OnPublish stores a message of a device. The acknowledgement follows when it returns; a message that is not stored is not
// acknowledged, and the connection ends, so that the device sends it again.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	s := h.b.sessionOf(cl)
	if s == nil {
		return pk, packets.ErrRejectPacket
	}
	if err := h.b.store(s, pk); err != nil {
		if !errors.Is(err, context.Canceled) {
			h.b.o.Warn.Error("a message of an MQTT device is not stored and not acknowledged", s.about(), "error", err)
		}
		s.stop(session.ReasonKicked, packets.ErrServerBusy)
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// OnWillSent stores the last will of a device.
func (h *hook) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	if s := h.b.sessionOf(cl); s != nil {
		h.b.o.Store(h.b.message(s, pk), func(error) {}) // the store says what it loses
	}
}

// OnQosPublish tells the packet id of a message to a device.
func (h *hook) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	if s := h.b.sessionOf(cl); s != nil && pk.Origin == mqtt.InlineClientId {
		s.handedOver(pk.TopicName, pk.PacketID)
	}
}

// OnPublishDropped: there was no room for a message to a device.
func (h *hook) OnPublishDropped(cl *mqtt.Client, pk packets.Packet) {
	if s := h.b.sessionOf(cl); s != nil && pk.Origin == mqtt.InlineClientId {
		s.dropped(pk.TopicName)
	}
}
