package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/gateway"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/clock"
	"github.com/tboxgate/tboxgate/gateway/last"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/gateway/sink/duplicate"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/gateway/trace"
	"github.com/tboxgate/tboxgate/session"
)

// node is a running gateway with everything around it. The order in which it starts is the order of its fields; it
// stops in the opposite one, so that whatever still works finds what it needs.
//
//	state     the data directory is locked; later: seal key, store, registry, platforms, access keys
//	doors     the addresses are bound, so that a port in use is known before the store starts
//	sinks     where records go, and what feeds those beside the store
//	commands  the dispatcher
//	vehicles  the gateway: from here on vehicles are served
//	broker    MQTT devices, if there are listeners for them
//	calls     the API for commands
type node struct {
	cfg     *Config
	log     *slog.Logger
	metrics *metrics.Metrics
	started time.Time

	state    *state
	doors    *doors
	table    *session.Table
	sinks    *sinks
	commands *command.Dispatcher
	marker   *duplicate.Marker // before the store's sink; nil with another one
	last     *last.Keeper      // likewise
	vehicles *gateway.Gateway
	traces   trace.Hub
	api      *openapi.Handler
	broker   *mqttdevice.Broker // nil: no MQTT listener
	refusals *rate.Limiter      // of events of MQTT devices that are not let in

	reading    context.Context // of operators that read frames; ends before their socket does
	endReading context.CancelCauseFunc

	phase atomic.Int32 // starting, running, draining
}

// errStopping ends what operators read when the gateway stops.
var errStopping = errors.New("the gateway is stopping")

// The phases of a node.
const (
	starting int32 = iota
	running
	draining
)

// startNode starts everything, or nothing: after an error all that had started has stopped again.
func startNode(ctx context.Context, cfg *Config, log *slog.Logger) (_ *node, err error) {
	n := &node{cfg: cfg, log: log, metrics: metrics.New(), started: time.Now(), refusals: rate.NewLimiter(refusalEvents, refusalEvents)}
	n.reading, n.endReading = context.WithCancelCause(context.WithoutCancel(ctx))
	b := buildVersion()
	n.metrics.SetBuild(b.Version, b.Revision)
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain.Timeout)
			defer cancel()
			err = errors.Join(err, n.stop(ctx))
		}
	}()
	if n.state, err = lockState(cfg, log); err != nil {
		return n, err
	}
	if err := removeRunFile(n.state.dir.Path()); err != nil { // of a process that was killed
		return n, err
	}
	if n.doors, err = openDoors(cfg, n.state.dir.Path(), log); err != nil {
		return n, err
	}
	var operators lateHandler
	n.doors.admin.serve(admin.Public{Metrics: n.metrics.Handler(), NotReady: n.notReady, Token: cfg.Admin.Token, API: &operators}.Handler())
	n.doors.socket.serve(&operators)
	n.table = session.NewTable(n.presence, cfg.Node)
	if err := n.state.open(ctx, n.barred); err != nil {
		return n, err
	}
	if err := n.openSinks(); err != nil {
		return n, err
	}
	n.keepLast()
	n.endLeftSessions()
	delivery := cfg.Commands.dispatcher()
	delivery.Sessions, delivery.KV, delivery.Node = n.table, n.state.commands(), cfg.Node
	delivery.Publish, delivery.Logger, delivery.Observe = n.state.store.Events().Publish, log, n.commandDone
	delivery.PublishTopic = n.state.store.Events().PublishDevice
	n.commands, err = command.NewDispatcher(ctx, delivery)
	if err != nil {
		return n, err
	}
	if n.vehicles, err = gateway.New(n.gatewayOptions()); err != nil {
		return n, err
	}
	n.watch()
	if n.broker, err = n.newBroker(); err != nil {
		return n, err
	}
	if err := n.vehicles.Start(); err != nil {
		n.vehicles = nil // nothing of it runs
		return n, err
	}
	if n.broker != nil {
		if err := n.broker.Start(); err != nil {
			return n, err
		}
	}
	if n.api, err = openapi.New(n.apiOptions(false)); err != nil {
		return n, err
	}
	n.doors.api.serve(n.api)
	adminAPI, err := n.adminAPI()
	if err != nil {
		return n, err
	}
	operators.set(adminAPI)
	n.phase.Store(running)
	return n, nil
}

