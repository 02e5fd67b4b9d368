// Package metrics counts what the gateway does and shows it to Prometheus.
//
// There are two ways in. Event loops count in a [Loop]: one block of atomic counters for each loop, on cache lines of
// its own, so that counting on the frame path costs one uncontended add and never allocates. Whatever happens seldom
// (a login, a refused connection, the end of a command) is counted on [Metrics] itself. One collector adds the loops
// up when Prometheus asks; sizes that others know (sessions, devices, the store's health) are asked at that moment
// through [Sources].
//
// All names begin with tboxgate_. No metric has a label whose values come from outside: there is none by VIN, and a
// byte that the standard does not name is counted as "other".
package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tboxgate/tboxgate/gateway/clock"
	"github.com/tboxgate/tboxgate/gateway/sink/duplicate"
	"github.com/tboxgate/tboxgate/gateway/trace"
	"github.com/tboxgate/tboxgate/session"
)

// Metrics holds the gateway's metrics in a registry of its own; several may live in one process. All methods may be
// called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry

	logins   *prometheus.CounterVec // kind, result
	refused  *prometheus.CounterVec // listener, reason
	shakes   *prometheus.CounterVec // result, version
	shakeIn  prometheus.Histogram
	unlogged prometheus.Counter
	paused   prometheus.Counter
	most     prometheus.Gauge
	expires  *prometheus.GaugeVec     // server, listener
	commands *prometheus.CounterVec   // command, result
	late     *prometheus.CounterVec   // command
	relayed  *prometheus.CounterVec   // direction, outcome
	answered *prometheus.HistogramVec // command
	calls    *prometheus.CounterVec   // action, code
	callTime *prometheus.HistogramVec // action

	started time.Time

	mu        sync.Mutex
	loops     []*Loop
	listeners []*Listener
	sources   Sources
}

// Sources are questions that the collector asks at each scrape. A nil one leaves its metric out. They are called from
// the scraping goroutine and must not block.
type Sources struct {
	Sessions     func() int    // vehicles with a live session
	Devices      func() int    // vehicles in the registry
	Platforms    func() int    // platforms in the registry
	StoreHealthy func() error  // nil while the answering sink stores
	StoreBacklog func() int    // records that the answering sink holds and the store has not confirmed
	StoreSpace   func() Space  // how much room is left for records
	EventsLost   func() uint64 // that had no room while the store took none
	StoreStarts  func() uint64 // how often the embedded store was started again

	Commands   func() []PendingCommands                // that are not over
	Duplicates func() duplicate.Stats                  // reports that the store was asked about
	Trace      func() trace.Stats                      // of vehicles that are followed
	LastStates func() (lag time.Duration, waiting int) // of the keeper of last known states

	Fleet func() session.FleetSummary // the fleet in numbers; asked at most every fleetEvery
	Clock func() clock.Status         // of the machine
}

