package mqttdevice

import (
	"cmp"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// Reasons of refused connections besides session.RefusedNotRegistered and session.RefusedDisabled.
const (
	RefusedSignature = "signature" // not signed, or not with the device's secret
	RefusedProduct   = "notMQTT"   // the product is unknown or not one of MQTT devices
	RefusedWill      = "willTopic" // the last will goes to a topic that the device may not publish to
)

// Limits bound what devices may use. Zero values stand for the defaults.
type Limits struct {
	Connections   int           // in all, 10,000
	PerAddress    int           // from one address, 0: no limit
	PacketSize    int           // of one MQTT packet, 256 KiB
	MessageRate   int           // packets of one device read in a second, and at once; 30
	KeepAlive     time.Duration // the longest silence: what devices ask for beyond it, or 0, is cut to it; 20 minutes
	Subscriptions int           // of one device, 100
	ConnectTime   time.Duration // from connecting, TLS included, to CONNECT; 10 s
}

func (l Limits) withDefaults() Limits {
	l.Connections = cmp.Or(l.Connections, 10_000)
	l.PacketSize = cmp.Or(l.PacketSize, 256<<10)
	l.MessageRate = cmp.Or(l.MessageRate, 30)
	l.KeepAlive = cmp.Or(l.KeepAlive, 20*time.Minute)
	l.Subscriptions = cmp.Or(l.Subscriptions, 100)
	l.ConnectTime = cmp.Or(l.ConnectTime, 10*time.Second)
	return l
}

// Message is what a device has published.
type Message struct {
	ProductKey string
	DeviceName string
	Session    string
	Node       string
	Topic      string
	QoS        byte
	At         time.Time
	Payload    []byte // valid until Store returns
}

// Refusal is a connection that was not let in.
type Refusal struct {
	ProductKey string // as the device said, "" when that could not be read
	DeviceName string
	Remote     string
	Reason     string // RefusedSignature …
	At         time.Time
}

// Options configure a Broker. Listeners, Devices, Products and Store are required.
type Options struct {
	Listeners []Listener
	Devices   *Devices
	// Products returns the custom topics of a product of MQTT devices, and false for any other. nil: devices may use all
	// topics below their own.
	Products func(productKey string) (topics []Topic, ok bool)
	// Store keeps a message of a device. It calls done at most once, on any goroutine: with nil when the message is stored.
	Store func(m Message, done func(error))
	// StoreTime is how long a device's message may wait for that before its connection is ended. Default 30 s.
	StoreTime time.Duration
	// Presence is told of devices that go online or offline, in the order of the events of each device. It must not block.
	Presence func(PresenceEvent)
	Refused  func(Refusal) // told of connections that were not let in; must not block
	Limits   Limits
	Node     string
	Log      *slog.Logger
	Warn     *slog.Logger // for lines that anybody can cause as often as they like; default Log
}

// limiter is the rate of one device.
func (l Limits) limiter() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(l.MessageRate), l.MessageRate)
}

// keepAlive is the time a connection may be silent, in seconds: what the device asked for, within the limit.
func (l Limits) keepAlive(asked uint16) uint16 {
	most := uint16(min(l.KeepAlive, 65535*time.Second/2) / time.Second)
	if asked == 0 || asked > most {
		return most
	}
	return asked
}
