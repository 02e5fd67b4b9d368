package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/relay"
	"github.com/tboxgate/tboxgate/gateway"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/last"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/gateway/sink/duplicate"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
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
//	relay     commands to and from the other gateways of the store
//	vehicles  the gateway: from here on vehicles are served
//	broker    MQTT devices, if there are listeners for them
//	calls     the API for commands
type node struct {
	cfg     *Config
	log     *slog.Logger
	metrics *metrics.Metrics
	started time.Time

	state    *state
	held     *holder // what is open in the data directory beside the store
	doors    *doors
	table    *session.Table
	sinks    *sinks
	commands *command.Dispatcher
	marker   *duplicate.Marker // before the store's sink; nil with another one
	last     *last.Keeper      // likewise
	relay    *relay.Relay      // to and from the other gateways of the store
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
	n.held = &holder{dir: n.state.dir}
	if n.doors, err = openDoors(cfg, n.held, n.metrics, log); err != nil {
		return n, err
	}
	var operators lateHandler
	n.doors.admin.serve(admin.Public{Metrics: n.metrics.Handler(), NotReady: n.notReady, Token: cfg.Admin.Token, API: &operators}.Handler())
	n.doors.socket.serve(&operators)
	n.table = session.NewTable(n.presence, cfg.Node)
	n.state.holder = n.held
	if err := n.state.open(ctx, n.barred, n.platformBarred); err != nil {
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
	// Other gateways ask for a vehicle as soon as they hear that it is here.
	if n.relay, err = n.newRelay(); err != nil {
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
	n.held.holdNonces(n.api)
	n.doors.api.serve(n.api)
	adminAPI, err := n.adminAPI()
	if err != nil {
		return n, err
	}
	operators.set(adminAPI)
	n.phase.Store(running)
	return n, nil
}

// reloadCertificates reads the certificate files of vehicle and MQTT listeners and of the API again.
func (n *node) reloadCertificates() error {
	err := errors.Join(n.vehicles.Reload(), n.doors.api.reload())
	if n.broker != nil {
		err = errors.Join(err, n.broker.Reload())
	}
	return err
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
	if n.relay != nil {
		n.relay.Close()
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
