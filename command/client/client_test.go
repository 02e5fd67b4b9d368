package client_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	vin     = "LTEST000000000001"
	product = "gbt32960"
)

var query = []byte{26, 11, 23, 11, 30, 0, 1, 0x02}

// vehicle is the link of a vehicle that gives each command to answer, which may call reply with its answer, then or later.
type vehicle struct {
	session *session.Session
	answer  func(f codec.Frame, reply func(codec.Frame))
	reply   func(codec.Frame)
}

func (v *vehicle) Send(frame []byte, done func(error)) {
	done(nil)
	v.answer(frame, v.reply)
}
func (v *vehicle) Close(session.Reason)   {}
func (v *vehicle) Remote() netip.AddrPort { return netip.AddrPort{} }

// confirms answers success at once, silent never.
func confirms(f codec.Frame, reply func(codec.Frame)) {
	go reply(codec.AppendAnswer(nil, f, codec.FlagSuccess, f.Unit()[:codec.TimeSize]))
}

func silent(codec.Frame, func(codec.Frame)) {}

type devices struct{ openapi.Devices }

func (devices) Lookup(v codec.VIN) (session.Device, bool) {
	return session.Device{VIN: v, ProductKey: product, ActivatedAt: time.Now()}, v.String() == vin
}

type keyring struct{}

func (keyring) Lookup(id string) (openapi.Key, bool) {
	return openapi.Key{ID: id, Secret: "testsecret"}, id == "testid"
}

// newAPI returns the API in front of one vehicle, and what ends it.
func newAPI(answer func(f codec.Frame, reply func(codec.Frame)), trusted bool) (api http.Handler, end func() error, err error) {
	table := session.NewTable(nil, "n1")
	d, err := command.NewDispatcher(context.Background(), command.Options{
		Sessions: table, KV: memkv.New(), Publish: func(codec.VIN, string, []byte) {},
	})
	if err != nil {
		return nil, nil, err
	}
	id, err := codec.ParseVIN(vin)
	if err != nil {
		return nil, nil, err
	}
	v := &vehicle{answer: answer}
	v.session = &session.Session{VIN: id, RawVIN: id, ProductKey: product, Edition: codec.Edition2016, Link: v}
	v.reply = func(f codec.Frame) { d.Answer(v.session, f) }
	table.Login(v.session)
	api, err = openapi.New(openapi.Options{
		Devices: devices{}, Commands: d, Keys: keyring{}, Products: openapi.NewProducts(openapi.Product{Key: product}), Trusted: trusted,
	})
	return api, func() error { return d.Close(context.Background()) }, err
}

func newHandler(t *testing.T, answer func(f codec.Frame, reply func(codec.Frame)), trusted bool) http.Handler {
	t.Helper()
	api, end, err := newAPI(answer, trusted)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end()) })
	return api
}

func newClient(t *testing.T, url string) *client.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(client.Options{
		BaseURL: url, AccessKeyID: "testid", AccessKeySecret: "testsecret", HTTPClient: &http.Client{Transport: transport},
	})
	require.NoError(t, err)
	return c
}

func TestSendAndWait(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(newHandler(t, func(f codec.Frame, reply func(codec.Frame)) {
		go func() {
			<-release
			confirms(f, reply)
		}()
	}, false))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	id, err := c.Send(ctx, client.Command{ProductKey: product, DeviceName: vin, Command: codec.CommandParamQuery, Unit: query})
	require.NoError(t, err)
	require.Positive(t, id)
	r, err := c.Result(ctx, product, id)
	require.NoError(t, err)
	require.Equal(t, "sent", r.State)
	require.False(t, r.Over())

	time.AfterFunc(100*time.Millisecond, func() { close(release) }) // most times Wait is waiting then
	r, err = c.Wait(ctx, product, id)
	require.NoError(t, err)
	require.Equal(t, "answered", r.State)
	require.Equal(t, "success", r.Flag)
	require.Equal(t, "paramQuery", r.Command)
	require.Equal(t, id, r.MessageID)
	require.Equal(t, vin, r.DeviceName)
	require.WithinDuration(t, time.Now(), r.SentTime, time.Minute)
	require.False(t, r.AnsweredTime.Before(r.SentTime))
	require.Contains(t, string(r.Body), `"v":1`)
}

func TestWaitEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(newHandler(t, silent, false))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	id, err := c.Send(context.Background(), client.Command{ProductKey: product, DeviceName: vin, Command: codec.CommandControl, Unit: query})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	r, err := c.Wait(ctx, product, id)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, "sent", r.State)
}

