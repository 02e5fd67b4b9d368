package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session"
)

// Sessions are the live sessions; session.Table is one.
type Sessions interface {
	Get(vin codec.VIN) *session.Session // nil: offline
	Each(fn func(*session.Session) bool)
	// Logout ends s and reports false when it had ended before.
	Logout(s *session.Session, reason session.Reason) bool
}

// Vehicles is the device registry; session.Registry is one.
type Vehicles interface {
	List(productKey string) iter.Seq[session.Device] // "" for all products; in the order of the VINs
	Register(ctx context.Context, productKey string, vins []string) (session.RegisterResult, error)
	Delete(ctx context.Context, productKey string, vin codec.VIN) error
	// Disable sets whether the vehicle is kept from logging in. One that is online is cut off.
	Disable(ctx context.Context, productKey string, vin codec.VIN, disabled bool) error
}

// Platforms are the enterprise platforms; session.Platforms is one.
type Platforms interface {
	List() []session.Platform
	Create(ctx context.Context, code, user, password string, replace bool) error
	Delete(ctx context.Context, code string) error
}

// Keys are the access keys of the HTTP API.
type Keys interface {
	List() []Key
	// Create makes a key; an id that is there is ErrConflict.
	Create(ctx context.Context, n NewKey) (Key, error)
	// SetDisabled switches a key off or on at once. The error is ErrNotFound when there is none of that id.
	SetDisabled(ctx context.Context, id string, disabled bool) error
	// Delete revokes a key at once. The error is ErrNotFound when there is none of that id.
	Delete(ctx context.Context, id string) error
}

// Key is an access key. Its secrets are shown once, by the answer that creates it.
type Key struct {
	ID            string            `json:"id"`
	Secret        string            `json:"secret,omitempty"`
	SecurityToken string            `json:"securityToken,omitempty"`
	CreatedAt     session.Timestamp `json:"createdAt,omitzero"` // zero for a static key
	ExpiresAt     session.Timestamp `json:"expiresAt,omitzero"`
	Products      []string          `json:"products,omitempty"` // those it may work with; none: all
	Allow         []string          `json:"allow,omitempty"`    // what it may do; none: everything
	Temporary     bool              `json:"temporary,omitempty"`
	Disabled      bool              `json:"disabled,omitempty"`
	Static        bool              `json:"static,omitempty"`     // given by a flag, the environment or the file: cannot be changed
	Unreadable    bool              `json:"unreadable,omitempty"` // sealed with another seal key: does not work, delete it
}

// NewKey says which key is to be made. What is empty is made up or not limited.
type NewKey struct {
	ID        string            `json:"id,omitempty"`
	Secret    string            `json:"secret,omitempty"`
	Products  []string          `json:"products,omitempty"`
	Allow     []string          `json:"allow,omitempty"` // query set control publish read import
	ExpiresAt session.Timestamp `json:"expiresAt,omitzero"`
	Temporary bool              `json:"temporary,omitempty"` // with a security token; needs expiresAt
}

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

// maxBody bounds a request; ten thousand VINs fit.
const maxBody = 1 << 20

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

func (a API) listSessions(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("vin") {
		if s := a.session(w, r); s != nil {
			writeJSON(w, http.StatusOK, s.Info())
		}
		return
	}
	lines := newLineWriter(w)
	a.Sessions.Each(func(s *session.Session) bool { return lines.write(s.Info()) })
}

func (a API) kick(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	if s == nil {
		return
	}
	info := s.Info()
	Kick(a.Sessions, s)
	writeJSON(w, http.StatusOK, info)
}

// Kick ends a session: that of a vehicle with its connection, that of one behind a platform alone, because the
// connection carries others. It never blocks.
func Kick(sessions Sessions, s *session.Session) {
	if s.Platform == "" {
		s.Link.Close(session.ReasonKicked)
	} else {
		sessions.Logout(s, session.ReasonKicked)
	}
}

// session finds the session of the parameter vin, or answers why there is none and returns nil.
func (a API) session(w http.ResponseWriter, r *http.Request) *session.Session {
	vin, ok := vinOf(w, r)
	if !ok {
		return nil
	}
	s := a.Sessions.Get(vin)
	if s == nil {
		writeError(w, http.StatusNotFound, fmt.Sprintf("vehicle %s is offline", vin))
	}
	return s
}

func vinOf(w http.ResponseWriter, r *http.Request) (codec.VIN, bool) {
	vin, err := codec.ParseVIN(r.URL.Query().Get("vin"))
	if err != nil {
		writeError(w, http.StatusBadRequest, "vin: "+err.Error())
		return vin, false
	}
	return vin, true
}

func (a API) listVehicles(w http.ResponseWriter, r *http.Request) {
	lines := newLineWriter(w)
	for d := range a.Vehicles.List(r.URL.Query().Get("productKey")) {
		if !lines.write(d) {
			return
		}
	}
}

