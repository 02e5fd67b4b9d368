package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// link is a connection that only remembers why it was closed.
type link struct{ closed chan session.Reason }

func newLink() *link { return &link{make(chan session.Reason, 1)} }

func (l *link) Send([]byte, func(error))    {}
func (l *link) Close(reason session.Reason) { l.closed <- reason }
func (l *link) Remote() netip.AddrPort      { return netip.MustParseAddrPort("127.0.0.1:40000") }

// keys is a small key store; the real one is tested where it lives.
type keys struct {
	mu  sync.Mutex
	all []admin.Key
}

func (k *keys) List() []admin.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

func (k *keys) Create(_ context.Context, n admin.NewKey) (admin.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, secret := n.ID, n.Secret
	if id == "" {
		id, secret = fmt.Sprintf("id%d", len(k.all)), "made-up"
	}
	for _, key := range k.all {
		if key.ID == id {
			return admin.Key{}, fmt.Errorf("access key %s: %w", id, admin.ErrConflict)
		}
	}
	key := admin.Key{
		ID: id, Secret: secret, CreatedAt: session.At(time.Unix(1_800_000_000, 0)), Products: n.Products, Allow: n.Allow,
		ExpiresAt: n.ExpiresAt, Temporary: n.Temporary,
	}
	k.all = append(k.all, key)
	return key, nil
}

func (k *keys) SetDisabled(_ context.Context, id string, disabled bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.all {
		if k.all[i].ID == id {
			k.all[i].Disabled = disabled
			return nil
		}
	}
	return fmt.Errorf("access key %s: %w", id, admin.ErrNotFound)
}

func (k *keys) Delete(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.all)
	k.all = slices.DeleteFunc(k.all, func(key admin.Key) bool { return key.ID == id })
	if len(k.all) == n {
		return fmt.Errorf("access key %s: %w", id, admin.ErrNotFound)
	}
	return nil
}