// gatewayOptions translates the configuration.
func (n *node) gatewayOptions() gateway.Options {
	c := n.cfg
	o := gateway.Options{
		Sink: n.sinks.answering, Payload: n.sinks.payload, MaxRecord: n.sinks.maxRecord, Sessions: n.table, Gate: n.gate(), Commands: n.commands,
		Refused: n.refused, Metrics: n.metrics, Trace: &n.traces, Log: n.log, Node: c.Node, StoreHeartbeats: c.StoreHeartbeats,
		DrainWindow: max(c.Drain.Window, 1), // 0 would mean the default
		Limits: gateway.Limits{
			Connections: c.Limits.Connections, PerAddress: c.Limits.PerAddress, AcceptRate: c.Limits.AcceptRate,
			FrameRate: c.Limits.FrameRate, Handshakes: c.Limits.Handshakes, Window: c.Limits.Window,
			WindowBytes: int(c.Limits.WindowBytes), InFlightBytes: int64(c.Limits.InFlightBytes), Inbound: int(c.Limits.Inbound),
			Outbound: int(c.Limits.Outbound), BadFrames: c.Limits.BadFrames, MaxUnit: c.Limits.MaxFrame,
		},
	}
	if c.Sinks[0].Type == "nats" {
		n.marker = duplicate.New(n.sinks.answering, stream.NewIndex(n.state.store.JetStream()), n.log)
		o.Sink = n.marker
	}
	for _, l := range c.Listeners {
		ln := gateway.Listener{
			Address: l.Address, Profile: gateway.Profile(l.Profile), AckForm: gateway.AckForm(l.AckForm),
			AckRealtime: gateway.AckRealtime(l.AckRealtime), RefuseLogin: gateway.RefuseLogin(l.RefuseLogin),
			OnStructureError: gateway.StructureError(l.OnStructureError), LoginTimeout: l.LoginTimeout, IdleTimeout: l.IdleTimeout,
			HandshakeTimeout: l.HandshakeTimeout,
		}
		if t := l.TLS; t != (TLS{}) {
			ln.TLS = &gateway.TLS{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA, RequireVINMatch: t.RequireVINMatch}
		}
		for _, p := range l.ProxyFrom {
			ln.ProxyFrom = append(ln.ProxyFrom, p.Prefix)
		}
		o.Listeners = append(o.Listeners, ln)
	}
	return o
}

// gate makes the login rules. --dev lets any platform in, too.
func (n *node) gate() *session.Gate {
	return &session.Gate{
		Registry: n.state.registry, Platforms: n.state.platforms, OpenPlatforms: n.cfg.Dev, Logger: n.log,
		Products: vehicleProducts(n.cfg.Products), OpenProduct: openProduct(n.cfg.Products),
	}
}

// apiOptions are those of the API on its address, or, trusted, on the admin socket.
func (n *node) apiOptions(trusted bool) openapi.Options {
	return openapi.Options{
		Devices: n.state.registry, Sessions: n.table, Topics: topics{n}, Commands: n.commands, Keys: n.state.keys, Trusted: trusted, Logger: n.log,
		BusinessErrorStatus: businessErrorStatus(n.cfg.API, trusted), EchoStringToSign: n.cfg.API.EchoStringToSign,
		NonceDir: filepath.Join(n.state.dir.Path(), "nonces"), MaxBody: int64(n.cfg.API.MaxBody), ConcurrentCalls: n.cfg.API.ConcurrentCalls, CallsPerSecond: callsPerSecond(n.cfg.API),
		Products: apiProducts(n.cfg.Products),
		Observe:  func(i openapi.CallInfo) { n.metrics.APICall(i.Action, i.Code, i.Duration) },
	}
}

// callsPerSecond is the setting; 0 would mean the default.
func callsPerSecond(c API) int {
	if c.CallsPerSecond == 0 {
		return -1
	}
	return c.CallsPerSecond
}