// New returns metrics that start at zero, with the Go runtime's and the process's own beside them.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		started:  time.Now(),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_logins_total",
			Help: "Logins by kind (vehicle, platform) and result: accepted, or why it was refused.",
		}, []string{"kind", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_connections_refused_total",
			Help: "Connections closed before a byte of a frame was read, by listener and reason.",
		}, []string{"listener", "reason"}),
		shakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_tls_handshakes_total",
			Help: "TLS handshakes by result (ok, or what went wrong) and version; a failed one has none.",
		}, []string{"result", "version"}),
		shakeIn: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tboxgate_tls_handshake_duration_seconds",
			Help:    "Time that TLS handshakes took which succeeded.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
		unlogged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tboxgate_log_lines_suppressed_total",
			Help: "Warnings about peers that were not logged because there were too many.",
		}),
		paused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tboxgate_accept_pauses_total",
			Help: "Times that a listener waited before it accepted, because connections came faster than its accept rate.",
		}),
		most: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tboxgate_connections_limit",
			Help: "Connections that the gateway takes (limits.connections).",
		}),
		expires: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tboxgate_tls_certificate_expiry_timestamp_seconds",
			Help: "When the certificate in use expires, as Unix time, by server (vehicles, mqtt: devices, api) and listener.",
		}, []string{"server", "listener"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_commands_total",
			Help: "Commands to vehicles, and messages to MQTT devices (message), that came to an end, by command and result; sent: a message that nobody acknowledges.",
		}, []string{"command", "result"}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_command_late_answers_total",
			Help: "Answers of vehicles to commands that had come to an end without one.",
		}, []string{"command"}),
		relayed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_commands_relayed_total",
			Help: "Commands asked of the gateway that the vehicle is connected to (out) or taken on for another one (in), by direction and outcome: accepted; refused (it has left, too many wait, too long for NATS); unreachable (nobody of that name, nothing was sent); silent (no word in time); untrusted (another seal key, too late or a repetition; out: nothing else came in time).",
		}, []string{"direction", "outcome"}),
		answered: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tboxgate_command_duration_seconds",
			Help:    "Time from the acceptance of a command by the API to the vehicle's answer, or to the acknowledgement of a message by its MQTT device.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"command"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tboxgate_api_calls_total",
			Help: "Calls of the HTTP API by action and error code; the code of a success is empty.",
		}, []string{"action", "code"}),
		callTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tboxgate_api_call_duration_seconds",
			Help:    "Time from reading a call of the HTTP API to answering it.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5},
		}, []string{"action"}),
	}
	m.shakes.WithLabelValues(HandshakeOK, "1.2")
	m.shakes.WithLabelValues(HandshakeOK, "1.3")
	for _, result := range handshakeFailures {
		m.shakes.WithLabelValues(result, "")
	}
	for _, result := range [...]string{LoginAccepted, LoginUnreadable, LoginCertificate, session.RefusedEmpty,
		session.RefusedNotRegistered, session.RefusedDisabled, session.RefusedProduct, session.RefusedFull} {
		m.logins.WithLabelValues(KindVehicle, result)
	}
	for _, result := range [...]string{LoginAccepted, LoginUnreadable, LoginCertificate, session.RefusedPlatformUnknown,
		session.RefusedPlatformPassword, session.RefusedSealKey} {
		m.logins.WithLabelValues(KindPlatform, result)
	}
	for _, command := range []string{"query", "set", "control"} {
		for _, result := range [...]string{CommandAnswered, CommandRejected, "timedOut", "disconnected", "superseded"} {
			m.commands.WithLabelValues(command, result)
		}
		m.answered.WithLabelValues(command)
		m.late.WithLabelValues(command)
	}
	for _, outcome := range [...]string{"accepted", "refused", "untrusted"} {
		m.relayed.WithLabelValues("in", outcome)
		m.relayed.WithLabelValues("out", outcome)
	}
	for _, outcome := range [...]string{"unreachable", "silent"} {
		m.relayed.WithLabelValues("out", outcome)
	}
	for _, result := range [...]string{CommandAnswered, "disconnected", "sent"} {
		m.commands.WithLabelValues(CommandMessage, result)
	}
	m.answered.WithLabelValues(CommandMessage)
	m.registry.MustRegister(m.logins, m.refused, m.shakes, m.shakeIn, m.unlogged, m.paused, m.most, m.expires, m.commands, m.late, m.relayed, m.answered, m.calls, m.callTime, &collector{m}, &fleetCollector{m: m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Values of the kind label of logins.
const (
	KindVehicle  = "vehicle"
	KindPlatform = "platform"
)

// LoginAccepted is the result of a login that was let in; a refused one carries the refusal's reason: one of package
// session's, or one of these.
const (
	LoginAccepted    = "accepted"
	LoginUnreadable  = "unreadable"  // its data unit is encrypted or cut
	LoginCertificate = "certificate" // the client's certificate does not name the VIN, or the platform's code or user
)

// The results of a command in which the vehicle spoke: it answered with success, or with an error.
const (
	CommandAnswered = "answered"
	CommandRejected = "rejected"
)

// CommandMessage is the kind of a message to an MQTT device; those of commands to vehicles are query, set and control.
const CommandMessage = "message"

// NewLoop returns a block of counters for one event loop. It is shown until the process ends. refresh is called at each
// scrape: it has the loop call Publish and waits for that, but not for long; nil leaves it to the loop alone.
func (m *Metrics) NewLoop(refresh func()) *Loop {
	l := &Loop{refresh: refresh}
	m.mu.Lock()
	m.loops = append(m.loops, l)
	m.mu.Unlock()
	return l
}

// Watch sets the questions to ask at each scrape; a later call replaces the earlier ones.
func (m *Metrics) Watch(s Sources) {
	m.mu.Lock()
	m.sources = s
	m.mu.Unlock()
}

// SetBuild adds tboxgate_build_info with the program's version and source revision. It is called once.
func (m *Metrics) SetBuild(version, revision string) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tboxgate_build_info",
		Help: "1, with the version, source revision and Go version of the running program.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision,
			"goversion": runtime.Version()},
	}, func() float64 { return 1 }))
}

