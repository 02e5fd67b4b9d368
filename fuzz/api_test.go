package fuzz

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
)

// The API under attack: one access key, one product, every vehicle registered.
const (
	apiKey    = "testid"
	apiSecret = "testsecret"
	product   = "a1b2c3d4e5f"
)

var apiNow = time.Date(2026, 11, 23, 3, 32, 30, 0, time.UTC)

// api stands in for everything behind the handler and remembers the commands that came through.
type api struct {
	handler *openapi.Handler
	sent    []command.Request
}

func newAPI(t testing.TB, trusted bool) *api {
	t.Helper()
	a := &api{}
	h, err := openapi.New(openapi.Options{
		Devices: devices{}, Commands: a, Keys: a, Trusted: trusted, CallsPerSecond: -1,
		Products: openapi.NewProducts(openapi.Product{Key: product}),
		Now:      func() time.Time { return apiNow },
	})
	require.NoError(t, err)
	a.handler = h
	return a
}

func (a *api) Lookup(id string) (openapi.Key, bool) {
	return openapi.Key{ID: apiKey, Secret: apiSecret}, id == apiKey
}

func (a *api) Send(_ context.Context, r command.Request) (int64, error) {
	a.sent = append(a.sent, r)
	return int64(len(a.sent)), nil
}

func (a *api) Wait(_ context.Context, id int64) (command.Result, error) {
	return command.Result{MessageID: id, State: command.StateTimedOut}, nil
}

func (a *api) Result(context.Context, string, int64) (command.Result, error) {
	return command.Result{}, command.ErrNotFound
}

// apiAnswer is what every answer has.
type apiAnswer struct {
	status  int
	Success bool
	Code    string
}

// call makes a call and checks the form of the answer.
func (a *api) call(t *testing.T, r *http.Request) apiAnswer {
	t.Helper()
	a.sent = nil
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	got := apiAnswer{status: w.Code}
	switch kind := w.Header().Get("Content-Type"); {
	case strings.Contains(kind, "json"):
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), "%s", w.Body)
	case strings.Contains(kind, "xml"):
		require.NoError(t, xml.Unmarshal(w.Body.Bytes(), &got), "%s", w.Body)
	default:
		t.Fatalf("an answer of type %q: %s", kind, w.Body)
	}
	require.Contains(t, []int{200, 400, 404, 413, 415}, got.status, "%s", w.Body)
	require.Equal(t, got.Success, got.Code == "", "%s", w.Body)
	if !got.Success {
		require.Empty(t, a.sent, "%s", w.Body)
	}
	return got
}