// reloadCertificates reads the certificate files of vehicle and MQTT listeners and of the API again.
func (n *node) reloadCertificates() error {
	err := errors.Join(n.vehicles.Reload(), n.doors.api.reload())
	if n.broker != nil {
		err = errors.Join(err, n.broker.Reload())
	}
	return err
}

// businessErrorStatus is the setting; our own command line, on the socket, reads the default form.
func businessErrorStatus(c API, trusted bool) int {
	if c.BusinessErrorStatus == "400" && !trusted {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// adminAPI is what operators reach.
func (n *node) adminAPI() (http.Handler, error) {
	calls, err := openapi.New(n.apiOptions(true))
	if err != nil {
		return nil, err
	}
	api := admin.API{
		Status: n.status, Sessions: n.table, Fleet: n.fleet(), Trace: &n.traces, Calls: calls, Products: adminProducts(n.cfg.Products),
		Vehicles: n.state.registry, Devices: n.state.devices, Platforms: n.state.platforms, Keys: keyBackend{n.state.keys},
		Store: storeKeeper{n.state},
	}
	n.state.keptFrames(n.reading, &api)
	return api.Handler(), nil
}

// status is also what stands in run.json.
func (n *node) status() admin.Status {
	s := admin.Status{
		Version: buildVersion().String(), Node: n.cfg.Node, PID: os.Getpid(), StartedAt: session.At(n.started),
		DataDir: n.state.dir.Path(), ProductKey: n.cfg.Products[0].Key, Products: adminProducts(n.cfg.Products), Dev: n.cfg.Dev,
		Addresses: admin.Addresses{API: n.doors.api.address(), APITLS: n.doors.api.certs != nil, Admin: n.doors.admin.address(), NATS: n.state.store.Addr()},
		Sessions:  n.table.Len(), Devices: n.state.registry.Len(), Clock: ownClock(),
	}
	for _, a := range n.vehicles.Addrs() {
		s.Addresses.Vehicles = append(s.Addresses.Vehicles, a.String())
	}
	if n.broker != nil {
		s.Addresses.MQTT = n.broker.Addrs()
	}
	return s
}

// presence is told of every vehicle that goes online or offline, in order, under a lock of the table.
func (n *node) presence(e session.PresenceEvent) {
	n.state.registry.Note(e)
	n.commands.Presence(e)
	n.announce(e)
	n.traces.Presence(e)
	if e.Online {
		// One that was disabled or deleted between the gate and the table was offline when barred looked. Not here: the
		// table is locked.
		if d, known := n.state.registry.Lookup(e.VIN); !known || d.Disabled {
			go n.barred(e.VIN)
		}
	}
}

// keepLast starts to keep last known states, where frames are stored.
func (n *node) keepLast() {
	if n.cfg.Sinks[0].Type != "nats" {
		return
	}
	n.last = last.Start(last.Options{
		JetStream: n.state.store.JetStream(), KV: n.state.store.KV(nats.BucketLast), Sessions: n.table, Node: n.cfg.Node,
		Batched: n.cfg.Sinks[0].Batch.MaxFrames > 0, Backlog: func() int { return n.state.store.Sink().Stats().Waiting }, Logger: n.log,
	})
}

func (n *node) announce(e session.PresenceEvent) {
	if n.last != nil {
		n.last.Touch(e.VIN)
	}
	n.state.store.Events().Publish(e.VIN, e.Kind(), e.AppendJSON(nil))
}

// refused is told of logins that were not let in.
func (n *node) refused(e session.RefusedEvent) {
	n.state.store.Events().Publish(e.VIN, session.KindRefused, e.AppendJSON(nil))
}

// endLeftSessions ends the sessions that a crash left open.
func (n *node) endLeftSessions() {
	if left := n.state.registry.RecoverOnline(time.Now(), n.announce); left > 0 {
		n.log.Warn("the gateway had not been stopped: sessions ended", "sessions", left, "reason", session.ReasonGatewayRestart)
	}
}

// barred is told of devices that were deleted or disabled, by this node or another.
func (n *node) barred(vin codec.VIN) {
	if s := n.table.Get(vin); s != nil {
		admin.Kick(n.table, s)
	}
}

// commandDone counts commands that are over.
func (n *node) commandDone(r command.Result) {
	if r.State.Final() {
		n.metrics.CommandDone(commandKind(r.Command), string(r.State), r.EndedAt.Sub(r.CreatedAt.Time))
	}
}

func commandKind(c codec.Command) string {
	switch c {
	case codec.CommandParamQuery:
		return "query"
	case codec.CommandParamSet:
		return "set"
	default:
		return "control"
	}
}

func (n *node) watch() {
	n.metrics.Watch(metrics.Sources{
		Sessions: n.table.Len, Devices: n.state.registry.Len, StoreHealthy: n.sinks.healthy,
		Platforms:    func() int { return len(n.state.platforms.List()) },
		StoreBacklog: n.sinks.backlog,
		StoreSpace:   n.storeSpace,
		Fleet:        func() session.FleetSummary { return n.fleet().Summary(time.Now()) },
		Clock:        clock.Read,
	})
}

// fleet answers questions about all vehicles.
func (n *node) fleet() session.Fleet {
	return session.Fleet{Table: n.table, Registry: n.state.registry}
}

// storeSpace is what the store has found out about its room.
func (n *node) storeSpace() metrics.Space {
	streams, disk := n.state.store.Space()
	m := metrics.Space{DiskFree: -1}
	if disk != nil {
		m.DiskFree = disk.Free
	}
	for _, s := range streams {
		st := metrics.StreamSpace{Stream: s.Stream, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Kept: s.Kept, Left: s.Left}
		if !s.Oldest.IsZero() {
			st.Age = time.Since(s.Oldest)
		}
		m.Streams = append(m.Streams, st)
	}
	return m
}

// notReady is the answer to /readyz.
func (n *node) notReady() []string {
	switch n.phase.Load() {
	case starting:
		return []string{"starting"}
	case draining:
		return []string{"draining"}
	}
	var why []string
	if err := n.state.store.Healthy(); err != nil {
		why = append(why, "store: "+err.Error())
	}
	if n.sinks.apart() {
		if err := n.sinks.healthy(); err != nil {
			why = append(why, "sink "+n.sinks.name+": "+err.Error())
		}
	}
	return why
}

// stateTime is what the store gets at the end for what is still to be written, whatever the steps before have used.
const stateTime = 5 * time.Second

// stop drains and stops whatever has started, until ctx ends. What the vehicles sent is stored and answered first.
func (n *node) stop(ctx context.Context) error {
	n.phase.Store(draining)
	var errs []error
	step := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("stopping: %s: %w", what, err))
		}
	}
	// A caller of the API that does not let go must not take the vehicles' time, nor vehicles the store's.
	apiCtx, cancel := context.WithTimeout(ctx, n.cfg.Drain.Timeout/10)
	defer cancel()
	if n.doors != nil {
		step("API", n.doors.api.shutdown(apiCtx))
	}
	if n.api != nil {
		step("used nonces", n.api.Close())
	}
	if n.broker != nil {
		step("MQTT devices", n.broker.Drain(ctx, n.cfg.Drain.Window))
	}
	if n.vehicles != nil {
		step("vehicles", n.vehicles.Drain(ctx))
	}
	if n.marker != nil {
		step("records", n.marker.Close(ctx))
	}
	if n.last != nil {
		step("last known states", n.last.Close(ctx))
	}
	if n.commands != nil {
		step("commands", n.commands.Close(ctx))
	}
	n.endReading(errStopping)
	n.traces.Close() // or the admin socket would wait for those who follow
	if n.doors != nil {
		step("admin socket", n.doors.socket.shutdown(ctx))
	}
	if n.sinks != nil {
		step("sinks", n.sinks.close(ctx))
	}
	if n.state != nil {
		stateCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateTime)
		defer cancel()
		step("state", n.state.close(stateCtx))
	}
	if n.doors != nil {
		step("admin", n.doors.admin.shutdown(ctx)) // last, so that /readyz and the final scrape see the end
	}
	if n.state != nil {
		step("data directory", n.state.unlock())
	}
	return errors.Join(errs...)
}
