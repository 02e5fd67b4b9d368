package mqttdevice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tboxgate/tboxgate/session"
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
}

// Broker serves the devices.
type Broker struct {
	o         Options
	server    *mqtt.Server
	listeners []*listener
	open      bool // Start has been called
	draining  atomic.Bool
	ending    sync.Once
	endedBy   error // of Drain, set under ending
	count     counters

	connects atomic.Uint64
	byClient sync.Map // client id in the broker → *deviceSession, from CONNECT to its end
	byConn   sync.Map // net.Conn → *deviceSession, the same

	mu       sync.Mutex
	sessions map[deviceKey]*deviceSession // those online
	none     chan struct{}                // closed and forgotten when sessions is empty; made by Drain
}

// New checks the options and binds the addresses. Start or Close is to follow.
func New(o Options) (*Broker, error) {
	if len(o.Listeners) == 0 || o.Devices == nil || o.Products == nil || o.Store == nil {
		return nil, errors.New("mqttdevice: Options.Listeners, Devices, Products and Store are required")
	}
	o.Limits = o.Limits.withDefaults()
	o.StoreTime = cmp.Or(o.StoreTime, 30*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Presence == nil {
		o.Presence = func(PresenceEvent) {}
	}
	if o.Refused == nil {
		o.Refused = func(Refusal) {}
	}
	b := &Broker{o: o, sessions: map[deviceKey]*deviceSession{}}
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumPacketSize = uint32(o.Limits.PacketSize)
	// A device's queues are small: the channel of pending writes is made at once for each connection.
	capabilities.MaximumClientWritesPending, capabilities.MaximumInflight, capabilities.ReceiveMaximum = 128, 128, 32
	capabilities.TopicAliasMaximum, capabilities.RetainAvailable, capabilities.SharedSubAvailable = 16, 0, 0
	capabilities.MaximumSessionExpiryInterval = 0
	b.server = mqtt.New(&mqtt.Options{
		Capabilities: capabilities, InlineClient: true, SysTopicResendInterval: 3600,
		Logger: slog.New(slog.DiscardHandler), // it logs whole packets
	})
	if err := b.server.AddHook(&hook{b: b}, nil); err != nil {
		return nil, fmt.Errorf("mqttdevice: %w", err)
	}
	guard := &guard{limits: o.Limits, addresses: map[string]int{}, count: &b.count, gone: b.gone}
	for i, l := range o.Listeners {
		ln, err := listen(fmt.Sprintf("listener%d", i), l, guard, o.Log)
		if err == nil {
			b.listeners = append(b.listeners, ln)
			err = b.server.AddListener(ln)
		}
		if err != nil {
			b.closeListeners()
			return nil, fmt.Errorf("mqttdevice: %w", err)
		}
	}
	return b, nil
}

// Start accepts devices.
func (b *Broker) Start() error {
	b.o.Devices.watch(b.changed)
	b.open = true
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("mqttdevice: %w", err)
	}
	return nil
}

// Addrs are the addresses in the order of the listeners, with the ports that were taken.
func (b *Broker) Addrs() []string {
	addrs := make([]string, len(b.listeners))
	for i, l := range b.listeners {
		addrs[i] = l.Address()
	}
	return addrs
}

// Reload reads the certificates again.
func (b *Broker) Reload() error {
	var errs []error
	for _, l := range b.listeners {
		errs = append(errs, l.reload())
	}
	return errors.Join(errs...)
}

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

// Drain refuses new connections, ends those there are, spread over window, and stops. It returns when all have ended or ctx
// has. Later calls return the same.
func (b *Broker) Drain(ctx context.Context, window time.Duration) error {
	b.ending.Do(func() { b.endedBy = b.drain(ctx, window) })
	return b.endedBy
}

func (b *Broker) drain(ctx context.Context, window time.Duration) error {
	b.o.Devices.watch(func(deviceKey) {})
	if !b.open {
		b.closeListeners()
		return nil
	}
	b.draining.Store(true)
	b.closeListeners()
	b.mu.Lock()
	all := make([]*deviceSession, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	none := make(chan struct{})
	if b.none = none; len(all) == 0 {
		b.none = nil
		close(none)
	}
	b.mu.Unlock()
	for i, s := range all {
		if i > 0 && window > 0 {
			select {
			case <-time.After(window / time.Duration(len(all))):
			case <-ctx.Done():
			}
		}
		s.stop(session.ReasonDrain, packets.ErrServerShuttingDown)
	}
	// Those in the middle of their CONNECT.
	for _, l := range b.listeners {
		l.cut()
	}
	var err error
	select {
	case <-none:
	case <-ctx.Done():
		err = fmt.Errorf("mqttdevice: %d devices are still connected: %w", b.Connected(), ctx.Err())
	}
	for _, l := range b.listeners {
		l.closeConns()
	}
	if closeErr := b.server.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("mqttdevice: %w", closeErr))
	}
	return err
}

func (b *Broker) closeListeners() {
	for _, l := range b.listeners {
		l.stopAccepting()
	}
}

// Connected returns the number of devices online here.
func (b *Broker) Connected() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

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
	b.o.Log.Debug("MQTT device "+e.Kind(), "productKey", e.ProductKey, "deviceName", e.DeviceName, "session", e.Session, "remote", e.Remote, "reason", string(reason))
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
	if !validKey(r.ProductKey) || !ValidName(r.DeviceName) {
		r.ProductKey, r.DeviceName = "", ""
	}
	b.o.Refused(r)
	b.o.Log.Info("MQTT device refused", "reason", reason, "productKey", r.ProductKey, "deviceName", r.DeviceName, "remote", r.Remote, "err", err)
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
