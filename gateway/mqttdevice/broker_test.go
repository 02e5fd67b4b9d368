package mqttdevice_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/cert"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	product  = "a1b2c3d4e5f"
	patience = 30 * time.Second
)

// bench is a broker with all that it works on, and what it told.
type bench struct {
	*mqttdevice.Broker
	devices *mqttdevice.Devices
	secrets map[string]string

	mu       sync.Mutex
	presence []string
	refused  []string
	stored   []string
	storeErr error
	hold     bool // what is stored is not confirmed
}

type change func(*mqttdevice.Options)

func newBox(t *testing.T) *seal.Box {
	t.Helper()
	box, err := seal.New(make([]byte, seal.KeySize))
	require.NoError(t, err)
	return box
}

// newBench starts a broker on a bucket and registers D001 and D002.
func newBench(t *testing.T, kv session.KV, node string, changes ...change) *bench {
	t.Helper()
	b := &bench{secrets: map[string]string{}}
	var err error
	b.devices, err = mqttdevice.OpenDevices(t.Context(), kv, newBox(t), nil)
	require.NoError(t, err)
	t.Cleanup(b.devices.Close)
	o := mqttdevice.Options{
		Listeners: []mqttdevice.Listener{{Address: "127.0.0.1:0"}}, Devices: b.devices, Node: node,
		Products: func(key string) ([]mqttdevice.Topic, bool) {
			return []mqttdevice.Topic{{Template: "user/get", Permission: mqttdevice.Subscribe}, {Template: "user/update", Permission: mqttdevice.Publish}, {Template: "both/#", Permission: mqttdevice.Both}}, key == product
		},
		Store: b.store,
		Presence: func(e mqttdevice.PresenceEvent) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.presence = append(b.presence, e.DeviceName+" "+e.Kind()+" "+string(e.Reason))
		},
		Refused: func(r mqttdevice.Refusal) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.refused = append(b.refused, r.DeviceName+" "+r.Reason)
		},
	}
	for _, c := range changes {
		c(&o)
	}
	b.Broker, err = mqttdevice.New(o)
	require.NoError(t, err)
	b.RecoverOnline()
	require.NoError(t, b.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, b.Drain(ctx, 0))
	})
	return b
}

func (b *bench) store(m mqttdevice.Message, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.storeErr == nil {
		b.stored = append(b.stored, fmt.Sprintf("%s %s %d %s", m.DeviceName, m.Topic, m.QoS, m.Payload))
	}
	if !b.hold {
		done(b.storeErr)
	}
}

func (b *bench) register(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		secret, err := b.devices.Register(t.Context(), product, name, "")
		require.NoError(t, err)
		b.secrets[name] = secret
	}
}

// eventually waits for what one of the lists of b holds.
func (b *bench) eventually(t *testing.T, list *[]string, want ...string) {
	t.Helper()
	get := func() []string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return append([]string(nil), *list...)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want, get()) }, patience, 5*time.Millisecond)
}

// device is a real client.
type device struct {
	paho.Client
	lost chan error
	got  chan string
}

// options signs as devices do.
func options(address, name, secret string) *paho.ClientOptions {
	const id = "test"
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("clientId" + id + "deviceName" + name + "productKey" + product + "timestamp789"))
	return paho.NewClientOptions().AddBroker(address).SetClientID(id + "|securemode=3,signmethod=hmacsha256,timestamp=789|").
		SetUsername(name + "&" + product).SetPassword(hex.EncodeToString(mac.Sum(nil))).
		SetAutoReconnect(false).SetConnectTimeout(patience).SetProtocolVersion(4)
}

