package mqttdevice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tboxgate/tboxgate/session"
)

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
	o.Warn = cmp.Or(o.Warn, o.Log)
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
		err = fmt.Errorf("mqttdevice: %d devices are still connected: %w", b.connected(), ctx.Err())
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
