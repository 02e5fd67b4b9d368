// Package openapi serves the HTTP API that unmodified Alibaba Cloud IoT SDKs can call: POST or GET "/" in the RPC style of
// Alibaba Cloud's OpenAPI, signed by an access key, answered in JSON or XML.
//
//	HTTP request ── readRequest ──▶ parameters ── verify ──▶ key id ── operations[Action] ──▶ answer
//	                (query, body)                (signature 1, V3,        │
//	                                              window, nonce, rate)    └─▶ command.Dispatcher ──▶ vehicle
//
// The operations are AsyncRRpc, which sends a query (0x80), setting (0x81) or control (0x82) command to a vehicle or a message
// to an MQTT device; GetAsyncRRpcResult and RRpc for vehicles, our extensions, which tell what became of it and wait for it;
// and those that register devices and tell their state. docs/api.md is the reference for callers.
package openapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
)

const apiVersion = "2018-01-20"

// Devices knows the registered vehicles; session.Registry is one.
type Devices interface {
	Lookup(vin codec.VIN) (session.Device, bool)
	// Page returns up to n devices of a product in the order of their VINs, from the first behind after (zero: from the
	// beginning) and skip more on, and how many the product has.
	Page(productKey string, after codec.VIN, skip, n int) (page []session.Device, total int)
	Register(ctx context.Context, productKey string, vins []string) (session.RegisterResult, error)
	Delete(ctx context.Context, productKey string, vin codec.VIN) error
}

// Sessions finds the live session of a vehicle; session.Table is one.
type Sessions interface {
	Get(vin codec.VIN) *session.Session // nil: offline, or on another node
}

// Commands sends commands and remembers their results; command.Dispatcher is one.
type Commands interface {
	Send(ctx context.Context, r command.Request) (id int64, err error)
	Result(ctx context.Context, productKey string, id int64) (command.Result, error)
	// Wait returns the result once the command is over, or the result so far with the error of ctx.
	Wait(ctx context.Context, id int64) (command.Result, error)
}

// Keys finds access keys; KeyStore is one. Lookup must be fast and see a deletion at once. A key that there is and that cannot be
// used, because its secret was sealed with another seal key, is returned with its ID and false.
type Keys interface {
	Lookup(id string) (Key, bool)
}

// SharedNonces is where gateways that have the access keys in common tell each other which calls were made.
type SharedNonces interface {
	// Create stores value under key, for as long as any time stamp is valid that is valid now: two Windows. When the key is there
	// already the error matches fs.ErrExist.
	Create(ctx context.Context, key string, value []byte) error
}

// Options configure a Handler. Devices, Commands, Keys and Products are required; every other field has a default.
type Options struct {
	Devices  Devices
	Commands Commands
	Keys     Keys // not needed by a Trusted handler
	Products Products
	Topics   Topics   // the devices of MQTT products; nil: none can be reached
	Sessions Sessions // for the addresses of vehicles, and for log lines; nil: they are not told

	// Trusted answers calls without any signature, as access key "local", which may do everything. For the unix socket of the admin interface,
	// whose file permissions say who may call.
	Trusted bool
	// BusinessErrorStatus is the HTTP status of an operation's failure: 200 (default: what Alibaba's service does and its
	// SDKs expect) or 400 (what its documentation says).
	BusinessErrorStatus int
	// Window is how far a request's time stamp may be off, each way. Default 15 minutes.
	Window time.Duration
	// MaxBody limits the request body in bytes. Default 1 MiB; the longest data unit makes 260 KB, 10,000 vehicles to import
	// 500 KB.
	MaxBody int64
	// NonceDir is the directory in which used nonces outlive the process. "": they do not.
	NonceDir string
	// SharedNonces keeps a call that does something from being made again at another gateway. nil: there is none.
	SharedNonces SharedNonces
	// MaxNonces bounds the memory for used signature nonces (about 50 bytes each). Default 1,048,576.
	MaxNonces int
	// CallsPerSecond limits the calls of one access key. Default 1,000; negative: no limit.
	CallsPerSecond int
	// ConcurrentCalls limits the calls that have been read and are under way at the same time. Default 512.
	ConcurrentCalls int
	// EchoStringToSign adds the server's string to sign to SignatureDoesNotMatch answers of signature 1. It helps to debug
	// a client, and holds every parameter of the request, the message content too.
	EchoStringToSign bool

	Now      func() time.Time // default time.Now
	Logger   *slog.Logger     // default: nothing is logged
	Unsigned *slog.Logger     // of calls by whoever has not shown an access key, who may be anybody; default Logger
	Observe  func(CallInfo)   // called after every call, for metrics
}