func (b *bench) dial(t *testing.T, name string, more ...func(*paho.ClientOptions)) (*device, error) {
	t.Helper()
	d := &device{lost: make(chan error, 1), got: make(chan string, 100)}
	o := options("tcp://"+b.Addrs()[0], name, b.secrets[name])
	o.SetConnectionLostHandler(func(_ paho.Client, err error) { d.lost <- err })
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { d.got <- fmt.Sprintf("%s %d %s", m.Topic(), m.Qos(), m.Payload()) })
	for _, change := range more {
		change(o)
	}
	d.Client = paho.NewClient(o)
	token := d.Connect()
	require.True(t, token.WaitTimeout(patience))
	if token.Error() == nil {
		t.Cleanup(func() { d.Disconnect(0) })
	}
	return d, token.Error()
}

func (b *bench) connect(t *testing.T, name string, more ...func(*paho.ClientOptions)) *device {
	t.Helper()
	d, err := b.dial(t, name, more...)
	require.NoError(t, err)
	return d
}

// subscribe returns the QoS granted, 0x80 for none.
func (d *device) subscribe(t *testing.T, filter string, qos byte) byte {
	t.Helper()
	token := d.Subscribe(filter, qos, nil).(*paho.SubscribeToken)
	require.True(t, token.WaitTimeout(patience))
	require.Contains(t, token.Result(), filter)
	return token.Result()[filter]
}

func (d *device) receive(t *testing.T) string {
	t.Helper()
	select {
	case m := <-d.got:
		return m
	case <-time.After(patience):
		t.Fatal("nothing came")
		return ""
	}
}

func (d *device) isLost(t *testing.T) {
	t.Helper()
	select {
	case <-d.lost:
	case <-time.After(patience):
		t.Fatal("the connection is still there")
	}
}

func never(err error) { panic(fmt.Sprintf("acknowledged: %v", err)) }

// TestLife: a device signs in, publishes, receives, signs off; its status and events follow.
func TestLife(t *testing.T) {
	b := newBench(t, memkv.New(), "n1")
	b.register(t, "D001")
	status := func() session.Status {
		d, ok := b.devices.Lookup(product, "D001")
		require.True(t, ok)
		return d.Status()
	}
	require.Equal(t, session.StatusUnactive, status())
	d := b.connect(t, "D001")
	b.eventually(t, &b.presence, "D001 online login")
	require.Equal(t, session.StatusOnline, status())
	require.Equal(t, 1, b.Stats().Connected)

	token := d.Publish("/"+product+"/D001/user/update", 1, false, "hello")
	require.True(t, token.WaitTimeout(patience))
	require.NoError(t, token.Error())
	token = d.Publish("/sys/"+product+"/D001/thing/event", 0, false, "0")
	require.True(t, token.WaitTimeout(patience))
	b.eventually(t, &b.stored, "D001 /"+product+"/D001/user/update 1 hello", "D001 /sys/"+product+"/D001/thing/event 0 0")

	get := "/" + product + "/D001/user/get"
	_, err := b.Deliver(product, "D001", get, []byte("x"), never)
	require.ErrorIs(t, err, mqttdevice.ErrNotSubscribed)
	require.Equal(t, byte(1), d.subscribe(t, get, 1))
	acked := make(chan error, 1)
	qos, err := b.Deliver(product, "D001", get, []byte("one"), func(err error) { acked <- err })
	require.NoError(t, err)
	require.Equal(t, byte(1), qos)
	require.Equal(t, get+" 1 one", d.receive(t))
	require.NoError(t, <-acked, "the device's PUBACK")

	require.Equal(t, byte(0), d.subscribe(t, "/"+product+"/D001/both/+/down", 0))
	qos, err = b.Deliver(product, "D001", "/"+product+"/D001/both/a/down", []byte("two"), never)
	require.NoError(t, err)
	require.Equal(t, byte(0), qos)
	require.Equal(t, "/"+product+"/D001/both/a/down 0 two", d.receive(t))

	for topic, want := range map[string]error{
		"/" + product + "/D001/user/update": mqttdevice.ErrPermission, "/" + product + "/D002/user/get": mqttdevice.ErrForeignTopic,
		"/" + product + "/D001/#": mqttdevice.ErrForeignTopic, "": mqttdevice.ErrForeignTopic, "/sys/" + product + "/D001/x": mqttdevice.ErrNotSubscribed,
	} {
		_, err := b.Deliver(product, "D001", topic, nil, never)
		require.ErrorIs(t, err, want, topic)
	}
	_, err = b.Deliver("other", "D001", "/other/D001/user/get", nil, never)
	require.ErrorIs(t, err, mqttdevice.ErrForeignTopic)

	d.Disconnect(250)
	b.eventually(t, &b.presence, "D001 online login", "D001 offline logout")
	require.Equal(t, session.StatusOffline, status())
	_, err = b.Deliver(product, "D001", get, nil, never)
	require.ErrorIs(t, err, mqttdevice.ErrOffline)
	s := b.Stats()
	require.Equal(t, []uint64{2, 2}, []uint64{s.Received, s.Delivered})
}

