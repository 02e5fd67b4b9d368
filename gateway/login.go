package gateway

import (
	"bytes"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/session"
)

// vehicleLogin handles 0x01 on a connection of one vehicle: the first, or a
// second one with the same VIN, which is a re-login.
func (l *loop) vehicleLogin(c *conn, f codec.Frame) {
	s, r := l.admit(c, f)
	if r != nil {
		l.refuse(c, f, metrics.KindVehicle, r)
		return
	}
	c.sess, c.state = s, stateVehicle
	c.become(metrics.LinkVehicle)
	l.open(s)
	c.id = s.ID // now: a re-login keeps the one before
	l.store(c, s, f, codec.FlagSuccess, true)
}

// relayedLogin handles 0x01 on a platform link. A vehicle that may not log in
// is refused alone: the link stays.
func (l *loop) relayedLogin(c *conn, f codec.Frame) {
	s, r := l.admit(c, f)
	if r != nil {
		l.refuseRelayed(c, f, r)
		return
	}
	l.open(s)
	l.store(c, s, f, codec.FlagSuccess, true)
}

// relayed finds the session of the vehicle that a platform link sends a report
// for. Where the vehicle has none, or one on another platform link, the report
// opens it: a platform may relay without logins, and the last sender of a VIN
// wins. A vehicle that is connected itself keeps its session, since only a login
// may close its connection; the report is then the platform's own word, and s is
// nil. ok is false when the report is refused, which has then been answered.
func (l *loop) relayed(c *conn, f codec.Frame) (s *session.Session, ok bool) {
	s = l.g.opt.Sessions.Get(f.VIN())
	if s != nil && s.Link == session.Link(c) {
		s.Seen(l.now)
		return s, true
	}
	product, refused := l.g.opt.Gate.Vehicle(f.VIN(), c.platformCode())
	if refused != nil {
		l.refuseRelayed(c, f, refusalOf(refused, f))
		return nil, false
	}
	if s != nil && s.Platform == "" {
		return nil, true
	}
	s = l.newSession(c, f, product)
	l.open(s)
	return s, true
}

// admit checks a vehicle login and makes its session.
func (l *loop) admit(c *conn, f codec.Frame) (*session.Session, *refusal) {
	if f.TimeBytes() == nil {
		// A login that cannot be read cannot be answered with success either.
		l.count.Bad(badTime(f))
		return nil, unreadable(f)
	}
	if !l.certified(c, f.VIN()) {
		return nil, &refusal{metrics.LoginCertificate, codec.FlagError}
	}
	product, refused := l.g.opt.Gate.Vehicle(f.VIN(), c.platformCode())
	if refused != nil {
		return nil, refusalOf(refused, f)
	}
	s := l.newSession(c, f, product)
	s.LoginTime = codec.Time(f.TimeBytes())
	if u := f.Unit(); len(u) >= loginICCID+20 {
		s.ICCID = session.MakeICCID(u[loginICCID : loginICCID+20])
	}
	l.g.opt.Metrics.Login(metrics.KindVehicle, metrics.LoginAccepted)
	return s, nil
}

// certified says that the client certificate, where the listener wants it to, names the VIN.
func (l *loop) certified(c *conn, vin codec.VIN) bool {
	o := c.ln.opt.TLS
	return o == nil || !o.RequireVINMatch || c.state == statePlatform || c.tls.isFor(vin.String())
}

func (l *loop) newSession(c *conn, f codec.Frame, product string) *session.Session {
	return &session.Session{
		ID: session.NewID(), VIN: f.VIN(), RawVIN: [codec.VINSize]byte(f.RawVIN()), Edition: f.Edition(), Encryption: f.Encryption(),
		ProductKey: product, Platform: c.platformCode(), Link: c, LoginAt: l.now,
	}
}

// open makes s the live session of its VIN and ends the one it displaces: an
// older vehicle link is closed, a platform link only loses the VIN.
func (l *loop) open(s *session.Session) {
	if old := l.g.opt.Sessions.Login(s); old != nil && old.Platform == "" {
		old.Link.Close(session.ReasonTakeover)
	}
}

// vehicleLogout handles 0x04 on a vehicle link: the session ends, the
// connection may log in again within the login deadline.
func (l *loop) vehicleLogout(c *conn, f codec.Frame) {
	l.store(c, c.sess, f, l.verdict(c, f), true)
	l.endSessions(c, session.ReasonLogout)
	l.awaitLogin(c)
}

// relayedLogout handles 0x04 for one vehicle of a platform link. Its VIN must
// belong to the link; a logout without a session is stored and answered all the same.
func (l *loop) relayedLogout(c *conn, f codec.Frame) {
	s := l.g.opt.Sessions.Get(f.VIN())
	if s == nil || s.Link != session.Link(c) {
		if _, refused := l.g.opt.Gate.Vehicle(f.VIN(), c.platformCode()); refused != nil {
			l.refuseRelayed(c, f, refusalOf(refused, f))
			return
		}
		l.store(c, nil, f, l.verdict(c, f), true)
		return
	}
	l.store(c, s, f, l.verdict(c, f), true)
	l.g.opt.Sessions.Logout(s, session.ReasonLogout)
}

// platformLogin handles 0x05 (table 21). User and password are checked by the
// gate; the code of the platform is the frame's identifier, the same as before on a link that it has logged in on.
func (l *loop) platformLogin(c *conn, f codec.Frame) {
	code := f.VIN()
	name := code.String()
	l.g.opt.Sessions.PlatformUp(c, name) // before the check: whoever deletes the platform after it finds the link
	if r := l.checkPlatform(c, f); r != nil {
		if c.platform.Load() == nil {
			l.g.opt.Sessions.LogoutLink(c, causeRefused.reason)
		}
		l.refuse(c, f, metrics.KindPlatform, r)
		return
	}
	c.id = session.NewID()
	c.platform.Store(&platform{code: name, json: session.AppendWireString(nil, name), vin: code, id: c.id})
	c.state = statePlatform
	c.become(metrics.LinkPlatform)
	l.g.opt.Metrics.Login(metrics.KindPlatform, metrics.LoginAccepted)
	l.store(c, nil, f, codec.FlagSuccess, true)
}

