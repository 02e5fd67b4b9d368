package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tboxgate/tboxgate/session"
)

// The errors of a Client, and those that a Keys returns, to be tested with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("it exists already")
	ErrInvalid  = errors.New("not valid")
)

// Status says what is running and where it can be reached.
type Status struct {
	Version    string            `json:"version"`
	Node       string            `json:"node"`
	PID        int               `json:"pid"`
	StartedAt  session.Timestamp `json:"startedAt"`
	DataDir    string            `json:"dataDir"`
	ProductKey string            `json:"productKey"` // the first product
	Products   []Product         `json:"products"`   // all, in the order of the configuration
	Dev        bool              `json:"dev"`
	Addresses  Addresses         `json:"addresses"`
	Sessions   int               `json:"sessions"`
	Devices    int               `json:"devices"`
	Clock      Clock             `json:"clock"`
}

// Clock is what the kernel says of the machine's clock, which vehicles are served (0x08).
type Clock struct {
	Known          bool    `json:"known"` // false where the kernel does not tell; the rest is left out then
	Synchronized   bool    `json:"synchronized,omitempty"`
	OffsetSeconds  float64 `json:"offsetSeconds,omitempty"`         // true time less the clock's, being corrected
	EstimatedError float64 `json:"estimatedErrorSeconds,omitempty"` // as the time service believes
	MaxError       float64 `json:"maxErrorSeconds,omitempty"`
}

// Product is one product key.
type Product struct {
	Key          string `json:"key"`
	Protocol     string `json:"protocol"`     // gbt32960, mqtt
	Registration string `json:"registration"` // closed, open
}

// Addresses are where a gateway listens, as HOST:PORT with the ports that were taken.
type Addresses struct {
	Vehicles []string `json:"vehicles"` // in the order of the configuration
	API      string   `json:"api"`
	APITLS   bool     `json:"apiTls,omitempty"` // the API is HTTPS
	Admin    string   `json:"admin"`
	NATS     string   `json:"nats,omitempty"` // empty: off
	MQTT     []string `json:"mqtt,omitempty"` // none: off
}

// API holds what the socket's API works on.
type API struct {
	Status    func() Status // nil when no gateway is running
	Sessions  Sessions      // nil when no gateway is running
	Fleet     Fleet         // nil when no gateway is running
	Trace     Trace         // nil when no gateway is running
	Calls     http.Handler  // the API for commands, without signatures; nil when no gateway is running
	Vehicles  Vehicles
	Devices   Devices
	Products  []Product // those that vehicles can be registered in; nil: any
	Platforms Platforms
	Keys      Keys
	Store     Store
	Frames    Frames // nil when frames are not kept in the store
	NoFrames  string // why not, as a text for operators
}

// Handler returns the routes, all below /v1/:
//
//	GET    /v1/status
//	GET    /v1/pprof/NAME           profiles of the Go runtime: profile, heap, goroutine, …
//	GET    /v1/sessions             JSON lines; ?vin=V for one
//	DELETE /v1/sessions?vin=V       kick
//	GET    /v1/fleet                the fleet in numbers
//	GET    /v1/fleet/silent         JSON lines; ?for=1h&never=true
//	GET    /v1/fleet/clock          JSON lines; ?off=60s
//	GET    /v1/fleet/encrypted      JSON lines
//	GET    /v1/trace?vin=V          JSON lines of trace.Event until the client goes or the gateway stops
//	GET    /v1/vehicles             JSON lines; ?productKey=P for those of one product
//	POST   /v1/vehicles             {"productKey":P,"vins":[…]}
//	PATCH  /v1/vehicles?productKey=P&vin=V    {"disabled":true|false}
//	DELETE /v1/vehicles?productKey=P&vin=V
//	GET    /v1/devices              as vehicles, for MQTT devices; PATCH and DELETE with ?productKey=P&deviceName=D
//	POST   /v1/devices              {"productKey":P,"devices":[{"deviceName":D,"deviceSecret":S}, …]}, S optional
//	GET    /v1/platforms            POST {"code","user","password","replace"}    DELETE ?code=C
//	GET    /v1/keys                 POST a NewKey                                DELETE ?id=I
//	PATCH  /v1/keys?id=I            {"disabled":true}
//	DELETE /v1/vehicles/data?vin=V  the vehicle and all that is stored of it
//	GET    /v1/backup               a tar file
//	GET    /v1/frames               JSON lines; ?vin=V&command=C, each any number of times, &since=T&until=T&follow=true&merge=true
//	GET    /v1/gaps?vin=V           JSON lines; &since=T&until=T&period=30s
//	GET    /v1/last?vin=V           the last known state
//	*      /v1/call                 the API for commands: ?Action=AsyncRRpc&…
//
// An answer that is not 2xx is {"error":"…"}.
func (a API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/vehicles", a.listVehicles)
	mux.HandleFunc("POST /v1/vehicles", a.importVehicles)
	mux.HandleFunc("PATCH /v1/vehicles", a.disableVehicle)
	mux.HandleFunc("DELETE /v1/vehicles", a.deleteVehicle)
	a.handleDevices(mux)
	mux.HandleFunc("GET /v1/platforms", a.listPlatforms)
	mux.HandleFunc("POST /v1/platforms", a.createPlatform)
	mux.HandleFunc("DELETE /v1/platforms", a.deletePlatform)
	mux.HandleFunc("GET /v1/keys", a.listKeys)
	mux.HandleFunc("POST /v1/keys", a.createKey)
	mux.HandleFunc("PATCH /v1/keys", a.changeKey)
	mux.HandleFunc("DELETE /v1/keys", a.deleteKey)
	a.frameRoutes(mux)
	a.storeRoutes(mux)
	if a.Status != nil {
		mux.HandleFunc("GET /v1/pprof/{name}", profile)
		mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, a.Status())
		})
	}
	if a.Sessions != nil {
		mux.HandleFunc("GET /v1/sessions", a.listSessions)
		mux.HandleFunc("DELETE /v1/sessions", a.kick)
	}
	if a.Fleet != nil {
		mux.HandleFunc("GET /v1/fleet", a.fleetSummary)
		mux.HandleFunc("GET /v1/fleet/silent", a.fleetSilent)
		mux.HandleFunc("GET /v1/fleet/clock", a.fleetClock)
		mux.HandleFunc("GET /v1/fleet/encrypted", a.fleetEncrypted)
	}
	if a.Trace != nil {
		mux.HandleFunc("GET /v1/trace", a.trace)
	}
	if a.Calls != nil {
		mux.Handle("/v1/call", atRoot(a.Calls))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "no such request: "+r.Method+" "+r.URL.Path)
	})
	return mux
}

// atRoot passes a request on as one to "/", where the API for commands lives.
func atRoot(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = "/", ""
		next.ServeHTTP(w, r)
	})
}

// knownProduct refuses a product that is none of the gateway's: no vehicle of it could log in. The error is ErrInvalid.
func (a API) knownProduct(key string) error {
	if a.Products == nil {
		return nil
	}
	keys := make([]string, len(a.Products))
	for i, p := range a.Products {
		if keys[i] = p.Key; p.Key == key {
			return nil
		}
	}
	return fmt.Errorf("%w: unknown product %q; the gateway's products are: %s", ErrInvalid, key, strings.Join(keys, ", "))
}