// Login counts one login: kind is KindVehicle or KindPlatform, result LoginAccepted or the reason of the refusal
// (a constant of the login rules, never text from the peer).
func (m *Metrics) Login(kind, result string) { m.logins.WithLabelValues(kind, result).Inc() }

// ConnectionRefused counts one connection that was accepted by the kernel and closed unread; listener is its address as
// configured, reason a constant such as "limit", "perAddress" or "draining".
func (m *Metrics) ConnectionRefused(listener, reason string) {
	m.refused.WithLabelValues(listener, reason).Inc()
}

// LogLineSuppressed counts one warning about a peer that was not logged because there were too many.
func (m *Metrics) LogLineSuppressed() { m.unlogged.Inc() }

// SetConnectionsLimit notes how many connections the gateway takes.
func (m *Metrics) SetConnectionsLimit(n int) { m.most.Set(float64(n)) }

// AcceptPaused counts one pause of a listener that keeps to its accept rate.
func (m *Metrics) AcceptPaused() { m.paused.Inc() }

// CommandLate counts one answer to a command that CommandDone has counted already.
func (m *Metrics) CommandLate(command string) { m.late.WithLabelValues(command).Inc() }

// CommandRelayed counts one command between this gateway and another one of the store; in: from there. outcome is one of package relay's.
func (m *Metrics) CommandRelayed(in bool, outcome string) {
	direction := "out"
	if in {
		direction = "in"
	}
	m.relayed.WithLabelValues(direction, outcome).Inc()
}

// CommandDone counts one command at its end: command is query, set, control or CommandMessage, result the state's name. The
// duration enters the histogram of answered commands only when the result is CommandAnswered or CommandRejected, the two
// in which a vehicle spoke.
func (m *Metrics) CommandDone(command, result string, took time.Duration) {
	m.commands.WithLabelValues(command, result).Inc()
	if result == CommandAnswered || result == CommandRejected {
		m.answered.WithLabelValues(command).Observe(took.Seconds())
	}
}

// APICall counts one answered call of the HTTP API. action is one that the API knows, or empty; code is one of its
// error codes, or empty after a success.
func (m *Metrics) APICall(action, code string, took time.Duration) {
	if action == "" {
		action = "other"
	}
	m.calls.WithLabelValues(action, code).Inc()
	m.callTime.WithLabelValues(action).Observe(took.Seconds())
}

// Registry returns the registry, for whoever adds a collector of his own.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the registry in the formats that Prometheus negotiates. An error in one collector is shown and does
// not hide the others.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:          m.registry,
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
	})
}
