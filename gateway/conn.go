package gateway

import (
	"cmp"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/trace"
	"github.com/tboxgate/tboxgate/session"
)

// state is where a connection stands in the rules of section 6.4 of our reading of the standard.
type state uint8

const (
	stateNew      state = iota // waits for a login
	stateVehicle               // one vehicle has logged in
	statePlatform              // an enterprise platform has logged in
	stateClosing               // nothing is read any more; what is queued still goes out
	stateLate                  // the peer has ended its side; answers that wait for the store still go out
	stateClosed
)

// conn is one connection. Everything but what is marked shared belongs to its loop.
type conn struct {
	gc     gnet.Conn
	loop   *loop
	ln     *listener
	remote netip.AddrPort // constant

	state    state
	waiting  bool             // on the loop's list of connections that wait for the store as a whole
	stalled  bool             // input lies unread because the window is full
	ended    bool             // the peer has ended its side; what lies unread is taken whatever the window says
	opened   bool             // OnOpen has run; never unset
	kind     metrics.LinkKind // what has logged in, as its listener's counters know it
	slot     int16
	bad      uint16 // bad frames in a row
	unread   int32  // bytes of input that lay unread after the last event
	late     int32  // descriptor in stateLate, which gnet knows nothing of
	need     int32  // bytes the frame at the head of the input needs; no look at the input before they are there
	deadline int64  // second of the loop's clock; login or idle
	ticket   uint64 // of the next frame that goes to the store, when there is no window
	win      *window
	cause    cause // why it is being closed; the zero value when the peer ends it

	id uint64 // of the session or platform login that the connection carries, or carried last; for logs

	tls       *tlsConn         // nil on plain TCP
	sess      *session.Session // of a vehicle link
	platform  atomic.Pointer[platform]
	wheelPrev *conn
	wheelNext *conn
	queued    atomic.Int64 // shared: bytes of frames in the mailbox
}

// cause is why a connection ends: for the metric, and for the sessions that end with it.
type cause struct {
	metric metrics.CloseReason
	reason session.Reason
}

var (
	causePeer         = cause{metrics.ClosePeer, session.ReasonPeerClosed}
	causeLoginTimeout = cause{metrics.CloseLoginTimeout, session.ReasonIdle}
	causeIdle         = cause{metrics.CloseIdle, session.ReasonIdle}
	causeRefused      = cause{metrics.CloseRefused, session.ReasonProtocolError}
	causeProtocol     = cause{metrics.CloseProtocol, session.ReasonProtocolError}
	causeSlowReader   = cause{metrics.CloseSlowReader, session.ReasonSlowReader}
	causeOverflow     = cause{metrics.CloseOverflow, session.ReasonKicked}
	causePanic        = cause{metrics.ClosePanic, session.ReasonProtocolError}
)

// causeOf is the cause that another room gives when it asks a link to close.
func causeOf(r session.Reason) cause {
	return cause{metrics.CloseReasonOf(string(r)), r}
}

// platform is what a platform link has logged in as. It is constant: a new login makes a new one.
type platform struct {
	code string
	vin  codec.VIN // the code as the 17 identifier bytes
	json []byte    // the code as a JSON string
	id   uint64    // the link's session id in records
}

// Send queues one frame for the peer and owns its bytes from now on. done runs
// once: with nil when the frame has been handed to the kernel or to the
// connection's buffer, else with session.ErrLinkClosed or session.ErrLinkBusy. It may be nil.
func (c *conn) Send(frame []byte, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	n := int64(len(frame))
	if c.queued.Add(n) > int64(c.loop.g.opt.Limits.Outbound) {
		c.queued.Add(-n)
		done(session.ErrLinkBusy)
		return
	}
	if !c.loop.box.put(mail{c: c, frame: frame, done: done}) {
		done(session.ErrLinkClosed)
	}
}

// Close asks the loop to close the connection after what is queued has gone out.
func (c *conn) Close(reason session.Reason) {
	c.loop.box.put(mail{c: c, reason: reason})
}

// Remote is the peer's address.
func (c *conn) Remote() netip.AddrPort { return c.remote }

// platformCode is the code of the platform that this link has logged in as, "" for a vehicle link.
func (c *conn) platformCode() string {
	if p := c.platform.Load(); p != nil {
		return p.code
	}
	return ""
}

// Stored is the sink's word that the record of a ticket is durable.
func (c *conn) Stored(ticket uint64) { c.loop.box.putStored(c, ticket) }

// full says that no further frame may be taken before the store has confirmed some.
func (c *conn) full() bool {
	if c.ended {
		return false
	}
	lim := &c.loop.g.opt.Limits
	if w := c.win; w != nil && (w.n >= lim.Window || w.size >= lim.WindowBytes) {
		return true
	}
	return c.loop.g.inFlight.Load() >= lim.InFlightBytes
}

// become tells the listener's counters what c is now.
func (c *conn) become(k metrics.LinkKind) {
	c.ln.count.Became(c.kind, k)
	c.kind = k
}

// Listener is the address that the peer connected to, as configured.
func (c *conn) Listener() string { return c.ln.opt.Address }

// addrPort reads an accepted connection's address; IPv4 in its short form.
func addrPort(s interface{ String() string }) netip.AddrPort {
	ap, err := netip.ParseAddrPort(s.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// traced is what those who follow a vehicle are told of the connection.
func (c *conn) traced(vin codec.VIN) trace.Link {
	t := trace.Link{Session: c.id, Remote: c.remote, Platform: c.platformCode()}
	if t.Platform != "" {
		if s := c.loop.g.opt.Sessions.Get(vin); s != nil && s.Link == session.Link(c) {
			t.Session = s.ID
		}
	}
	return t
}

// about names the connection in a log line: remote and, once something has logged in, vin or platform, and session.
// It costs nothing when the line is left out. The session stays that of the last login, so that the line about the end
// of a connection has it too.
func about(c *conn) slog.Attr {
	var vin codec.VIN
	if c.sess != nil {
		vin = c.sess.VIN
	}
	return aboutVIN(c, vin)
}

// aboutVIN is about for a frame that names its vehicle itself: the session is that vehicle's where a platform relays it.
func aboutVIN(c *conn, vin codec.VIN) slog.Attr { return slog.Any("", place{c: c, vin: vin}) }

// aboutPlatform is about for a platform login that is not taken.
func aboutPlatform(c *conn, code codec.VIN) slog.Attr {
	return slog.Any("", place{c: c, platform: code})
}

// place is a connection, and the vehicle, or the platform that has not logged in, that a log line is about.
type place struct {
	c             *conn
	vin, platform codec.VIN
}

// LogValue is what about shows. It runs on the loop, within the call that logs.
func (p place) LogValue() slog.Value {
	link := p.c.traced(p.vin)
	attrs := append(make([]slog.Attr, 0, 4), slog.Any("remote", link.Remote))
	if p.vin != (codec.VIN{}) {
		attrs = append(attrs, slog.String("vin", p.vin.String()))
	}
	if platform := cmp.Or(link.Platform, p.platform.String()); platform != "" {
		attrs = append(attrs, slog.String("platform", platform))
	}
	if link.Session != 0 {
		attrs = append(attrs, slog.String("session", session.FormatID(link.Session)))
	}
	return slog.GroupValue(attrs...)
}
