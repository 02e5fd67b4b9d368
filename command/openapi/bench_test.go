package openapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
)

// discard is a ResponseWriter that keeps the status only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkAsyncRRpc is one call by signature 1: parameters, verification, nonce, checks, answer.
func BenchmarkAsyncRRpc(b *testing.B) {
	h, err := openapi.New(openapi.Options{
		Devices: devices{testVIN: {ProductKey: testProduct, ActivatedAt: now}}, Commands: &commands{}, CallsPerSecond: -1,
		Keys: keyring{testKey: {ID: testKey, Secret: testSecret}}, Products: openapi.NewProducts(openapi.Product{Key: testProduct}),
	})
	if err != nil {
		b.Fatal(err)
	}
	a := &api{}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r := httptest.NewRequest(http.MethodGet, "/?"+encode(a.params("GET", map[string]string{"Timestamp": currentTime()})), nil)
		w := &discard{header: http.Header{}}
		b.StartTimer()
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

func currentTime() string { return time.Now().UTC().Format(signature.TimeFormat) }