// request returns an HTTP request with the query and body given, as a server would have read it.
func request(method, query, body string) *http.Request {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// errNoForm says that a text is no list of parameters.
var errNoForm = errors.New("no form")

// readForm decodes a query or form body, written from the rules of the format alone: pairs are
// separated by "&", "+" is a blank, "%" begins two hex digits. A name may stand once.
func readForm(into map[string]string, text string) error {
	decode := func(s string) (string, error) {
		var b strings.Builder
		for i := 0; i < len(s); i++ {
			switch s[i] {
			case '+':
				b.WriteByte(' ')
			case '%':
				if i+2 >= len(s) {
					return "", errNoForm
				}
				n := 0
				for _, c := range strings.ToLower(s[i+1 : i+3]) {
					d := strings.IndexRune("0123456789abcdef", c)
					if d < 0 {
						return "", errNoForm
					}
					n = 16*n + d
				}
				b.WriteByte(byte(n))
				i += 2
			default:
				b.WriteByte(s[i])
			}
		}
		return b.String(), nil
	}
	for _, pair := range strings.Split(text, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := decode(rawName)
		if err != nil {
			return err
		}
		value, err := decode(rawValue)
		if err != nil {
			return err
		}
		if _, twice := into[name]; twice {
			return errNoForm
		}
		into[name] = value
	}
	return nil
}

// FuzzAPIParameters: whatever stands in query and body, the answer is well formed, and what is sent
// to a vehicle is what the parameters say.
func FuzzAPIParameters(f *testing.F) {
	const good = "Action=AsyncRRpc&ProductKey=a1b2c3d4e5f&DeviceName=LTEST000000000001&ExtInfo=%7B%22commandType%22%3A128%7D"
	f.Add(true, good, "MessageContent=GgsXCx4AAQI%3D")
	f.Add(false, good+"&MessageContent=GgsXCx4AAQI=&Format=XML", "")
	f.Add(true, good+"&DeviceName=twice", "MessageContent=AQI=")
	f.Add(true, good, "MessageContent=AQI=&Action=AsyncRRpc")
	f.Add(true, "Action=GetAsyncRRpcResult&ProductKey=a1b2c3d4e5f&MessageId=889455942124", "")
	f.Add(true, "Action=%", "a=%zz&&=;+")
	const device = "&ProductKey=a1b2c3d4e5f&DeviceName=LTEST000000000001"
	f.Add(true, "Action=RRpc&Timeout=1000&Topic=/query"+device, "RequestBase64Byte=GgsXCx4AAQI%3D")
	for _, action := range []string{"GetDeviceStatus", "QueryDeviceDetail", "QueryVehicleDevice", "DeleteDevice", "QueryDevice"} {
		f.Add(true, "Action="+action+device+"&PageSize=2&NextToken=TFRFU1Q", "")
	}
	f.Add(true, "Action=BatchGetDeviceState&Format=XML&IotId.1=a1b2c3d4e5f.A&IotId.2=b", "")
	f.Add(true, "Action=BatchImportVehicleDevice&ProductKey=a1b2c3d4e5f", "DeviceList.1.DeviceName=A&DeviceList.2.DeviceName=%00%FF")
	f.Add(true, "Action=BatchCheckVehicleDevice&ProductKey=a1b2c3d4e5f&Format=XML", "DeviceList.1.DeviceName=A&DeviceList.2.DeviceName=%00%FF")
	f.Add(true, strings.Replace(good, "128", "%22130%22", 1), "MessageContent=IyMC/kxURVNUMDAwMDAwMDAwMDAxAQAAzA==")
	f.Fuzz(func(t *testing.T, post bool, query, body string) {
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		a := newAPI(t, true)
		got := a.call(t, request(method, query, body))

		params := map[string]string{}
		err := errors.Join(readForm(params, query), readForm(params, body))
		if err != nil {
			require.NotEqual(t, 200, got.status, "%v", params)
			return
		}
		if len(a.sent) == 0 {
			return
		}
		require.Len(t, a.sent, 1)
		sent := a.sent[0]
		content := map[string]string{"AsyncRRpc": "MessageContent", "RRpc": "RequestBase64Byte"}[params["Action"]]
		require.NotEmpty(t, content, "nothing else sends anything")
		require.Equal(t, product, params["ProductKey"])
		require.Equal(t, product, sent.ProductKey)
		require.Equal(t, strings.TrimRight(params["DeviceName"], " \x00"), sent.DeviceName)
		unit, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(params[content])))
		require.NoError(t, err)
		require.Equal(t, unit, sent.Unit)
		if params["Action"] == "AsyncRRpc" || params["ExtInfo"] != "" {
			var info map[string]any
			require.NoError(t, json.Unmarshal([]byte(params["ExtInfo"]), &info))
		}
		require.Contains(t, []codec.Command{codec.CommandParamQuery, codec.CommandParamSet, codec.CommandControl}, sent.Command)
	})
}

// devices is the registry in which every vehicle is.
type devices struct{}

func (devices) Page(string, codec.VIN, int, int) ([]session.Device, int) { return nil, 0 }

func (devices) Register(_ context.Context, _ string, vins []string) (session.RegisterResult, error) {
	r := session.RegisterResult{Items: make([]session.RegisterItem, len(vins))}
	for i, vin := range vins {
		r.Items[i] = session.RegisterItem{VIN: vin, Status: session.Registered}
	}
	return r, nil
}

func (devices) Delete(context.Context, string, codec.VIN) error { return nil }

func (devices) Lookup(codec.VIN) (session.Device, bool) {
	return session.Device{ProductKey: product, ActivatedAt: apiNow}, true
}