// Offsets in the data units of a vehicle login (table 6 of both editions) and
// of a platform login (table 21).
const (
	loginICCID    = 8
	loginUser     = 8
	loginPassword = 20
	loginRule     = 40
	loginSize     = 41
)

// checkPlatform decides on a platform login. The client's certificate, where the listener wants it to, must name its code or its user.
func (l *loop) checkPlatform(c *conn, f codec.Frame) *refusal {
	u := f.Unit()
	if f.TimeBytes() == nil || len(u) < loginSize {
		return unreadable(f)
	}
	if o := c.ln.opt.TLS; o != nil && o.RequireVINMatch && !c.tls.isFor(f.VIN().String()) &&
		!c.tls.isFor(codec.Text(bytes.TrimLeft(u[loginUser:loginPassword], "\x00"))) {
		return &refusal{metrics.LoginCertificate, codec.FlagError}
	}
	if refused := l.g.opt.Gate.Platform(f.RawVIN(), u[loginUser:loginPassword], u[loginPassword:loginRule]); refused != nil {
		return refusalOf(refused, f)
	}
	return nil
}

// platformLogout handles 0x06: all vehicles of the link go offline with it.
func (l *loop) platformLogout(c *conn, f codec.Frame) {
	l.store(c, nil, f, l.verdict(c, f), true)
	l.endSessions(c, session.ReasonLogout)
	c.platform.Store(nil)
	l.awaitLogin(c)
}

// awaitLogin puts c back to where it was before its login.
func (l *loop) awaitLogin(c *conn) {
	c.state = stateNew
	c.become(metrics.LinkLogin)
	c.deadline = l.after(c.ln.opt.LoginTimeout)
	l.wheel.remove(c)
	l.wheel.add(c)
}

// refuse answers a login that is not let in and ends the connection. Refusals
// are no stream records.
func (l *loop) refuse(c *conn, f codec.Frame, kind string, r *refusal) {
	l.frame(f, metrics.FrameRefused)
	l.g.opt.Metrics.Login(kind, r.reason)
	switch {
	case r.reason == session.RefusedSealKey:
		l.g.warn.Error("login refused: the platform's password was sealed with another seal key",
			aboutPlatform(c, f.VIN()), "kind", kind, "reason", r.reason, "remedy", session.SealRemedy)
	case kind == metrics.KindPlatform:
		l.g.warn.Warn("login refused", aboutPlatform(c, f.VIN()), "kind", kind, "reason", r.reason)
	default:
		l.g.warn.Warn("login refused", aboutVIN(c, f.VIN()), "kind", kind, "reason", r.reason)
	}
	l.tellRefused(c, f, kind, r.reason)
	if c.ln.opt.RefuseLogin == RefuseAnswer {
		l.reply(c, f, r.flag, f.TimeBytes())
	}
	l.end(c, causeRefused)
}

// refuseRelayed answers a vehicle's frame on a platform link that is not taken.
func (l *loop) refuseRelayed(c *conn, f codec.Frame, r *refusal) {
	l.frame(f, metrics.FrameRefused)
	l.g.opt.Metrics.Login(metrics.KindVehicle, r.reason)
	l.g.warn.Warn("vehicle of a platform refused", aboutVIN(c, f.VIN()), "reason", r.reason)
	l.tellRefused(c, f, metrics.KindVehicle, r.reason)
	l.reply(c, f, r.flag, f.TimeBytes())
}

// tellRefused announces a refused login, unless too many are.
func (l *loop) tellRefused(c *conn, f codec.Frame, kind, why string) {
	if l.g.opt.Refused == nil || !l.g.refusals.AllowN(l.now, 1) {
		return
	}
	l.g.opt.Refused(session.RefusedEvent{
		VIN: f.VIN(), Login: session.Login(kind), Platform: c.platformCode(), Remote: c.remote, Node: l.g.opt.Node, At: l.now, Reason: why,
	})
}

// endSessions ends what c carries: one vehicle's session, or all of a
// platform's. A session whose VIN another link has taken over has ended already.
func (l *loop) endSessions(c *conn, why session.Reason) {
	if s := c.sess; s != nil {
		c.sess = nil
		l.g.opt.Sessions.Logout(s, why)
	}
	if c.platform.Load() != nil {
		l.g.opt.Sessions.LogoutLink(c, why)
	}
}

// refusal is why a login is not let in, and the flag that says so to the peer.
type refusal struct {
	reason string // a constant, for the metric and the log
	flag   codec.Flag
}

func refusalOf(r *session.Refusal, f codec.Frame) *refusal {
	return &refusal{r.Reason, r.Flag(f.Edition())}
}

// unreadable refuses a login whose data unit is encrypted or cut.
func unreadable(f codec.Frame) *refusal { return &refusal{metrics.LoginUnreadable, unreadableFlag(f)} }

// unreadableFlag is the answer to a unit that cannot be read: 0x02, in the 2025
// edition 0x07 when it is encrypted, else 0x06.
func unreadableFlag(f codec.Frame) codec.Flag {
	switch {
	case f.Edition() != codec.Edition2025:
		return codec.FlagError
	case !f.Encryption().Plain():
		return codec.FlagDecryptError
	default:
		return codec.FlagStructureError
	}
}
