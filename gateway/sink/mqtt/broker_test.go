package mqtt_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink/mqtt"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
	"github.com/tboxgate/tboxgate/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testBroker is an MQTT broker in this process that can be taken away; what it has acknowledged stays known.
type testBroker struct {
	addr string
	tls  *tls.Config
	user string // with the password "secret-word"; "": anybody
	caps func(*broker.Capabilities)
	most uint32 // the maximum packet size that it announces

	mu     sync.Mutex
	server *broker.Server
	got    []packets.Packet
	refuse func(topic string) bool
}

func startBroker(t *testing.T, b *testBroker) *testBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.addr = l.Addr().String()
	require.NoError(t, l.Close())
	b.start(t)
	t.Cleanup(func() { b.stop(t) })
	return b
}

func (b *testBroker) url() string {
	if b.tls != nil {
		return "mqtts://" + b.addr
	}
	return "mqtt://" + b.addr
}

func (b *testBroker) start(t *testing.T) {
	t.Helper()
	o := &broker.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: false}
	o.Capabilities = broker.NewDefaultServerCapabilities()
	if b.caps != nil {
		b.caps(o.Capabilities)
	}
	s := broker.New(o)
	require.NoError(t, s.AddHook(&hook{b: b}, nil))
	require.Eventually(t, func() bool { // the port may be held by the kernel for a moment
		return s.AddListener(listeners.NewTCP(listeners.Config{ID: fmt.Sprint(time.Now().UnixNano()), Address: b.addr, TLSConfig: b.tls})) == nil
	}, sinktest.Limit, 10*time.Millisecond)
	require.NoError(t, s.Serve())
	b.mu.Lock()
	b.server = s
	b.mu.Unlock()
}

func (b *testBroker) stop(t *testing.T) {
	b.mu.Lock()
	s := b.server
	b.server = nil
	b.mu.Unlock()
	if s != nil {
		require.NoError(t, s.Close())
	}
}

// hook sees what the broker takes.
type hook struct {
	broker.HookBase
	b *testBroker
}

func (h *hook) ID() string { return "test" }

func (h *hook) Provides(b byte) bool {
	return bytes.Contains([]byte{broker.OnConnectAuthenticate, broker.OnACLCheck, broker.OnPublish, broker.OnPacketEncode}, []byte{b})
}

func (h *hook) OnConnectAuthenticate(_ *broker.Client, pk packets.Packet) bool {
	return h.b.user == "" || string(pk.Connect.Username) == h.b.user && string(pk.Connect.Password) == "secret-word"
}

func (h *hook) OnACLCheck(*broker.Client, string, bool) bool { return true }

func (h *hook) OnPacketEncode(_ *broker.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack {
		pk.Properties.MaximumPacketSize = h.b.most
	}
	return pk
}

func (h *hook) OnPublish(_ *broker.Client, pk packets.Packet) (packets.Packet, error) {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	if h.b.refuse != nil && h.b.refuse(pk.TopicName) {
		return pk, packets.ErrQuotaExceeded
	}
	h.b.got = append(h.b.got, pk.Copy(true))
	last := &h.b.got[len(h.b.got)-1]
	last.Payload = bytes.Clone(pk.Payload)
	last.Properties.User = append([]packets.UserProperty(nil), pk.Properties.User...)
	last.Properties.ContentType = pk.Properties.ContentType
	last.FixedHeader = pk.FixedHeader
	return pk, nil
}

// messages returns what was acknowledged, or was about to be.
func (b *testBroker) messages() []packets.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]packets.Packet(nil), b.got...)
}

// stored reads topics of the default templates.
func (b *testBroker) stored(t *testing.T) []sinktest.Stored {
	t.Helper()
	var all []sinktest.Stored
	for _, pk := range b.messages() {
		require.Equal(t, byte(1), pk.FixedHeader.Qos)
		levels := strings.Split(pk.TopicName, "/")
		require.Len(t, levels, 4, pk.TopicName)
		vin, err := session.Untoken(levels[1])
		require.NoError(t, err)
		s := sinktest.Stored{VIN: vin, Body: pk.Payload}
		switch {
		case levels[2] == "event":
			s.Kind = levels[3]
		case pk.Properties.ContentType == "application/octet-stream":
			s.Frame = pk.Payload
		default:
			if f, err := codec.EncodeJSON(nil, pk.Payload); err == nil {
				s.Frame = f
			}
		}
		all = append(all, s)
	}
	return all
}

// open opens a sink that a test closes itself.
func (b *testBroker) open(t *testing.T, o mqtt.Options) *mqtt.Sink {
	t.Helper()
	o.URL, o.Logger = b.url(), slog.New(slog.DiscardHandler)
	s, err := mqtt.New(o)
	require.NoError(t, err)
	sinktest.Abandon(t, s)
	return s
}
