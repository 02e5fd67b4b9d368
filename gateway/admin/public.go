package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Public is the admin address: health for load balancers and metrics for Prometheus.
type Public struct {
	// Metrics serves /metrics.
	Metrics http.Handler
	// NotReady returns why no vehicle should be sent here at the moment, one short text for each reason; none when the
	// gateway is ready. It is called at each /readyz and must not block.
	NotReady func() []string
	// Token, when set, is wanted as a bearer token for /metrics and opens /v1/. Health stays open: whoever asks for it
	// learns nothing but whether the gateway works.
	Token string
	// API serves /v1/; it is reachable with the Token only.
	API http.Handler
}

// Handler returns the routes.
func (p Public) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", p.readyz)
	if p.Token == "" {
		mux.Handle("GET /metrics", p.Metrics)
		return mux
	}
	mux.Handle("GET /metrics", requireToken(p.Token, p.Metrics))
	if p.API != nil {
		mux.Handle("/v1/", requireToken(p.Token, p.API))
	}
	return mux
}

// Readiness is the body of /readyz.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"` // why not
}

func (p Public) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := p.NotReady()
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, Readiness{Ready: len(reasons) == 0, Reasons: reasons})
}

// requireToken compares hashes, so that neither the token's length nor a common prefix shows in the time.
func requireToken(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tboxgate"`)
			writeError(w, http.StatusUnauthorized, "the admin token is wanted: Authorization: Bearer TOKEN")
			return
		}
		next.ServeHTTP(w, r)
	})
}