// TestStoredBeforeAcknowledged: a PUBACK means stored.
func TestStoredBeforeAcknowledged(t *testing.T) {
	b := newBench(t, memkv.New(), "n1")
	b.register(t, "D001")
	b.hold = true
	d := b.connect(t, "D001")
	token := d.Publish("/"+product+"/D001/user/update", 1, false, "kept back")
	b.eventually(t, &b.stored, "D001 /"+product+"/D001/user/update 1 kept back")
	require.False(t, token.WaitTimeout(100*time.Millisecond), "acknowledged before it was stored")

	// A store that fails costs the connection, not the message.
	b.mu.Lock()
	b.hold, b.storeErr = false, errors.New("disk full")
	b.mu.Unlock()
	b.eventually(t, &b.presence, "D001 online login")
	e := b.connect(t, "D001") // takes over
	d.isLost(t)
	token = e.Publish("/"+product+"/D001/user/update", 1, false, "refused")
	e.isLost(t)
	require.Error(t, token.Error())
	b.eventually(t, &b.presence, "D001 online login", "D001 offline takeover", "D001 online login", "D001 offline kicked")
}

// TestRefused: who may not connect hears "not authorized", and the reason is told to the operator.
func TestRefused(t *testing.T) {
	b := newBench(t, memkv.New(), "n1")
	b.register(t, "D001", "D002")
	require.NoError(t, b.devices.Disable(t.Context(), product, "D002", true))
	b.secrets["D003"] = "0123456789abcdef"
	other := b.secrets["D001"]
	for _, tt := range []struct {
		name   string
		change func(*paho.ClientOptions)
		reason string
	}{
		{"D001", func(o *paho.ClientOptions) { o.SetPassword(strings.Repeat("00", 32)) }, "D001 signature"},
		{"D001", func(o *paho.ClientOptions) { o.SetPassword(other) }, "D001 signature"},
		{"D001", func(o *paho.ClientOptions) { o.SetClientID("plain") }, " signature"},
		{"D001", func(o *paho.ClientOptions) { o.SetUsername("D001&otherproduct") }, "D001 notMQTT"},
		{"D002", func(*paho.ClientOptions) {}, "D002 disabled"},
		{"D003", func(*paho.ClientOptions) {}, "D003 notRegistered"},
		{"D001", func(o *paho.ClientOptions) { o.SetWill("/"+product+"/D002/user/get", "x", 0, false) }, "D001 willTopic"},
	} {
		_, err := b.dial(t, tt.name, tt.change)
		require.ErrorContains(t, err, "not Authorized", tt.reason)
		b.eventually(t, &b.refused, tt.reason)
		b.mu.Lock()
		b.refused = nil
		b.mu.Unlock()
	}
	require.Empty(t, b.presence)
	require.Equal(t, map[string]uint64{"signature": 3, "notMQTT": 1, "disabled": 1, "notRegistered": 1, "willTopic": 1, "drain": 0, "sealKey": 0}, b.Stats().Refused)
}

