package sdktest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	product = "gbt32960"
	vin     = "LTEST000000000001" // online
	vinOff  = "LTEST000000000002" // was online once
	vinNew  = "LTEST000000000003" // never connected
	keyID   = "testid"
	secret  = "testsecret"
)

// gateway is everything of the gateway but sockets towards vehicles and the store: API, keys, registry, sessions, dispatcher.
type gateway struct {
	t          *testing.T
	server     *httptest.Server
	table      *session.Table
	registry   *session.Registry
	dispatcher *command.Dispatcher
	vehicle    *vehicle
}

func newGateway(t *testing.T, change ...func(*openapi.Options)) *gateway {
	t.Helper()
	ctx := context.Background()
	g := &gateway{t: t}
	var err error
	g.registry, err = session.OpenRegistry(ctx, memkv.New(), session.RegistryOptions{Node: "n1"})
	require.NoError(t, err)
	_, err = g.registry.Register(ctx, product, []string{vin, vinOff, vinNew})
	require.NoError(t, err)
	g.table = session.NewTable(g.registry.Note, "n1")
	g.dispatcher, err = command.NewDispatcher(ctx, command.Options{
		Sessions: g.table, KV: memkv.New(), Node: "n1", Publish: func(codec.VIN, string, []byte) {}, QueueLength: 1,
	})
	require.NoError(t, err)
	box, err := seal.New(make([]byte, 32))
	require.NoError(t, err)
	keys, err := openapi.OpenKeys(ctx, memkv.New(), box, []openapi.Key{{ID: keyID, Secret: secret}}, nil)
	require.NoError(t, err)
	o := openapi.Options{
		Devices: g.registry, Commands: g.dispatcher, Keys: keys, Products: openapi.NewProducts(openapi.Product{Key: product}),
	}
	for _, f := range change {
		f(&o)
	}
	handler, err := openapi.New(o)
	require.NoError(t, err)
	g.server = httptest.NewServer(handler)

	off := g.login(vinOff)
	require.True(t, g.table.Logout(off.session, session.ReasonLogout))
	g.vehicle = g.login(vin)

	t.Cleanup(func() {
		g.server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		require.NoError(t, g.dispatcher.Close(ctx))
		keys.Close()
		require.NoError(t, g.registry.Close(ctx))
	})
	return g
}

// login logs a vehicle in, which answers nothing until it is told to.
func (g *gateway) login(name string) *vehicle {
	g.t.Helper()
	id, err := codec.ParseVIN(name)
	require.NoError(g.t, err)
	v := &vehicle{gateway: g}
	v.session = &session.Session{
		ID: session.NewID(), VIN: id, RawVIN: id, ProductKey: product, Edition: codec.Edition2016, Encryption: codec.EncryptionNone, Link: v,
	}
	g.table.Login(v.session)
	return v
}

// sdk returns the SDK's client, set up as its documentation says for an endpoint of one's own.
func (g *gateway) sdk(secret string) *iot.Client {
	g.t.Helper()
	client, err := iot.NewClientWithAccessKey("cn-shanghai", keyID, secret)
	require.NoError(g.t, err)
	client.Domain = g.server.Listener.Addr().String()
	client.SetTransport(http.DefaultTransport) // so that the test can close its connections
	config := sdk.NewConfig()
	require.Equal(g.t, "HTTP", config.Scheme, "the SDK's default")
	return client
}

// vehicle is the link to a vehicle and the vehicle behind it.
type vehicle struct {
	gateway *gateway
	session *session.Session

	mu     sync.Mutex
	frames []codec.Frame
	reply  func(codec.Frame) []byte // the answer to a command, nil for none
}

func (v *vehicle) Send(frame []byte, done func(error)) {
	v.mu.Lock()
	v.frames = append(v.frames, frame)
	reply := v.reply
	v.mu.Unlock()
	done(nil)
	if reply != nil {
		if answer := reply(frame); answer != nil {
			v.gateway.dispatcher.Answer(v.session, answer)
		}
	}
}

func (v *vehicle) Close(session.Reason)   {}
func (v *vehicle) Remote() netip.AddrPort { return netip.AddrPort{} }

func (v *vehicle) answers(reply func(codec.Frame) []byte) {
	v.mu.Lock()
	v.reply = reply
	v.mu.Unlock()
}

func (v *vehicle) received() []codec.Frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frames
}

// unit returns a data unit: the current time and what follows.
func unit(rest ...byte) []byte {
	return append(codec.AppendTime(nil, time.Now()), rest...)
}

// oneKey is a key ring with one key.
type oneKey openapi.Key

func (k oneKey) Lookup(id string) (openapi.Key, bool) { return openapi.Key(k), id == k.ID }