// world is a gateway's state with an API on it.
type world struct {
	table    *session.Table
	registry *session.Registry
	api      admin.API
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	registry, err := session.OpenRegistry(ctx, memkv.New(), session.RegistryOptions{Node: "n1"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close(context.Background())) })
	deviceBox, err := seal.New(make([]byte, seal.KeySize))
	require.NoError(t, err)
	devices, err := mqttdevice.OpenDevices(ctx, memkv.New(), deviceBox, nil)
	require.NoError(t, err)
	t.Cleanup(devices.Close)
	box, err := seal.New(make([]byte, seal.KeySize))
	require.NoError(t, err)
	platforms, err := session.OpenPlatforms(ctx, memkv.New(), box, session.PlatformsOptions{})
	require.NoError(t, err)
	t.Cleanup(platforms.Close)
	table := session.NewTable(nil, "n1")
	return &world{table: table, registry: registry, api: admin.API{
		Status:    func() admin.Status { return admin.Status{Node: "n1", Sessions: table.Len()} },
		Sessions:  table,
		Vehicles:  registry,
		Devices:   devices,
		Products:  []admin.Product{{Key: "p1"}, {Key: "p2"}},
		Platforms: platforms,
		Keys:      &keys{},
		Calls: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" || r.FormValue("Action") != "AsyncRRpc" {
				http.Error(w, `{"Code":"Unknown","Success":false}`, http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"Success":true,"DeviceName":%q}`, r.FormValue("DeviceName"))
		}),
	}}
}

// overSocket serves the API on a real admin socket.
func overSocket(t *testing.T, api http.Handler) (c *admin.Client, dir string) {
	t.Helper()
	dir = shortDir(t)
	l, err := admin.ListenSocket(dir)
	require.NoError(t, err)
	srv := &http.Server{Handler: api, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	c = admin.NewClient(dir)
	t.Cleanup(func() {
		c.Close()
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return c, dir
}

// shortDir is a temporary directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tb")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func vin(t *testing.T, s string) codec.VIN {
	t.Helper()
	v, err := codec.ParseVIN(s)
	require.NoError(t, err)
	return v
}

// TestAPI runs every request over a socket and again in the same process: both ways must be one.
func TestAPI(t *testing.T) {
	for _, way := range []string{"socket", "local"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			var c *admin.Client
			if way == "socket" {
				c, _ = overSocket(t, w.api.Handler())
			} else {
				c = admin.NewLocalClient(w.api.Handler())
			}
			testVehicles(t, c)
			testDevices(t, c)
			testSessions(t, c, w)
			testPlatforms(t, c)
			testKeys(t, c)
			testCall(t, c)
		})
	}
}

func testVehicles(t *testing.T, c *admin.Client) {
	ctx := t.Context()
	list := func(product string) (vins []string) {
		for line, err := range c.Vehicles(ctx, product) {
			require.NoError(t, err)
			var d struct{ VIN string }
			require.NoError(t, json.Unmarshal(line, &d))
			vins = append(vins, d.VIN)
		}
		return vins
	}
	require.Empty(t, list(""))
	result, err := c.Import(ctx, "p1", []string{"B", "A", "A", strings.Repeat("x", 18)})
	require.NoError(t, err)
	require.Equal(t, []session.RegisterStatus{session.Registered, session.Registered, session.AlreadyRegistered, session.InvalidVIN},
		[]session.RegisterStatus{result.Items[0].Status, result.Items[1].Status, result.Items[2].Status, result.Items[3].Status})
	result, err = c.Import(ctx, "p2", []string{"A", "C /?&"})
	require.NoError(t, err)
	require.Equal(t, session.RegisterItem{VIN: "A", Status: session.OtherProduct, Detail: "p1"}, result.Items[0])
	require.Equal(t, []string{"A", "B", "C /?&"}, list(""))
	require.Equal(t, []string{"C /?&"}, list("p2"))
	_, err = c.Import(ctx, "p3", []string{"D"})
	require.ErrorIs(t, err, admin.ErrInvalid)
	require.EqualError(t, err, `not valid: unknown product "p3"; the gateway's products are: p1, p2`)

	require.NoError(t, c.DisableVehicle(ctx, "p2", vin(t, "C /?&"), true))
	require.Contains(t, disabled(t, c, "p2"), "C /?&")
	require.NoError(t, c.DisableVehicle(ctx, "p2", vin(t, "C /?&"), false))
	require.Empty(t, disabled(t, c, "p2"))
	require.ErrorIs(t, c.DisableVehicle(ctx, "p2", vin(t, "A"), true), admin.ErrNotFound)

	require.NoError(t, c.DeleteVehicle(ctx, "p2", vin(t, "C /?&")))
	err = c.DeleteVehicle(ctx, "p2", vin(t, "A"))
	require.ErrorIs(t, err, admin.ErrNotFound)
	require.Contains(t, err.Error(), `"A" in product "p2"`)
	require.Equal(t, []string{"A", "B"}, list(""))
}

// disabled lists the disabled vehicles of a product.
func disabled(t *testing.T, c *admin.Client, product string) (vins []string) {
	t.Helper()
	for line, err := range c.Vehicles(t.Context(), product) {
		require.NoError(t, err)
		var d struct {
			VIN      string
			Disabled bool
		}
		require.NoError(t, json.Unmarshal(line, &d))
		if d.Disabled {
			vins = append(vins, d.VIN)
		}
	}
	return vins
}

func testSessions(t *testing.T, c *admin.Client, w *world) {
	ctx := t.Context()
	own, relayed := newLink(), newLink()
	a := &session.Session{ID: session.NewID(), VIN: vin(t, "A"), ProductKey: "p1", Edition: codec.Edition2016, Link: own}
	b := &session.Session{ID: session.NewID(), VIN: vin(t, "B"), ProductKey: "p1", Platform: "PLATFORM1", Link: relayed}
	w.table.Login(a)
	w.table.Login(b)

	status, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, status.Sessions)
	seen := map[string]string{}
	for info, err := range c.Sessions(ctx) {
		require.NoError(t, err)
		seen[info.VIN] = info.Session
	}
	require.Equal(t, map[string]string{"A": a.IDString(), "B": b.IDString()}, seen)

	info, err := c.Session(ctx, a.VIN)
	require.NoError(t, err)
	require.Equal(t, a.Info(), info)
	_, err = c.Session(ctx, vin(t, "C"))
	require.ErrorIs(t, err, admin.ErrNotFound)
	require.EqualError(t, err, "vehicle C is offline")

	info, err = c.Kick(ctx, a.VIN)
	require.NoError(t, err)
	require.Equal(t, "A", info.VIN)
	require.Equal(t, session.ReasonKicked, <-own.closed, "the vehicle's own connection is closed")
	_, err = c.Kick(ctx, b.VIN)
	require.NoError(t, err)
	require.Nil(t, w.table.Get(b.VIN))
	require.Empty(t, relayed.closed, "the platform's connection carries other vehicles and stays")
	_, err = c.Kick(ctx, b.VIN)
	require.ErrorIs(t, err, admin.ErrNotFound)

	for _, err := range c.Sessions(ctx) { // a loop that ends early closes the stream
		require.NoError(t, err)
		break
	}
}