// TestOwnTopicsOnly: a device reaches nobody else's topics, whatever it subscribes or publishes to.
func TestOwnTopicsOnly(t *testing.T) {
	b := newBench(t, memkv.New(), "n1")
	b.register(t, "D001", "D002")
	d, spy := b.connect(t, "D001"), b.connect(t, "D002")
	for _, filter := range []string{"#", "/#", "/+/+/user/get", "/" + product + "/#", "/" + product + "/D001/user/get", "$SYS/#", "/sys/" + product + "/+/x",
		"/" + product + "/D002/user/update"} {
		require.Equal(t, byte(0x80), spy.subscribe(t, filter, 1), filter)
	}
	require.Equal(t, byte(1), spy.subscribe(t, "/sys/"+product+"/D002/#", 1))
	require.Equal(t, byte(1), d.subscribe(t, "/"+product+"/D001/user/get", 1))

	token := spy.Publish("/"+product+"/D001/user/get", 0, false, "forged")
	require.True(t, token.WaitTimeout(patience))
	token = spy.Publish("/sys/"+product+"/D002/x", 1, false, "own")
	require.True(t, token.WaitTimeout(patience))
	b.eventually(t, &b.stored, "D002 /sys/"+product+"/D002/x 1 own")
	require.Equal(t, "/sys/"+product+"/D002/x 1 own", spy.receive(t))
	require.Empty(t, d.got, "the forged message")

	// With QoS 1 the protocol's version 3.1.1 has no other answer than the end of the connection.
	spy.Publish("/"+product+"/D001/user/get", 1, false, "forged")
	spy.isLost(t)
	require.Empty(t, d.got)
	require.Len(t, b.stored, 1)
}

// TestOneSession: a device has one connection, on whichever node and under whatever client id it comes.
func TestOneSession(t *testing.T) {
	kv := memkv.New()
	b, c := newBench(t, kv, "n1"), newBench(t, kv, "n2")
	b.register(t, "D001")
	c.secrets = b.secrets
	first := b.connect(t, "D001")
	b.eventually(t, &b.presence, "D001 online login")
	second := b.connect(t, "D001", func(o *paho.ClientOptions) {
		mac := hmac.New(sha256.New, []byte(b.secrets["D001"]))
		mac.Write([]byte("clientIdanotherdeviceNameD001productKey" + product))
		o.SetClientID("another|securemode=2,signmethod=hmacsha256|").SetPassword(hex.EncodeToString(mac.Sum(nil)))
	})
	first.isLost(t)
	b.eventually(t, &b.presence, "D001 online login", "D001 offline takeover", "D001 online login")
	require.Equal(t, 1, b.Stats().Connected)

	// A login is later than all that its node has heard of.
	require.Eventually(t, func() bool {
		here, _ := b.devices.Lookup(product, "D001")
		there, ok := c.devices.Lookup(product, "D001")
		return ok && here.Session == there.Session
	}, patience, time.Millisecond)
	third := c.connect(t, "D001")
	second.isLost(t)
	b.eventually(t, &b.presence, "D001 online login", "D001 offline takeover", "D001 online login", "D001 offline takeover")
	require.True(t, third.IsConnected())
	for _, x := range []*bench{b, c} {
		require.Eventually(t, func() bool {
			d, _ := x.devices.Lookup(product, "D001")
			return d.Status() == session.StatusOnline && d.Node == "n2"
		}, patience, time.Millisecond)
	}

	// Disabled on one node, cut off on the other.
	require.NoError(t, b.devices.Disable(t.Context(), product, "D001", true))
	third.isLost(t)
	c.eventually(t, &c.presence, "D001 online login", "D001 offline kicked")
	_, err := c.dial(t, "D001")
	require.Error(t, err)
	require.NoError(t, c.devices.Disable(t.Context(), product, "D001", false))
	again := c.connect(t, "D001")
	require.Eventually(t, func() bool { // the writes of memkv that wait are not in order with deletions
		d, _ := b.devices.Lookup(product, "D001")
		return d.Status() == session.StatusOnline
	}, patience, time.Millisecond)
	require.NoError(t, c.devices.Delete(t.Context(), product, "D001"))
	again.isLost(t)
	require.Empty(t, slices.Collect(c.devices.List("")))
	require.Equal(t, []string{}, append([]string{}, kv.Keys()...))
}

