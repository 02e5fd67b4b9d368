package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/trace"
	"github.com/tboxgate/tboxgate/session"
)

// Profile says which kind of link a listener takes.
type Profile string

// The profiles of a listener: vehicles only, enterprise platforms only, or
// whichever the first frame of a connection shows.
const (
	ProfileAuto     Profile = "auto"
	ProfileVehicle  Profile = "vehicle"
	ProfilePlatform Profile = "platform"
)

// AckForm is the shape of an answer to commands 0x01 to 0x06.
type AckForm string

// AckTime keeps the request's six time bytes and drops the rest (6.3.2, what
// real traffic shows); AckEcho is Annex B's form (B.3.3.2): the time of the
// answer, and the rest of the request's data unit.
const (
	AckTime AckForm = "time"
	AckEcho AckForm = "echo"
)

// AckRealtime says when realtime (0x02) and reissued (0x03) reports are answered.
type AckRealtime string

// The values of AckRealtime.
const (
	AckAlways    AckRealtime = "always"
	AckErrorOnly AckRealtime = "errorOnly"
	AckNever     AckRealtime = "never"
)

// RefuseLogin says what a vehicle or platform that may not log in gets before
// its connection is closed: an error answer, or nothing (Annex B.1).
type RefuseLogin string

// The values of RefuseLogin.
const (
	RefuseAnswer RefuseLogin = "answer"
	RefuseSilent RefuseLogin = "silent"
)

// StructureError says how a frame is answered whose length and check byte are
// right but whose data unit does not follow the standard's tables.
type StructureError string

// StructureAccept answers success, StructureRefuse 0x02 (2025 edition: 0x06).
// The frame is stored either way.
const (
	StructureAccept StructureError = "accept"
	StructureRefuse StructureError = "refuse"
)

// Listener is one address vehicles or platforms connect to, with its own rules.
// Zero fields take the defaults of DefaultListener.
type Listener struct {
	Address          string         // host:port
	Profile          Profile        // default auto
	AckForm          AckForm        // default time
	AckRealtime      AckRealtime    // default always
	RefuseLogin      RefuseLogin    // default answer
	OnStructureError StructureError // default accept
	LoginTimeout     time.Duration  // from connecting (or logging out) to a login; default 30 s
	IdleTimeout      time.Duration  // without any frame; default 300 s: a heartbeat period may be 240 s
	HandshakeTimeout time.Duration  // for a PROXY header and TLS; default 10 s
	TLS              *TLS           // nil: plain TCP
	ProxyFrom        []netip.Prefix // load balancers in front, which must send a PROXY header; nobody else may connect then
}

// Limits bound what one connection and all of them together may hold.
// Zero fields take the defaults of DefaultLimits.
type Limits struct {
	Connections   int   // connections in all; default 18,000
	PerAddress    int   // connections from one address; 0: no limit
	AcceptRate    int   // connections that a listener takes in a second, the others wait in the kernel; 0: no limit
	FrameRate     int   // reports of one vehicle that are taken in a second, ten times as many at once; 0: no limit
	Handshakes    int   // connections of a listener in a PROXY or TLS handshake at the same time; default 256
	Window        int   // frames of one connection that may wait for the store; default 256
	WindowBytes   int   // their bytes as records; default 1 MiB
	InFlightBytes int64 // bytes of all connections that may wait for the store; default 64 MiB
	Inbound       int   // unread bytes a stalled connection may pile up before it is closed; default 1 MiB
	Outbound      int   // bytes a peer may leave unread before it is closed; default 256 KiB
	BadFrames     int   // bad frames in a row before the connection is closed; default 16
	MaxUnit       int   // longest data unit taken, bytes; default 65,531
}

// DefaultListener holds the values that a zero field of a Listener takes.
func DefaultListener() Listener {
	return Listener{
		Address: "0.0.0.0:8999", Profile: ProfileAuto, AckForm: AckTime, AckRealtime: AckAlways,
		RefuseLogin: RefuseAnswer, OnStructureError: StructureAccept,
		LoginTimeout: 30 * time.Second, IdleTimeout: 300 * time.Second, HandshakeTimeout: 10 * time.Second,
	}
}

// DefaultLimits holds the values that a zero field of Limits takes.
func DefaultLimits() Limits {
	return Limits{
		Connections: 18000, Handshakes: 256, Window: 256, WindowBytes: 1 << 20, InFlightBytes: 64 << 20,
		Inbound: 1 << 20, Outbound: 256 << 10, BadFrames: 16, MaxUnit: codec.MaxUnitSize,
	}
}

// Commands hears what vehicles say to commands; *command.Dispatcher is one.
// That a session has ended it learns from the session table.
type Commands interface {
	// Answer is given every frame with command 0x80, 0x81 or 0x82 that a vehicle
	// sends. It is called on an event loop and must not block; the frame is valid
	// during the call.
	Answer(s *session.Session, f codec.Frame)
}