func (a API) importVehicles(w http.ResponseWriter, r *http.Request) {
	var req struct {
		ProductKey string   `json:"productKey"`
		VINs       []string `json:"vins"`
	}
	if !readBody(w, r, &req) {
		return
	}
	if err := a.knownProduct(req.ProductKey); err != nil {
		answer(w, nil, err)
		return
	}
	result, err := a.Vehicles.Register(r.Context(), req.ProductKey, req.VINs)
	answer(w, result, err)
}

func (a API) disableVehicle(w http.ResponseWriter, r *http.Request) {
	vin, ok := vinOf(w, r)
	var req struct {
		Disabled *bool `json:"disabled"`
	}
	if !ok || !readBody(w, r, &req) {
		return
	}
	if req.Disabled == nil {
		writeError(w, http.StatusBadRequest, "the body: disabled is missing")
		return
	}
	answer(w, struct{}{}, a.Vehicles.Disable(r.Context(), r.URL.Query().Get("productKey"), vin, *req.Disabled))
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

func (a API) deleteVehicle(w http.ResponseWriter, r *http.Request) {
	if vin, ok := vinOf(w, r); ok {
		answer(w, struct{}{}, a.Vehicles.Delete(r.Context(), r.URL.Query().Get("productKey"), vin))
	}
}

func (a API) listPlatforms(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Platforms.List())
}

// newPlatform is the body that creates a platform.
type newPlatform struct {
	Code     string `json:"code"`
	User     string `json:"user"`
	Password string `json:"password"`
	Replace  bool   `json:"replace"`
}

func (a API) createPlatform(w http.ResponseWriter, r *http.Request) {
	var req newPlatform
	if readBody(w, r, &req) {
		answer(w, struct{}{}, a.Platforms.Create(r.Context(), req.Code, req.User, req.Password, req.Replace))
	}
}

func (a API) deletePlatform(w http.ResponseWriter, r *http.Request) {
	answer(w, struct{}{}, a.Platforms.Delete(r.Context(), r.URL.Query().Get("code")))
}

func (a API) listKeys(w http.ResponseWriter, _ *http.Request) {
	keys := a.Keys.List()
	for i := range keys {
		keys[i].Secret, keys[i].SecurityToken = "", ""
	}
	writeJSON(w, http.StatusOK, keys)
}

func (a API) createKey(w http.ResponseWriter, r *http.Request) {
	var req NewKey
	if !readBody(w, r, &req) {
		return
	}
	for _, key := range req.Products {
		if err := a.knownProduct(key); err != nil {
			answer(w, nil, err)
			return
		}
	}
	key, err := a.Keys.Create(r.Context(), req)
	answer(w, key, err)
}

// keyChange is the body that changes a key.
type keyChange struct {
	Disabled bool `json:"disabled"`
}

func (a API) changeKey(w http.ResponseWriter, r *http.Request) {
	var req keyChange
	if readBody(w, r, &req) {
		answer(w, struct{}{}, a.Keys.SetDisabled(r.Context(), r.URL.Query().Get("id"), req.Disabled))
	}
}

func (a API) deleteKey(w http.ResponseWriter, r *http.Request) {
	answer(w, struct{}{}, a.Keys.Delete(r.Context(), r.URL.Query().Get("id")))
}

// readBody reads a JSON body, or answers why it cannot and returns false.
func readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, io.EOF):
		writeError(w, http.StatusBadRequest, "the body is empty; a JSON object is wanted")
	default:
		writeError(w, http.StatusBadRequest, "the body: "+err.Error())
	}
	return false
}

// answer writes v, or the error with the status that belongs to it.
func answer(w http.ResponseWriter, v any, err error) {
	if err == nil {
		writeJSON(w, http.StatusOK, v)
		return
	}
	status := http.StatusInternalServerError
	for _, kind := range [...]struct {
		err    error
		status int
	}{
		{session.ErrNotRegistered, http.StatusNotFound},
		{session.ErrPlatformUnknown, http.StatusNotFound},
		{mqttdevice.ErrNotRegistered, http.StatusNotFound},
		{ErrNotFound, http.StatusNotFound},
		{session.ErrPlatformExists, http.StatusConflict},
		{ErrConflict, http.StatusConflict},
		{session.ErrPlatformInvalid, http.StatusBadRequest},
		{ErrInvalid, http.StatusBadRequest},
		{session.ErrUnconfirmed, http.StatusServiceUnavailable},
		{session.ErrClosed, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, kind.err) {
			status = kind.status
			break
		}
	}
	writeError(w, status, err.Error())
}

// lineWriter streams JSON lines: a list may have a million.
type lineWriter struct {
	e *json.Encoder
}

func newLineWriter(w http.ResponseWriter) lineWriter {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return lineWriter{json.NewEncoder(w)}
}

// write reports false when nobody reads any more.
func (l lineWriter) write(v any) bool { return l.e.Encode(v) == nil }