func TestErrors(t *testing.T) {
	server := httptest.NewServer(newHandler(t, confirms, false))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	ctx := context.Background()
	_, err := c.Send(ctx, client.Command{ProductKey: product, DeviceName: "LTEST000000000002", Command: codec.CommandControl, Unit: query})
	var apiErr *client.Error
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, client.Error{HTTPStatus: 200, Code: "iot.Device.NotExistedDevice", Message: "This device does not exist.", RequestID: apiErr.RequestID}, *apiErr)
	require.Len(t, apiErr.RequestID, 36)
	require.Contains(t, err.Error(), "This device does not exist (iot.Device.NotExistedDevice, HTTP 200, request ")

	bad, err := client.New(client.Options{BaseURL: server.URL, AccessKeyID: "testid", AccessKeySecret: "guess"})
	require.NoError(t, err)
	_, err = bad.Result(ctx, product, 1)
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, 400, apiErr.HTTPStatus)
	require.Equal(t, "SignatureDoesNotMatch", apiErr.Code)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	_, err = newClient(t, other.URL).Result(ctx, product, 1)
	require.ErrorContains(t, err, "HTTP 404, and the answer is not the API's")

	for _, o := range []client.Options{
		{}, {BaseURL: "127.0.0.1:8960"}, {BaseURL: "ftp://host"}, {BaseURL: "http://host/path"}, {BaseURL: "http://host?x=1"}, {BaseURL: "http://%zz"},
		{BaseURL: "http://host", AccessKeyID: "id"},
	} {
		_, err := client.New(o)
		require.Error(t, err, "%+v", o)
	}
}

// Over the admin socket no access key is needed.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(newHandler(t, confirms, true))
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(client.Options{BaseURL: "http://admin", HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	id, err := c.Send(context.Background(), client.Command{ProductKey: product, DeviceName: vin, Command: codec.CommandParamSet, Unit: bytes.Clone(query)})
	require.NoError(t, err)
	r, err := c.Wait(context.Background(), product, id)
	require.NoError(t, err)
	require.Equal(t, "answered", r.State)
}

// TestTyped: a query, a setting and a control against a vehicle, from names to the values of the answer.
func TestTyped(t *testing.T) {
	server := httptest.NewServer(newHandler(t, confirms, false))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d := client.Device{ProductKey: product, DeviceName: vin}
	r, err := c.Set(ctx, d, client.Setting{Name: "reportPeriod", Value: "10"})
	require.NoError(t, err)
	require.Equal(t, "answered", r.State)
	_, err = r.Params()
	require.ErrorContains(t, err, "no parameters")
	r, err = c.Control(ctx, d, client.Control{ID: codec.ControlFactoryReset})
	require.NoError(t, err)
	require.Equal(t, "control", r.Command)

	_, err = c.Query(ctx, d, "reportPeriod") // the vehicle answers with the time alone
	require.ErrorContains(t, err, "the answer holds no parameters")
	_, err = c.Query(ctx, client.Device{ProductKey: product, DeviceName: "LTEST000000000002"}, "reportPeriod")
	require.ErrorIs(t, err, client.ErrNoDevice)
	_, err = c.Set(ctx, d, client.Setting{Name: "reportPeriod", Value: "0"})
	var bad *client.ValueError
	require.ErrorAs(t, err, &bad)
}

func TestParams(t *testing.T) {
	r := client.Result{Body: []byte(`{"v":1,"edition":2016,"command":"paramQuery","flag":"success","vin":"V","encryption":"none",` +
		`"time":"2026-03-04T05:06:07+08:00","params":[{"id":2,"reportPeriod":10},{"id":9,"heartbeatPeriod":null,"invalid":["heartbeatPeriod"]},` +
		`{"id":4,"platformDomainLength":255},{"id":8,"firmwareVersion":"1.2"},{"id":16,"sampling":2}]}`)}
	params, err := r.Params()
	require.NoError(t, err)
	require.Equal(t, []client.Param{
		{ID: 2, Name: "reportPeriod", Value: "10", Unit: "s", Doc: "normal report period"},
		{ID: 9, Name: "heartbeatPeriod", Unit: "s", Doc: "heartbeat period", Invalid: true},
		{ID: 4, Name: "platformDomainLength", Value: "255", Doc: "length of the management platform's domain"},
		{ID: 8, Name: "firmwareVersion", Value: "1.2", Doc: "firmware version"},
		{ID: 16, Name: "sampling", Value: "2", Doc: "under sampling monitoring"},
	}, params)
	_, err = (&client.Result{}).Params()
	require.Error(t, err)
}
