package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"unicode/utf8"

	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/gateway"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session"
)

// newBroker makes the broker of the configuration, and ends the sessions that a crash left open. It is nil without a
// listener.
func (n *node) newBroker() (*mqttdevice.Broker, error) {
	c := n.cfg.MQTT
	if len(c.Listeners) == 0 {
		return nil, nil //nolint:nilnil // no listener, no broker
	}
	products := map[string][]mqttdevice.Topic{}
	for _, p := range n.cfg.Products {
		if !p.isVehicles() {
			products[p.Key] = mqttTopics(p)
		}
	}
	o := mqttdevice.Options{
		Devices: n.state.devices, Store: n.storeMessage, Presence: n.devicePresence, Refused: n.deviceRefused, Node: n.cfg.Node, Log: n.log,
		Warn: gateway.LimitedLog(n.log, n.metrics.LogLineSuppressed),
		Products: func(key string) ([]mqttdevice.Topic, bool) {
			topics, ok := products[key]
			return topics, ok
		},
		Limits: mqttdevice.Limits{
			Connections: c.Connections, PerAddress: c.PerAddress, PacketSize: int(c.PacketSize), MessageRate: c.MessageRate,
			KeepAlive: c.KeepAlive, Subscriptions: c.Subscriptions,
		},
	}
	for _, l := range c.Listeners {
		ln := mqttdevice.Listener{Address: l.Address}
		if l.TLS != (MQTTTLS{}) {
			ln.TLS, ln.Expires = &mqttdevice.TLS{Cert: l.TLS.Cert, Key: l.TLS.Key}, n.metrics.Certificate(metrics.ServerMQTT, l.Address)
		}
		o.Listeners = append(o.Listeners, ln)
	}
	b, err := mqttdevice.New(o)
	if err != nil {
		return nil, err
	}
	if left := b.RecoverOnline(); left > 0 {
		n.log.Warn("the gateway had not been stopped: sessions of MQTT devices ended", "sessions", left, "reason", session.ReasonGatewayRestart)
	}
	n.metrics.Registry().MustRegister(b)
	return b, nil
}

// deviceMessage is the JSON of a message of an MQTT device in its stream, of which docs/schema is made.
type deviceMessage struct {
	ProductKey    string            `json:"productKey"`
	DeviceName    string            `json:"deviceName"`
	Topic         string            `json:"topic"`
	QoS           byte              `json:"qos" schema:"max=2"` // with which the device sent it
	ReceivedAt    session.Timestamp `json:"receivedAt"`
	Node          string            `json:"node"`                     // the gateway that received it
	Session       string            `json:"session" schema:"session"` // the connection it came over
	Payload       *string           `json:"payload,omitempty"`        // the message, if it is UTF-8
	PayloadBase64 []byte            `json:"payloadBase64,omitempty"`  // the message, if it is not
}

// storeMessage keeps a message of an MQTT device.
func (n *node) storeMessage(m mqttdevice.Message, done func(error)) {
	d := deviceMessage{
		ProductKey: m.ProductKey, DeviceName: m.DeviceName, Topic: m.Topic, QoS: m.QoS, ReceivedAt: session.At(m.At), Node: m.Node, Session: m.Session,
	}
	if utf8.Valid(m.Payload) {
		text := string(m.Payload)
		d.Payload = &text
	} else {
		d.PayloadBase64 = m.Payload
	}
	body, err := json.Marshal(d)
	if err != nil {
		done(err)
		return
	}
	n.state.store.Events().Message(m.ProductKey, m.DeviceName, body, done)
}

// devicePresence is told of every MQTT device that goes online or offline.
func (n *node) devicePresence(e mqttdevice.PresenceEvent) {
	if body, err := json.Marshal(e); err == nil { // texts and times always encode
		n.state.store.Events().PublishDevice(e.DeviceName, e.Kind(), body)
	}
}

// refusedDevice is the JSON of the event of an MQTT device that was not let in, of which docs/schema is made.
type refusedDevice struct {
	DeviceName string            `json:"deviceName"`
	ProductKey string            `json:"productKey"`
	Login      string            `json:"login" schema:"const=mqtt"`
	Remote     string            `json:"remote" schema:"remote"`
	Node       string            `json:"node"` // the gateway
	At         session.Timestamp `json:"at"`
	Reason     string            `json:"reason" schema:"minLength=1"` // why it was not let in, as in tboxgate_mqtt_refused_total
}