// Options is what a Gateway is made of.
type Options struct {
	Listeners []Listener
	Sink      sink.Sink
	Payload   sink.Payload // default json
	MaxRecord int          // longest record body, bytes; default 8 MiB, the embedded server's max_payload
	Sessions  *session.Table
	Gate      *session.Gate
	Commands  Commands // nil: answers to commands are only stored
	// Refused, which may be nil, is told of refused logins, at most refusedPerSecond of them so that
	// strangers cannot fill the store; the metric counts all. It must not block.
	Refused func(session.RefusedEvent)
	Metrics *metrics.Metrics
	Trace   *trace.Hub // of those who follow single vehicles; nil: nobody can
	Log     *slog.Logger
	Node    string // name of this gateway in records and events
	Loops   int    // event loops; default GOMAXPROCS
	Limits  Limits

	StoreHeartbeats bool          // store 0x07 and 0x08 as well
	DrainWindow     time.Duration // Drain spreads the closing of connections over it; default 5 s
}

// withDefaults checks o and fills what it leaves open.
func (o Options) withDefaults() (Options, error) {
	if o.Sink == nil || o.Sessions == nil || o.Gate == nil || o.Metrics == nil {
		return o, errors.New("gateway: Options need Sink, Sessions, Gate and Metrics")
	}
	if len(o.Listeners) == 0 {
		return o, errors.New("gateway: no listener")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = new(trace.Hub)
	}
	o.Payload = or(o.Payload, sink.PayloadJSON)
	o.MaxRecord = or(o.MaxRecord, 8<<20)
	o.Loops = or(o.Loops, runtime.GOMAXPROCS(0))
	o.DrainWindow = or(o.DrainWindow, 5*time.Second)

	d := DefaultLimits()
	l := &o.Limits
	l.Connections = or(l.Connections, d.Connections)
	l.Handshakes = or(l.Handshakes, d.Handshakes)
	l.Window = or(l.Window, d.Window)
	l.WindowBytes = or(l.WindowBytes, d.WindowBytes)
	l.InFlightBytes = or(l.InFlightBytes, d.InFlightBytes)
	l.Inbound = or(l.Inbound, d.Inbound)
	l.Outbound = or(l.Outbound, d.Outbound)
	l.BadFrames = or(l.BadFrames, d.BadFrames)
	l.MaxUnit = or(l.MaxUnit, d.MaxUnit)
	if l.MaxUnit > codec.MaxUnitSize {
		return o, fmt.Errorf("gateway: limits.maxUnit %d: the standard's largest data unit is %d bytes", l.MaxUnit, codec.MaxUnitSize)
	}
	// A frame is taken only when it lies in the buffer whole.
	l.Inbound = max(l.Inbound, l.MaxUnit+codec.MinFrameSize)

	o.Listeners = append([]Listener(nil), o.Listeners...)
	for i := range o.Listeners {
		ln := &o.Listeners[i]
		def := DefaultListener()
		ln.Address = or(ln.Address, def.Address)
		ln.Profile = or(ln.Profile, def.Profile)
		ln.AckForm = or(ln.AckForm, def.AckForm)
		ln.AckRealtime = or(ln.AckRealtime, def.AckRealtime)
		ln.RefuseLogin = or(ln.RefuseLogin, def.RefuseLogin)
		ln.OnStructureError = or(ln.OnStructureError, def.OnStructureError)
		ln.LoginTimeout = or(ln.LoginTimeout, def.LoginTimeout)
		ln.IdleTimeout = or(ln.IdleTimeout, def.IdleTimeout)
		ln.HandshakeTimeout = or(ln.HandshakeTimeout, def.HandshakeTimeout)
		if err := ln.validate(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (l Listener) validate() error {
	if _, _, err := net.SplitHostPort(l.Address); err != nil {
		return fmt.Errorf("gateway: listener address %q: %w", l.Address, err)
	}
	return errors.Join(
		oneOf(l.Address, "profile", l.Profile, ProfileAuto, ProfileVehicle, ProfilePlatform),
		oneOf(l.Address, "ackForm", l.AckForm, AckTime, AckEcho),
		oneOf(l.Address, "ackRealtime", l.AckRealtime, AckAlways, AckErrorOnly, AckNever),
		oneOf(l.Address, "refuseLogin", l.RefuseLogin, RefuseAnswer, RefuseSilent),
		oneOf(l.Address, "onStructureError", l.OnStructureError, StructureAccept, StructureRefuse),
		atLeast(l.Address, "loginTimeout", l.LoginTimeout),
		atLeast(l.Address, "idleTimeout", l.IdleTimeout),
		atLeast(l.Address, "handshakeTimeout", l.HandshakeTimeout),
	)
}

func oneOf[T ~string](address, key string, got T, allowed ...T) error {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if got == a {
			return nil
		}
		names[i] = string(a)
	}
	return fmt.Errorf("gateway: listener %s: %s %q: must be one of %s", address, key, got, strings.Join(names, ", "))
}

func atLeast(address, key string, d time.Duration) error {
	if d < time.Second {
		return fmt.Errorf("gateway: listener %s: %s %v: must be at least 1s", address, key, d)
	}
	return nil
}

// or is v, or def where v is the zero value.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