func testPlatforms(t *testing.T, c *admin.Client) {
	ctx := t.Context()
	require.NoError(t, c.CreatePlatform(ctx, "CODE1", "user", "secret", false))
	require.ErrorIs(t, c.CreatePlatform(ctx, "CODE1", "user", "secret", false), admin.ErrConflict)
	require.NoError(t, c.CreatePlatform(ctx, "CODE1", "user2", "secret", true))
	err := c.CreatePlatform(ctx, "CODE2", "a-user-that-is-too-long", "geheim", false)
	require.ErrorIs(t, err, admin.ErrInvalid)
	require.NotContains(t, err.Error(), "geheim")
	list, err := c.Platforms(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "user2", list[0].User)
	require.NoError(t, c.DeletePlatform(ctx, "CODE1"))
	require.ErrorIs(t, c.DeletePlatform(ctx, "CODE1"), admin.ErrNotFound)
}

func testKeys(t *testing.T, c *admin.Client) {
	ctx := t.Context()
	key, err := c.CreateKey(ctx, admin.NewKey{Products: []string{"p1"}, Allow: []string{"read"}})
	require.NoError(t, err)
	require.Equal(t, "made-up", key.Secret)
	_, err = c.CreateKey(ctx, admin.NewKey{Products: []string{"p1", "nope"}})
	require.ErrorIs(t, err, admin.ErrInvalid)
	require.EqualError(t, err, `not valid: unknown product "nope"; the gateway's products are: p1, p2`)
	_, err = c.CreateKey(ctx, admin.NewKey{ID: key.ID, Secret: "other"})
	require.ErrorIs(t, err, admin.ErrConflict)
	list, err := c.Keys(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, key.ID, list[0].ID)
	require.Empty(t, list[0].Secret, "a secret is shown once")
	require.Equal(t, []string{"p1"}, list[0].Products)
	require.Equal(t, []string{"read"}, list[0].Allow)
	require.NoError(t, c.DisableKey(ctx, key.ID, true))
	list, err = c.Keys(ctx)
	require.NoError(t, err)
	require.True(t, list[0].Disabled)
	require.NoError(t, c.DisableKey(ctx, key.ID, false))
	require.ErrorIs(t, c.DisableKey(ctx, "nope", true), admin.ErrNotFound)
	require.NoError(t, c.DeleteKey(ctx, key.ID))
	require.ErrorIs(t, c.DeleteKey(ctx, key.ID), admin.ErrNotFound)
}