// TestUnacknowledged: what a device has not acknowledged when its connection ends is told.
func TestUnacknowledged(t *testing.T) {
	b := newBench(t, memkv.New(), "n1")
	b.register(t, "D001")
	release := make(chan struct{})
	d := b.connect(t, "D001", func(o *paho.ClientOptions) {
		o.SetAutoAckDisabled(true)
		o.SetDefaultPublishHandler(func(paho.Client, paho.Message) { <-release })
	})
	defer close(release)
	get := "/" + product + "/D001/user/get"
	require.Equal(t, byte(1), d.subscribe(t, get, 1))
	acked := make(chan error, 1)
	_, err := b.Deliver(product, "D001", get, []byte("x"), func(err error) { acked <- err })
	require.NoError(t, err)
	require.NoError(t, b.devices.Disable(t.Context(), product, "D001", true))
	require.ErrorIs(t, <-acked, mqttdevice.ErrGone)
}

// TestLimits: packets, connections, subscriptions, silence, and waiting for CONNECT.
func TestLimits(t *testing.T) {
	b := newBench(t, memkv.New(), "n1", func(o *mqttdevice.Options) {
		o.Limits = mqttdevice.Limits{Connections: 2, PacketSize: 1000, Subscriptions: 2, KeepAlive: time.Second, ConnectTime: 500 * time.Millisecond}
	})
	b.register(t, "D001", "D002")
	slow, err := net.Dial("tcp", b.Addrs()[0]) // says nothing
	require.NoError(t, err)
	defer slow.Close()
	d := b.connect(t, "D001")
	over, err := net.Dial("tcp", b.Addrs()[0])
	require.NoError(t, err)
	defer over.Close()
	require.NoError(t, over.SetReadDeadline(time.Now().Add(patience)))
	_, err = over.Read(make([]byte, 1))
	require.Error(t, err, "beyond the limit")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, slow.SetReadDeadline(time.Now().Add(patience)))
	_, err = slow.Read(make([]byte, 1))
	require.Error(t, err, "closed for its silence")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)

	for i, want := range []byte{0, 0, 0x80} {
		require.Equal(t, want, d.subscribe(t, fmt.Sprintf("/sys/%s/D001/%d", product, i), 0))
	}
	require.Equal(t, byte(0), d.subscribe(t, "/sys/"+product+"/D001/0", 0), "again")
	// The client would ping after 30 s; the limit is one.
	d.isLost(t)
	b.eventually(t, &b.presence, "D001 online login", "D001 offline idle")

	e := b.connect(t, "D002")
	e.Publish("/"+product+"/D002/user/update", 0, false, make([]byte, 1000))
	e.isLost(t)
	require.Empty(t, b.stored)
	b.eventually(t, &b.presence, "D001 online login", "D001 offline idle", "D002 online login", "D002 offline protocolError")
	require.Equal(t, uint64(1), b.Stats().OverLimit)
}

// TestRate: a device that sends faster than it may is read slower, and loses nothing.
func TestRate(t *testing.T) {
	b := newBench(t, memkv.New(), "n1", func(o *mqttdevice.Options) { o.Limits.MessageRate = 2 })
	b.register(t, "D001")
	d := b.connect(t, "D001")
	for range 20 {
		require.True(t, d.Publish("/"+product+"/D001/user/update", 0, false, "x").WaitTimeout(patience))
	}
	stored := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.stored)
	}
	require.Never(t, func() bool { return stored() == 20 }, 300*time.Millisecond, 10*time.Millisecond)
	require.Eventually(t, func() bool { return stored() >= 3 }, patience, time.Millisecond, "more than came at once")
	require.True(t, d.IsConnectionOpen())
}