// CallInfo describes an answered call. Action is "" for an unknown one, so that its values are few.
type CallInfo struct {
	Action   string
	Code     string // error code, "" on success
	Status   int    // HTTP status
	Duration time.Duration
}

// Handler is the API. It is safe for concurrent use.
type Handler struct {
	o          Options
	operations map[string]operation
	nonces     *nonces
	limits     *keyLimits
	slots      chan struct{} // one for each call under way
}

// call is one authenticated call of an operation.
type call struct {
	requestID string
	key       Key
	params    map[string]string
	old       bool // signed by signature 1, as SDKs of the old generation do
	sent      bool // something was handed over for a device: no failure may make an SDK repeat the call
}

// operation is one Action. It returns the members of its answer that follow RequestId and Success, or an error: a
// businessError, a frontError, or anything else for InternalError.
type operation func(ctx context.Context, c *call) ([]field, error)

// New returns a Handler.
func New(o Options) (*Handler, error) {
	switch {
	case o.Devices == nil || o.Commands == nil || o.Products == nil:
		return nil, errors.New("openapi: Options.Devices, Commands and Products are required")
	case o.Keys == nil && !o.Trusted:
		return nil, errors.New("openapi: Options.Keys is required unless Trusted is set")
	case o.BusinessErrorStatus != 0 && o.BusinessErrorStatus != http.StatusOK && o.BusinessErrorStatus != http.StatusBadRequest:
		return nil, errors.New("openapi: Options.BusinessErrorStatus must be 200 or 400")
	}
	setDefault(&o.BusinessErrorStatus, http.StatusOK)
	setDefault(&o.Window, 15*time.Minute)
	setDefault(&o.MaxBody, 1<<20)
	setDefault(&o.MaxNonces, 1<<20)
	setDefault(&o.CallsPerSecond, 1000)
	setDefault(&o.ConcurrentCalls, 512)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Unsigned = cmp.Or(o.Unsigned, o.Logger)
	if o.Observe == nil {
		o.Observe = func(CallInfo) {}
	}
	h := &Handler{o: o, nonces: newNonces(o.MaxNonces), limits: newKeyLimits(o.CallsPerSecond), slots: make(chan struct{}, o.ConcurrentCalls)}
	if o.NonceDir != "" && !o.Trusted {
		if err := h.nonces.loadNonces(o.NonceDir, o.Now(), o.Window, o.Logger); err != nil {
			return nil, err
		}
	}
	h.operations = map[string]operation{
		"AsyncRRpc":                h.asyncRRpc,
		"GetAsyncRRpcResult":       h.getAsyncRRpcResult,
		"RRpc":                     h.rrpc,
		"GetDeviceStatus":          h.getDeviceStatus,
		"BatchGetDeviceState":      h.batchGetDeviceState,
		"QueryDeviceDetail":        h.queryDeviceDetail,
		"QueryDevice":              h.queryDevice,
		"QueryVehicleDevice":       h.queryVehicleDevice,
		"BatchImportVehicleDevice": h.batchImportVehicleDevice,
		"BatchCheckVehicleDevice":  h.batchCheckVehicleDevice,
		"DeleteDevice":             h.deleteDevice,
	}
	return h, nil
}

// Close ends writing used nonces down. Calls may go on.
func (h *Handler) Close() error { return h.nonces.close() }

