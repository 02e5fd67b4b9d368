package openapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
	"github.com/tboxgate/tboxgate/session"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the time at which the recorded vectors were signed.
var now = time.Date(2026, 11, 23, 3, 32, 30, 0, time.UTC)

type keyring map[string]openapi.Key

func (k keyring) Lookup(id string) (openapi.Key, bool) { key, ok := k[id]; return key, ok }

type devices map[string]session.Device

func (d devices) Lookup(vin codec.VIN) (session.Device, bool) {
	device, ok := d[vin.String()]
	device.VIN = vin
	return device, ok
}

func (d devices) Page(productKey string, after codec.VIN, skip, n int) (page []session.Device, total int) {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		if d[name].ProductKey != productKey {
			continue
		}
		total++
		if name <= after.String() {
			continue
		}
		if skip--; skip < 0 && len(page) < n {
			device, err := codec.ParseVIN(name)
			if err != nil {
				panic(err)
			}
			one := d[name]
			one.VIN = device
			page = append(page, one)
		}
	}
	return page, total
}

func (d devices) Register(context.Context, string, []string) (session.RegisterResult, error) {
	return session.RegisterResult{}, session.ErrUnconfirmed
}

func (d devices) Delete(context.Context, string, codec.VIN) error { return session.ErrUnconfirmed }

// commands stands in for the dispatcher: it records the request and answers with what it was told.
type commands struct {
	last    command.Request
	sent    int
	sendErr error
	results map[int64]command.Result
	readErr error
	wait    func(ctx context.Context, id int64) (command.Result, error)
}

func (c *commands) Wait(ctx context.Context, id int64) (command.Result, error) {
	return c.wait(ctx, id)
}

func (c *commands) Send(_ context.Context, r command.Request) (int64, error) {
	if c.sendErr != nil {
		return 0, c.sendErr
	}
	c.last = r
	c.sent++
	return 889455942124 + int64(c.sent), nil
}

func (c *commands) Result(_ context.Context, productKey string, id int64) (command.Result, error) {
	if c.readErr != nil {
		return command.Result{}, c.readErr
	}
	r, ok := c.results[id]
	if !ok || r.ProductKey != productKey {
		return command.Result{}, command.ErrNotFound
	}
	return r, nil
}

// api is a handler with its surroundings.
type api struct {
	t        *testing.T
	commands *commands
	devices  devices
	handler  *openapi.Handler
	calls    []openapi.CallInfo
	nonce    int
}

func newAPI(t *testing.T, change ...func(*openapi.Options)) *api {
	t.Helper()
	a := &api{t: t, commands: &commands{}, devices: devices{
		testVIN:             {ProductKey: testProduct, ActivatedAt: now},
		"LTEST000000000002": {ProductKey: testProduct},
		"LTEST000000000003": {ProductKey: testProduct, ActivatedAt: now, Disabled: true},
		"LTEST000000000004": {ProductKey: "otherProduct", ActivatedAt: now},
	}}
	o := openapi.Options{
		Devices: a.devices, Commands: a.commands,
		Keys:     keyring{testKey: {ID: testKey, Secret: testSecret}, "off": {ID: "off", Secret: testSecret, Disabled: true}},
		Products: openapi.NewProducts(openapi.Product{Key: testProduct}, openapi.Product{Key: "otherProduct"}),
		Now:      func() time.Time { return now },
		Observe:  func(c openapi.CallInfo) { a.calls = append(a.calls, c) },
	}
	for _, f := range change {
		f(&o)
	}
	h, err := openapi.New(o)
	require.NoError(t, err)
	a.handler = h
	return a
}

// params returns the parameters of a good AsyncRRpc call, changed and then signed as signature 1 for the given method.
func (a *api) params(method string, change map[string]string) map[string]string {
	a.nonce++
	p := map[string]string{
		"AccessKeyId": testKey, "Action": "AsyncRRpc", "DeviceName": testVIN, "ExtInfo": `{"commandType":128}`, "Format": "JSON",
		"MessageContent": "GgsXCx4AAQI=", "ProductKey": testProduct, "RegionId": "cn-shanghai", "SignatureMethod": "HMAC-SHA1",
		"SignatureNonce": fmt.Sprint("nonce", a.nonce), "SignatureType": "", "SignatureVersion": "1.0",
		"Timestamp": now.Format(signature.TimeFormat), "Version": "2018-01-20",
	}
	secret := testSecret
	for name, value := range change {
		switch {
		case name == "secret":
			secret = value
		case value == "-":
			delete(p, name)
		default:
			p[name] = value
		}
	}
	if _, given := p["Signature"]; !given && change["Signature"] != "-" {
		p["Signature"] = signature.Sign1(secret, signature.StringToSign(method, p))
	}
	return p
}

func encode(params map[string]string) string {
	values := url.Values{}
	for name, value := range params {
		values.Set(name, value)
	}
	return values.Encode()
}

type answer struct {
	status int
	typ    string
	body   string
	json   map[string]any
}

func (a *api) do(r *http.Request) answer {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	got := answer{status: w.Code, typ: w.Header().Get("Content-Type"), body: w.Body.String()}
	if got.typ == "application/json;charset=utf-8" {
		require.NoError(a.t, json.Unmarshal(w.Body.Bytes(), &got.json), got.body)
	}
	return got
}

// call makes a signed POST with everything in the query but MessageContent, as the SDKs do.
func (a *api) call(change map[string]string) answer {
	a.t.Helper()
	return a.do(a.signed(change))
}

func (a *api) signed(change map[string]string) *http.Request {
	a.t.Helper()
	p := a.params("POST", change)
	query, form := maps.Clone(p), map[string]string{}
	if content, ok := p["MessageContent"]; ok {
		form["MessageContent"] = content
		delete(query, "MessageContent")
	}
	r := httptest.NewRequest(http.MethodPost, "/?"+encode(query), strings.NewReader(encode(form)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

const (
	testKey     = "testid"
	testSecret  = "testsecret"
	testVIN     = "LTEST000000000001"
	testProduct = "a1b2c3d4e5f"
)
