package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// LinkKind is what has logged in on a connection.
type LinkKind uint8

// The kinds of a connection.
const (
	LinkLogin LinkKind = iota // nobody yet, or nobody any more
	LinkVehicle
	LinkPlatform
	linkKinds
)

var linkNames = [linkKinds]string{"login", KindVehicle, KindPlatform}

// String returns the label's value.
func (k LinkKind) String() string { return linkNames[k] }

// Listener counts the connections of one address. Only connecting, logging in and out, and closing touch it, no frame.
// Its methods are safe from any goroutine.
type Listener struct {
	address string
	opened  atomic.Uint64
	open    [linkKinds]atomic.Int64
}

// NewListener returns the counters of a listener; address is its address as configured. A second call with an address
// returns the same counters.
func (m *Metrics) NewListener(address string) *Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.listeners {
		if l.address == address {
			return l
		}
	}
	l := &Listener{address: address}
	for _, reason := range refusedReasons { // a series that begins with its first count has no rate
		m.refused.WithLabelValues(address, reason)
	}
	m.listeners = append(m.listeners, l)
	return l
}

// Opened counts a connection that an event loop took over. It is one of LinkLogin.
func (l *Listener) Opened() {
	l.open[LinkLogin].Add(1)
	l.opened.Add(1)
}

// Became counts a connection from one kind to another.
func (l *Listener) Became(from, to LinkKind) {
	if from != to {
		l.open[to].Add(1)
		l.open[from].Add(-1)
	}
}

// Closed counts the end of a connection of a kind.
func (l *Listener) Closed(k LinkKind) { l.open[k].Add(-1) }

func (l *Listener) collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descListenerOpened, prometheus.CounterValue, float64(l.opened.Load()), l.address)
	for k := range l.open {
		ch <- prometheus.MustNewConstMetric(descListenerConns, prometheus.GaugeValue, float64(l.open[k].Load()), l.address, linkNames[k])
	}
}

// The servers that have certificates.
const (
	ServerVehicles = "vehicles"
	ServerMQTT     = "mqtt"
	ServerAPI      = "api"
)

// Certificate returns what is to be told when the certificate expires that a listener of a server, by its address as
// configured, shows its peers.
func (m *Metrics) Certificate(server, listener string) (expires func(time.Time)) {
	return func(at time.Time) { m.expires.WithLabelValues(server, listener).Set(float64(at.Unix())) }
}

// The reasons of ConnectionRefused.
const (
	RefusedLimit            = "limit"            // limits.connections
	RefusedPerAddress       = "perAddress"       // limits.perAddress
	RefusedHandshakes       = "handshakes"       // limits.handshakes
	RefusedDraining         = "draining"         // the gateway stops
	RefusedAcceptError      = "acceptError"      // the system could not accept, such as without a descriptor left
	RefusedEnrolError       = "enrolError"       // the event loop could not take it
	RefusedProxyHeader      = "proxyHeader"      // no PROXY header, or not from proxyFrom
	RefusedTLSHandshake     = "tlsHandshake"     // see tboxgate_tls_handshakes_total
	RefusedHandshakeTimeout = "handshakeTimeout" // handshakeTimeout passed after the handshake
	RefusedFault            = "fault"            // a fault of ours, kept to this connection
)

var refusedReasons = [...]string{RefusedLimit, RefusedPerAddress, RefusedHandshakes, RefusedDraining, RefusedAcceptError, RefusedEnrolError, RefusedProxyHeader, RefusedTLSHandshake, RefusedHandshakeTimeout, RefusedFault}

// The results of a TLS handshake.
const (
	HandshakeOK                 = "ok"
	HandshakeTimeout            = "timeout"
	HandshakeNotTLS             = "notTLS"
	HandshakeClientCertificate  = "clientCertificate" // none, or one that the authority has not signed
	HandshakeRefusedByPeer      = "refusedByPeer"     // with an alert: it does not trust our certificate, say
	HandshakePeerClosed         = "peerClosed"
	HandshakeNoCommonParameters = "noCommonParameters" // versions or ciphers
	HandshakeOther              = "other"
)

var handshakeFailures = [...]string{HandshakeTimeout, HandshakeNotTLS, HandshakeClientCertificate, HandshakeRefusedByPeer,
	HandshakePeerClosed, HandshakeNoCommonParameters, HandshakeOther}

// Handshake counts one TLS handshake. result is HandshakeOK or a constant that says what went wrong; version is "1.2"
// or "1.3", empty after a failure.
func (m *Metrics) Handshake(result, version string, took time.Duration) {
	m.shakes.WithLabelValues(result, version).Inc()
	if result == HandshakeOK {
		m.shakeIn.Observe(took.Seconds())
	}
}