// deviceRefused is told of MQTT devices that were not let in. Those that do not even say who they are stand in the log and
// the metrics only.
func (n *node) deviceRefused(r mqttdevice.Refusal) {
	if r.DeviceName == "" || !n.refusals.Allow() {
		return
	}
	body, err := json.Marshal(refusedDevice{r.DeviceName, r.ProductKey, "mqtt", r.Remote, n.cfg.Node, session.At(r.At), r.Reason})
	if err == nil { // texts and times always encode
		n.state.store.Events().PublishDevice(r.DeviceName, session.KindRefused, body)
	}
}

// topics is the MQTT devices as the API wants them.
type topics struct{ *node }

const (
	// mqttOverhead is what a PUBLISH has besides topic and payload, at most.
	mqttOverhead = 16
	// eventOverhead is what the event of a message has besides them, at most, and topicEscaped how much of it a byte of the topic takes.
	eventOverhead = 1 << 10
	topicEscaped  = len(`\u003c`)
)

// Deliver sends a message to a device, at whatever node it is connected.
func (t topics) Deliver(ctx context.Context, m openapi.TopicMessage) (int64, error) {
	d, known := t.state.devices.Lookup(m.ProductKey, m.DeviceName)
	switch {
	case !known:
		return 0, openapi.ErrTopicDevice
	case d.Disabled:
		return 0, openapi.ErrTopicDisabled
	case d.ActivatedAt.IsZero():
		return 0, openapi.ErrTopicInactive
	}
	return t.relay.Deliver(ctx, command.TopicRequest{
		ProductKey: m.ProductKey, DeviceName: m.DeviceName, Topic: m.Topic, Payload: m.Payload, RequestID: m.RequestID, AccessKeyID: m.AccessKeyID,
	}, openapi.ErrTopicOffline)
}

// deliverHere sends a message to a device that is connected here.
func (n *node) deliverHere(ctx context.Context, m command.TopicRequest) (int64, error) {
	switch {
	case n.broker == nil:
		return 0, openapi.ErrTopicOffline
	case len(m.Payload)+len(m.Topic)+mqttOverhead > int(n.cfg.MQTT.PacketSize):
		return 0, fmt.Errorf("%w: %d bytes, %s with its topic", openapi.ErrTopicTooLong, len(m.Payload), mustText(n.cfg.MQTT.PacketSize))
	}
	if most := n.state.store.MaxPayload() - eventOverhead - len(m.Topic)*topicEscaped; base64.StdEncoding.EncodedLen(len(m.Payload)) > most {
		return 0, fmt.Errorf("%w: %d bytes, and its event takes at most %d by the max_payload of NATS", openapi.ErrTopicTooLong, len(m.Payload), max(most, 0)/4*3)
	}
	id, err := n.commands.SendTopic(ctx, m, func(acked func(error)) (byte, error) {
		return n.broker.Deliver(m.ProductKey, m.DeviceName, m.Topic, m.Payload, acked)
	})
	for from, to := range map[error]error{
		mqttdevice.ErrForeignTopic: openapi.ErrTopicFormat, mqttdevice.ErrPermission: openapi.ErrTopicPermission,
		mqttdevice.ErrOffline: openapi.ErrTopicOffline, mqttdevice.ErrNotSubscribed: openapi.ErrTopicSubscriber, mqttdevice.ErrBusy: openapi.ErrTopicBusy,
	} {
		if errors.Is(err, from) {
			return 0, kindError{err, to}
		}
	}
	return id, err
}

// Device finds a registered device.
func (t topics) Device(productKey, deviceName string) (openapi.Device, bool) {
	d, known := t.state.devices.Lookup(productKey, deviceName)
	return apiDevice(d), known
}

// Devices lists the devices of a product in the order of their names.
func (t topics) Devices(productKey string) iter.Seq[openapi.Device] {
	return func(yield func(openapi.Device) bool) {
		for d := range t.state.devices.List(productKey) {
			if !yield(apiDevice(d)) {
				return
			}
		}
	}
}

func apiDevice(d mqttdevice.Device) openapi.Device {
	v := openapi.Device{
		ProductKey: d.ProductKey, DeviceName: d.DeviceName, RegisteredAt: d.RegisteredAt.Time, ActivatedAt: d.ActivatedAt.Time,
		LastOnlineAt: d.LastOnlineAt.Time, LastOfflineAt: d.LastOfflineAt.Time, Online: d.Online(), Disabled: d.Disabled,
	}
	if v.Online {
		v.Session = d.Session
		if a, err := netip.ParseAddrPort(d.Remote); err == nil {
			v.Remote = a.Addr().Unmap().String()
		}
	}
	return v
}

// refusalEvents are how many refused MQTT devices a second become events.
const refusalEvents = 50

func mustText(s Size) string {
	text, _ := s.MarshalText() // never fails
	return string(text)
}

var _ openapi.Topics = topics{}
