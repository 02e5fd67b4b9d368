package mqttdevice

import (
	"errors"
	"fmt"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// The errors of Deliver, to be tested with errors.Is, and what becomes of a message that was handed over.
var (
	ErrOffline       = errors.New("mqttdevice: the device is not connected here")
	ErrForeignTopic  = errors.New("mqttdevice: the topic is not one of the device's own")
	ErrPermission    = errors.New("mqttdevice: devices of the product may not subscribe to the topic")
	ErrNotSubscribed = errors.New("mqttdevice: the device does not subscribe to the topic")
	ErrBusy          = errors.New("mqttdevice: too much waits for the device already")
	ErrGone          = errors.New("mqttdevice: the connection ended before the device acknowledged")
)

// Deliver hands a message to a device that is connected here and subscribes to its topic. QoS is 1 if it subscribed so, else 0.
// With QoS 1, acked is called once, on any goroutine: with nil when the device has acknowledged, with ErrGone when its
// connection ended before. With QoS 0, and with an error, it is not called. The errors are ErrForeignTopic, ErrPermission,
// ErrOffline, ErrNotSubscribed and ErrBusy, looked for in this order.
func (b *Broker) Deliver(productKey, deviceName, topic string, payload []byte, acked func(error)) (qos byte, err error) {
	k := deviceKey{productKey, deviceName}
	topics, known := b.o.Products(productKey)
	switch {
	case !known || !mqtt.IsValidFilter(topic, true) || !allowed(nil, productKey, deviceName, topic, Subscribe):
		return 0, fmt.Errorf("%w: %q", ErrForeignTopic, topic)
	case !allowed(topics, productKey, deviceName, topic, Subscribe):
		return 0, fmt.Errorf("%w: %q", ErrPermission, topic)
	}
	b.mu.Lock()
	s := b.sessions[k]
	b.mu.Unlock()
	if s == nil || s.cl.Closed() {
		return 0, fmt.Errorf("%w: %s", ErrOffline, k)
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	subscribed := false
	for filter, sub := range s.cl.State.Subscriptions.GetAll() {
		if covers(filter, topic) {
			subscribed, qos = true, max(qos, min(sub.Qos, 1))
		}
	}
	if !subscribed {
		return 0, fmt.Errorf("%w: %q", ErrNotSubscribed, topic)
	}
	d := &delivery{topic: topic, acked: acked}
	s.mu.Lock()
	s.current = d
	s.mu.Unlock()
	err = b.server.Publish(topic, payload, false, qos) // only this device can subscribe to the topic
	s.mu.Lock()
	s.current = nil
	lost := d.dropped || qos > 0 && d.packet == 0
	s.mu.Unlock()
	switch {
	case err != nil:
		return 0, fmt.Errorf("mqttdevice: %w", err)
	case lost && s.ctx.Err() != nil:
		return 0, fmt.Errorf("%w: %s", ErrOffline, k)
	case lost:
		return 0, fmt.Errorf("%w: %s", ErrBusy, k)
	}
	b.count.delivered.Add(1)
	return qos, nil
}

func (b *Broker) message(s *deviceSession, pk packets.Packet) Message {
	return Message{
		ProductKey: s.key.product, DeviceName: s.key.name, Session: s.id, Node: b.o.Node, Topic: pk.TopicName, QoS: pk.FixedHeader.Qos,
		At: time.Now(), Payload: pk.Payload,
	}
}

// store keeps a message of a device and, unless its QoS is 0, waits until that is done.
func (b *Broker) store(s *deviceSession, pk packets.Packet) error {
	b.count.received.Add(1)
	if pk.FixedHeader.Qos == 0 {
		b.o.Store(b.message(s, pk), func(error) {}) // nobody is told; the store says what it loses
		return nil
	}
	done := make(chan error, 1)
	b.o.Store(b.message(s, pk), func(err error) { done <- err })
	late := time.NewTimer(b.o.StoreTime)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-late.C:
		return fmt.Errorf("mqttdevice: the store has not confirmed it within %s", b.o.StoreTime)
	}
}