// LetGo closes the files of used nonces until the next call opens them again, so that a file system that has failed
// can be unmounted.
func (h *Handler) LetGo() { h.nonces.letGo() }

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.o.Now()
	req, fail := readRequest(w, r, h.o.MaxBody)
	select { // not before: a peer that is slow to send its call takes nobody's place
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		if fail == nil {
			fail = errTooManyCalls
		}
	}
	a := answerer{w: w, host: r.Host, requestID: newRequestID(), businessStatus: h.o.BusinessErrorStatus}
	env := req.readEnvelope()
	if formatFail := a.chooseFormat(req, h.o.Trusted); fail == nil {
		fail = formatFail
	}
	var info CallInfo
	keyID, fields, err := h.serve(req, env, fail, a.requestID)
	info.Status, info.Code = a.answer(env.action, fields, err)
	if _, known := h.operations[env.action]; known {
		info.Action = env.action
	}
	info.Duration = h.o.Now().Sub(start)
	h.o.Observe(info)
	// What is sent to a vehicle and what is refused can be traced; polling for results would drown it.
	level := slog.LevelInfo
	if info.Action == "GetAsyncRRpcResult" && info.Status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	log := h.o.Logger
	if keyID == "" { // whoever it was has not shown a key
		log = h.o.Unsigned
	}
	log.Log(r.Context(), level, "api call", "action", info.Action, "requestId", a.requestID, "accessKeyId", keyID, "status", info.Status,
		"code", info.Code, h.about(req.all), "remote", r.RemoteAddr)
	var front *frontError
	var business *businessError
	if err != nil && !errors.As(err, &front) && !errors.As(err, &business) {
		h.o.Logger.Error("api call failed", "action", info.Action, "requestId", a.requestID, h.about(req.all), "error", err)
	}
}

// serve does what a call asks for, unless reading it failed already.
func (h *Handler) serve(req *request, env envelope, fail *frontError, requestID string) (keyID string, fields []field, err error) {
	if fail != nil {
		return "", nil, fail
	}
	if req.http.URL.Path != "/" || req.http.Method != http.MethodGet && req.http.Method != http.MethodPost {
		return "", nil, errActionNotFound
	}
	if env.action == "" {
		return "", nil, errMissing("Action")
	}
	key := Key{ID: "local"}
	if !h.o.Trusted {
		if key, fail = h.verify(req, env.action); fail != nil {
			return "", nil, fail
		}
	}
	if env.version != "" && env.version != apiVersion {
		return key.ID, nil, errVersion
	}
	op, known := h.operations[env.action]
	if !known {
		return key.ID, nil, errActionNotFound
	}
	c := &call{requestID: requestID, key: key, params: req.all, old: !h.o.Trusted && !isV3(req.http)}
	fields, err = h.operate(req.http.Context(), op, c)
	return key.ID, fields, err
}

// operate runs an operation. Once something was sent to a device a failure is never a 5xx, after which SDKs call again.
func (h *Handler) operate(ctx context.Context, op operation, c *call) (fields []field, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Logger.Error("api call panicked", "requestId", c.requestID, h.about(c.params), "fault", p, "stack", string(debug.Stack()))
			err = errInternal
		}
		var business *businessError
		if err != nil && c.sent && !errors.As(err, &business) {
			h.o.Logger.Error("api call failed after the command was sent", "requestId", c.requestID, h.about(c.params), "error", err)
			err = errAfterSend
		}
	}()
	return op(ctx, c)
}

// answerer writes the answer of one call in the format that the call asked for.
type answerer struct {
	w              http.ResponseWriter
	host           string
	requestID      string
	businessStatus int
	format         format
}

// chooseFormat: the parameter Format; without it XML under signature 1 (its documented default), JSON under V3, which has no
// such parameter, and on a trusted socket.
func (a *answerer) chooseFormat(req *request, trusted bool) *frontError {
	given, ok := req.all["Format"]
	switch {
	case strings.EqualFold(given, "JSON"):
		a.format = formatJSON
	case strings.EqualFold(given, "XML"):
		a.format = formatXML
	case ok && given != "":
		return errFormat
	case trusted || isV3(req.http):
		a.format = formatJSON
	}
	return nil
}

// answer writes the answer and returns its HTTP status and error code.
func (a *answerer) answer(action string, fields []field, err error) (status int, code string) {
	if err == nil {
		write(a.w, a.format, http.StatusOK, action+"Response", append([]field{{"RequestId", a.requestID}, {"Success", true}}, fields...))
		return http.StatusOK, ""
	}
	var business *businessError
	if errors.As(err, &business) {
		write(a.w, a.format, a.businessStatus, action+"Response", []field{
			{"RequestId", a.requestID}, {"Success", false}, {"Code", business.code}, {"ErrorMessage", business.message},
			// A copy for clients that read Message of whatever failed (pop-core); every SDK ignores or uses it.
			{"Message", business.message},
		})
		return a.businessStatus, business.code
	}
	var f *frontError
	if !errors.As(err, &f) {
		f = errInternal
	}
	write(a.w, a.format, f.status, "Error", []field{
		{"RequestId", a.requestID}, {"HostId", a.host}, {"Code", f.code}, {"Message", f.message}, {"Recommend", f.recommend()},
	})
	return f.status, f.code
}