func testCall(t *testing.T, c *admin.Client) {
	get := func(query string) (status int, body string) {
		resp, err := c.Calls().Get("http://any/?" + query)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(text)
	}
	status, body := get("Action=AsyncRRpc&DeviceName=A%26B")
	require.Equal(t, 200, status)
	require.Equal(t, `{"Success":true,"DeviceName":"A&B"}`, body)
	status, body = get("Action=Other")
	require.Equal(t, 400, status, "a failure of the API is its answer")
	require.Equal(t, `{"Code":"Unknown","Success":false}`+"\n", body)
}

// TestWithoutGateway: over a bare directory there are vehicles, platforms and keys, and no sessions.
func TestWithoutGateway(t *testing.T) {
	w := newWorld(t)
	w.api.Status, w.api.Sessions, w.api.Calls = nil, nil, nil
	c := admin.NewLocalClient(w.api.Handler())
	_, err := c.Import(t.Context(), "p1", []string{"A"})
	require.NoError(t, err)
	_, err = c.Status(t.Context())
	require.ErrorIs(t, err, admin.ErrNotFound)
	_, err = c.Calls().Get("http://any/?Action=AsyncRRpc") //nolint:bodyclose // there is none with an error
	require.ErrorIs(t, err, admin.ErrNotFound)
	for _, err := range c.Sessions(t.Context()) {
		require.ErrorIs(t, err, admin.ErrNotFound)
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/v1/sessions?vin=", "", 400, `{"error":"vin: `},
		{"DELETE", "/v1/vehicles?vin=" + strings.Repeat("x", 18), "", 400, `{"error":"vin: `},
		{"POST", "/v1/vehicles", "", 400, `{"error":"the body is empty; a JSON object is wanted"}`},
		{"POST", "/v1/vehicles", "[", 400, `{"error":"the body: `},
		{"POST", "/v1/keys", `{"ID2":"x"}`, 400, `{"error":"the body: json: unknown field \"ID2\""}`},
		{"POST", "/v1/vehicles", `{"vins":["` + strings.Repeat("x", 1<<20) + `"]}`, 413, `{"error":"the body is larger than 1048576 bytes"}`},
		{"PATCH", "/v1/vehicles?productKey=gbt32960&vin=LTEST000000000001", "{}", 400, `{"error":"the body: disabled is missing"}`},
		{"PATCH", "/v1/devices?productKey=mqtt1&deviceName=door", "{}", 400, `{"error":"the body: disabled is missing"}`},
		{"PATCH", "/v1/keys?id=K", "{}", 400, `{"error":"the body: disabled is missing"}`},
		{"GET", "/v1/none", "", 404, `{"error":"no such request: GET /v1/none"}`},
		{"PUT", "/v1/keys", "", 404, `{"error":"no such request: PUT /v1/keys"}`},
	} {
		rec := httptest.NewRecorder()
		w.api.Handler().ServeHTTP(rec, httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
		require.Equal(t, tt.status, rec.Code, tt.target)
		require.True(t, strings.HasPrefix(rec.Body.String(), tt.want), "%s %s: %s", tt.method, tt.target, rec.Body)
	}
}

func TestSocket(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, admin.SocketName)

	_, err := admin.NewClient(dir).Status(t.Context())
	require.ErrorIs(t, err, admin.ErrNoGateway, "no socket")

	l, err := admin.ListenSocket(dir)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	// A process that dies leaves its socket behind.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	_, err = admin.NewClient(dir).Status(t.Context())
	require.ErrorIs(t, err, admin.ErrNoGateway, "a socket that nobody listens on")
	l, err = admin.ListenSocket(dir)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = admin.ListenSocket(dir)
	require.ErrorContains(t, err, "that is no socket")
	require.FileExists(t, path)

	long := filepath.Join(dir, strings.Repeat("d", 100))
	_, err = admin.ListenSocket(long)
	require.ErrorContains(t, err, "choose a shorter data directory")
}

func TestPublic(t *testing.T) {
	w := newWorld(t)
	var reasons []string
	public := admin.Public{
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		NotReady: func() []string { return reasons },
		API:      w.api.Handler(),
	}
	get := func(p admin.Public, path, token string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		rec := httptest.NewRecorder()
		p.Handler().ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	for _, tt := range []struct {
		path, token, given string
		reasons            []string
		status             int
		body               string
	}{
		{path: "/healthz", status: 200, body: `{"status":"ok"}` + "\n"},
		{path: "/healthz", reasons: []string{"draining"}, status: 200, body: `{"status":"ok"}` + "\n"},
		{path: "/readyz", status: 200, body: `{"ready":true}` + "\n"},
		{path: "/readyz", reasons: []string{"store: disk full", "draining"}, status: 503,
			body: `{"ready":false,"reasons":["store: disk full","draining"]}` + "\n"},
		{path: "/metrics", status: 200, body: "up 1\n"},
		{path: "/v1/status", status: 404, body: "404 page not found\n"},
		{path: "/metrics", token: "0123456789abcdef", status: 401,
			body: `{"error":"the admin token is wanted: Authorization: Bearer TOKEN"}` + "\n"},
		{path: "/metrics", token: "0123456789abcdef", given: "0123456789abcdeF", status: 401,
			body: `{"error":"the admin token is wanted: Authorization: Bearer TOKEN"}` + "\n"},
		{path: "/metrics", token: "0123456789abcdef", given: "0123456789abcdef", status: 200, body: "up 1\n"},
		{path: "/v1/platforms", token: "0123456789abcdef", status: 401,
			body: `{"error":"the admin token is wanted: Authorization: Bearer TOKEN"}` + "\n"},
		{path: "/v1/platforms", token: "0123456789abcdef", given: "0123456789abcdef", status: 200, body: "[]\n"},
		{path: "/readyz", token: "0123456789abcdef", status: 200, body: `{"ready":true}` + "\n"},
	} {
		public.Token, reasons = tt.token, tt.reasons
		status, body := get(public, tt.path, tt.given)
		require.Equal(t, tt.status, status, tt.path)
		require.Equal(t, tt.body, body, tt.path)
	}
}

func TestRemoteClient(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewServer(admin.Public{Metrics: http.NotFoundHandler(), NotReady: func() []string { return nil },
		Token: "0123456789abcdef", API: w.api.Handler()}.Handler())
	defer srv.Close()
	for _, addr := range []string{srv.URL + "/", strings.TrimPrefix(srv.URL, "http://")} {
		c := admin.NewRemoteClient(addr, "0123456789abcdef")
		status, err := c.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, "n1", status.Node)
		testCall(t, c)
		c.Close()

		c = admin.NewRemoteClient(addr, "wrong")
		_, err = c.Status(t.Context())
		require.EqualError(t, err, "the admin token is wanted: Authorization: Bearer TOKEN")
		_, err = c.Calls().Get("http://any/?Action=AsyncRRpc") //nolint:bodyclose // there is none with an error
		require.ErrorContains(t, err, "the admin token is wanted: Authorization: Bearer TOKEN")
		c.Close()
	}
	srv.Close()
	_, err := admin.NewRemoteClient(srv.URL, "x").Status(t.Context())
	require.ErrorIs(t, err, admin.ErrNoGateway)
}

// TestProfiles: a running gateway can be profiled, and its command line, which may hold secrets, is not told.
func TestProfiles(t *testing.T) {
	h := admin.API{Status: func() admin.Status { return admin.Status{} }}.Handler()
	for name, want := range map[string]int{"heap": 200, "goroutine": 200, "cmdline": 404, "nothing": 404} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/pprof/"+name, nil))
		require.Equal(t, want, rec.Code, name)
	}
}
