package main

import (
	"net/http"
	"path/filepath"

	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/gateway"
	"github.com/tboxgate/tboxgate/gateway/sink/duplicate"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

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
	o := openapi.Options{
		Devices: n.state.registry, Sessions: n.table, Topics: topics{n}, Commands: n.relay, Keys: n.state.keys, Trusted: trusted, Logger: n.log,
		Unsigned:            gateway.LimitedLog(n.log, n.metrics.LogLineSuppressed),
		BusinessErrorStatus: businessErrorStatus(n.cfg.API, trusted), EchoStringToSign: n.cfg.API.EchoStringToSign,
		NonceDir: filepath.Join(n.state.dir.Path(), "nonces"), MaxBody: int64(n.cfg.API.MaxBody), ConcurrentCalls: n.cfg.API.ConcurrentCalls, CallsPerSecond: callsPerSecond(n.cfg.API),
		Products: apiProducts(n.cfg.Products),
		Observe:  func(i openapi.CallInfo) { n.metrics.APICall(i.Action, i.Code, i.Duration) },
	}
	if kv := n.state.store.KV(nats.BucketNonces); kv != nil {
		o.SharedNonces = kv
	}
	return o
}

// callsPerSecond is the setting; 0 would mean the default.
func callsPerSecond(c API) int {
	if c.CallsPerSecond == 0 {
		return -1
	}
	return c.CallsPerSecond
}

// businessErrorStatus is the setting; our own command line, on the socket, reads the default form.
func businessErrorStatus(c API, trusted bool) int {
	if c.BusinessErrorStatus == "400" && !trusted {
		return http.StatusBadRequest
	}
	return http.StatusOK
}