// TestWill: the last will of a device whose connection breaks is stored.
func TestWill(t *testing.T) {
	b := newBench(t, memkv.New(), "n1")
	b.register(t, "D001")
	b.connect(t, "D001", func(o *paho.ClientOptions) { o.SetWill("/"+product+"/D001/user/update", "bye", 1, false) })
	require.NoError(t, b.devices.Disable(t.Context(), product, "D001", true))
	b.eventually(t, &b.stored, "D001 /"+product+"/D001/user/update 1 bye")
}

// TestTLS: over TLS, with a certificate that is replaced without a restart.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	files, err := cert.Write(dir)
	require.NoError(t, err)
	b := newBench(t, memkv.New(), "n1", func(o *mqttdevice.Options) {
		o.Listeners = append(o.Listeners, mqttdevice.Listener{Address: "127.0.0.1:0", TLS: &mqttdevice.TLS{Cert: files.Cert, Key: files.Key}})
	})
	b.register(t, "D001")
	overTLS := func(c *tls.Config) func(*paho.ClientOptions) {
		return func(o *paho.ClientOptions) {
			o.Servers = nil
			o.AddBroker("ssl://" + b.Addrs()[1]).SetTLSConfig(c)
		}
	}
	b.connect(t, "D001", overTLS(files.Client()))
	renewed, err := cert.Write(dir)
	require.NoError(t, err)
	require.NoError(t, b.Reload())
	_, err = b.dial(t, "D001", overTLS(files.Client()))
	require.Error(t, err, "the old certificate is gone")
	b.connect(t, "D001", overTLS(renewed.Client()))

	require.NoError(t, os.WriteFile(files.Key, []byte("half writ"), 0o600))
	require.ErrorContains(t, b.Reload(), "tls.cert")
	b.connect(t, "D001", overTLS(renewed.Client())) // the one before stays in use
}

// TestDrain: at the end every device is told and its session closed, and after a crash the next start closes it.
func TestDrain(t *testing.T) {
	kv := memkv.New()
	b := newBench(t, kv, "n1")
	b.register(t, "D001", "D002")
	b.connect(t, "D001")
	d := b.connect(t, "D002")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, b.Drain(ctx, 20*time.Millisecond))
	d.isLost(t)
	require.Equal(t, 0, b.Stats().Connected)
	offline := 0
	for _, e := range b.presence {
		if strings.HasSuffix(e, " offline drain") {
			offline++
		}
	}
	require.Equal(t, 2, offline)
	_, err := net.Dial("tcp", b.Addrs()[0])
	require.Error(t, err)

	// As a node leaves it that is killed.
	require.NoError(t, kv.Put(t.Context(), product+".D001.last", []byte(`{"activatedAt":"2026-03-04T05:06:07.000Z","lastOnlineAt":"2037-03-04T05:06:07.000Z","node":"n1","session":"00c0ffee00c0ffee","remote":""}`)))
	c := newBench(t, kv, "n1")
	c.eventually(t, &c.presence, "D001 offline gatewayRestart")
	v, ok := c.devices.Lookup(product, "D001")
	require.True(t, ok)
	require.Equal(t, session.StatusOffline, v.Status())
}

func TestPresenceEvent(t *testing.T) {
	text, err := json.Marshal(mqttdevice.PresenceEvent{ProductKey: product, DeviceName: "D001", Session: "00c0ffee00c0ffee", Node: "n1", Remote: "192.0.2.1:5",
		Online: true, At: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), Reason: session.ReasonLogin})
	require.NoError(t, err)
	require.JSONEq(t, `{"deviceName":"D001","productKey":"a1b2c3d4e5f","protocol":"mqtt","session":"00c0ffee00c0ffee","node":"n1","remote":"192.0.2.1:5","at":"2026-03-04T05:06:07.089Z","reason":"login"}`, string(text))
}
