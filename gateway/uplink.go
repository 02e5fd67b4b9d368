package gateway

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/session"
)

// uplink handles one frame whose length and check byte are right.
func (l *loop) uplink(c *conn, f codec.Frame) {
	bad, before := c.bad, c.state
	c.bad = 0
	switch c.state {
	case stateNew:
		l.first(c, f)
	case stateVehicle:
		l.fromVehicle(c, f, bad)
	case statePlatform:
		l.fromPlatform(c, f, bad)
	case stateClosing, stateClosed:
	}
	if c.state == stateVehicle || c.state == statePlatform {
		c.deadline = l.after(c.ln.opt.IdleTimeout)
		if before == stateNew { // it may be earlier than the login deadline, which chose the slot
			l.wheel.remove(c)
			l.wheel.add(c)
		}
	}
}

// first handles a frame on a connection that nobody has logged in on. Only
// 0x01, 0x05 and, in the 2025 edition, 0x09 may come; anything else ends it.
func (l *loop) first(c *conn, f codec.Frame) {
	if f.Flag() == codec.FlagCommand {
		profile := c.ln.opt.Profile
		switch cmd := f.Command(); {
		case cmd == codec.CommandVehicleLogin && profile != ProfilePlatform:
			l.vehicleLogin(c, f)
			return
		case cmd == codec.CommandPlatformLogin && profile != ProfileVehicle:
			l.platformLogin(c, f)
			return
		case cmd == codec.CommandActivation && f.Edition() == codec.Edition2025 && profile != ProfilePlatform:
			l.activation(c, f, 0)
			return
		}
	}
	l.count.Bad(metrics.BadFirst)
	l.frame(f, metrics.FrameRefused)
	l.g.warn.Warn("connection closed: its first frame is no login", aboutVIN(c, f.VIN()),
		"command", f.Command().Name(f.Edition()), "flag", f.Flag().String(), "profile", string(c.ln.opt.Profile))
	l.end(c, causeProtocol)
}

// fromVehicle handles a frame of a vehicle that has logged in. badBefore is the
// number of bad frames in a row before this one.
func (l *loop) fromVehicle(c *conn, f codec.Frame, badBefore uint16) {
	s := c.sess
	s.Seen(l.now)
	if f.VIN() != s.VIN {
		// An answer cannot be answered, but neither is it this vehicle's.
		l.frame(f, metrics.FrameRefused)
		if f.Flag() == codec.FlagCommand {
			l.reply(c, f, codec.FlagError, f.TimeBytes())
		}
		c.bad = badBefore
		l.bad(c, metrics.BadVIN)
		return
	}
	if f.Flag() != codec.FlagCommand {
		l.fromAnswer(c, s, f)
		return
	}
	switch f.Command() {
	case codec.CommandVehicleLogin:
		l.vehicleLogin(c, f)
	case codec.CommandRealtime, codec.CommandReissue:
		l.report(c, s, f)
	case codec.CommandVehicleLogout:
		l.vehicleLogout(c, f)
	case codec.CommandPlatformLogin, codec.CommandPlatformLogout:
		l.frame(f, metrics.FrameRefused)
		l.reply(c, f, codec.FlagError, f.TimeBytes())
		c.bad = badBefore
		l.bad(c, metrics.BadFirst)
	default:
		l.other(c, s, f)
	}
}

// fromPlatform handles a frame of an enterprise platform that has logged in:
// its own, or one that it relays for any of its vehicles. badBefore is as with fromVehicle.
func (l *loop) fromPlatform(c *conn, f codec.Frame, badBefore uint16) {
	if f.Flag() == codec.FlagCommand {
		switch f.Command() {
		case codec.CommandPlatformLogin:
			if f.VIN() != c.platform.Load().vin {
				l.frame(f, metrics.FrameRefused)
				l.reply(c, f, codec.FlagError, f.TimeBytes())
				c.bad = badBefore
				l.bad(c, metrics.BadVIN)
				return
			}
			l.platformLogin(c, f)
			return
		case codec.CommandPlatformLogout:
			l.platformLogout(c, f)
			return
		case codec.CommandVehicleLogin:
			l.relayedLogin(c, f)
			return
		case codec.CommandRealtime, codec.CommandReissue:
			if s, ok := l.relayed(c, f); ok {
				l.report(c, s, f)
			}
			return
		case codec.CommandVehicleLogout:
			l.relayedLogout(c, f)
			return
		}
	}
	s := l.g.opt.Sessions.Get(f.VIN())
	if s == nil || s.Link != session.Link(c) {
		s = nil // not a vehicle of this link: the platform speaks for itself
	} else {
		s.Seen(l.now)
	}
	if f.Flag() != codec.FlagCommand {
		l.fromAnswer(c, s, f)
		return
	}
	l.other(c, s, f)
}

// frameBurst is how many seconds' worth of reports a vehicle may send at once.
const frameBurst = 10

// report handles realtime and reissued data; s is nil for a platform's word about
// a vehicle that is connected itself.
func (l *loop) report(c *conn, s *session.Session, f codec.Frame) {
	if n := l.g.opt.Limits.FrameRate; n > 0 && s != nil && !s.Pace(l.now, time.Second/time.Duration(n), frameBurst*n) {
		// The error answer makes a conforming terminal send the report again a minute later.
		l.count.Bad(metrics.BadRate)
		l.frame(f, metrics.FrameRefused)
		l.g.warn.Warn("report refused: the vehicle sends too fast", aboutVIN(c, s.VIN), "limit", n)
		if c.ln.opt.AckRealtime != AckNever {
			l.reply(c, f, codec.FlagError, f.TimeBytes())
		}
		return
	}
	flag := l.verdict(c, f)
	if flag != codec.FlagSuccess {
		l.store(c, s, f, flag, c.ln.opt.AckRealtime != AckNever)
		return
	}
	l.recall(s, f)
	if s != nil && f.Command() == codec.CommandRealtime {
		s.Clocked(codec.Time(f.TimeBytes()), l.now)
	}
	l.store(c, s, f, flag, c.ln.opt.AckRealtime == AckAlways)
	l.novelty = session.Fresh
}

// other handles the commands that neither open nor end a session and carry no report.
func (l *loop) other(c *conn, s *session.Session, f codec.Frame) {
	e2025 := f.Edition() == codec.Edition2025
	switch cmd := f.Command(); {
	case cmd == codec.CommandHeartbeat:
		l.simple(c, s, f, nil)
	case cmd == codec.CommandTimeSync:
		l.simple(c, s, f, l.wireTime())
	case cmd == codec.CommandActivation && e2025:
		l.activation(c, f, idOf(c, s))
	case cmd == codec.CommandKeyExchange && e2025:
		l.storeWith(c, s, f, codec.FlagSuccess, l.wireTime(), true)
	case cmd == codec.CommandParamQuery, cmd == codec.CommandParamSet, cmd == codec.CommandControl:
		// Some terminals answer commands with flag 0xFE.
		l.fromAnswer(c, s, f)
	default:
		// Reserved and private commands: nobody knows what their sender expects.
		l.store(c, s, f, codec.FlagSuccess, false)
	}
}

// simple answers a command without data: heartbeat (2016 B.3.5.7) or time sync (B.3.5.8).
func (l *loop) simple(c *conn, s *session.Session, f codec.Frame, unit []byte) {
	if l.g.opt.StoreHeartbeats {
		l.storeWith(c, s, f, codec.FlagSuccess, unit, true)
		return
	}
	l.frame(f, metrics.FrameAnswered)
	l.reply(c, f, codec.FlagSuccess, unit)
}

// fromAnswer handles a frame that answers one of ours: it is never answered.
func (l *loop) fromAnswer(c *conn, s *session.Session, f codec.Frame) {
	switch f.Command() {
	case codec.CommandParamQuery, codec.CommandParamSet, codec.CommandControl:
		if s != nil && l.g.opt.Commands != nil {
			l.g.opt.Commands.Answer(s, f)
		}
	case codec.CommandHeartbeat, codec.CommandTimeSync:
		if !l.g.opt.StoreHeartbeats {
			l.frame(f, metrics.FrameIgnored)
			return
		}
	}
	l.store(c, s, f, codec.FlagSuccess, false)
}

// activation handles 0x09 of the 2025 edition: a terminal's chip and public
// key, before or after its login. It is answered by a command of its own, 0x0A
// (tables B.3, B.4).
func (l *loop) activation(c *conn, f codec.Frame, sessionID uint64) {
	state, why := byte(0x01), "" // activated
	if _, refused := l.g.opt.Gate.Vehicle(f.VIN(), c.platformCode()); refused != nil {
		state, why = 0x02, refused.Reason // failed
	} else if !l.certified(c, f.VIN()) {
		state, why = 0x02, metrics.LoginCertificate
	}
	l.answer, _ = codec.AppendFrame(l.answer[:0], codec.Header{ // two bytes of data unit: it cannot be too long
		Edition: f.Edition(), Command: codec.CommandActivationResponse, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte(f.RawVIN()), Encryption: codec.EncryptionNone,
	}, []byte{state, 0x00})
	if why != "" {
		l.frame(f, metrics.FrameRefused)
		l.g.warn.Warn("activation refused", aboutVIN(c, f.VIN()), "reason", why)
		l.emit(c, codec.FlagCommand, l.answer)
		return
	}
	l.publish(c, f, sessionID, codec.FlagCommand, l.answer)
}

// verdict is the flag that the answer to f carries: success, unless its time
// cannot be read or the listener refuses units that break the standard's tables.
func (l *loop) verdict(c *conn, f codec.Frame) codec.Flag {
	if f.TimeBytes() == nil {
		l.count.Bad(badTime(f))
		return unreadableFlag(f)
	}
	if c.ln.opt.OnStructureError == StructureRefuse && l.broken(f) {
		l.count.Bad(metrics.BadStructure)
		return unreadableFlag(f)
	}
	return codec.FlagSuccess
}

// badTime is the reason why f has no readable time.
func badTime(f codec.Frame) metrics.BadReason {
	if !f.Encryption().Plain() {
		return metrics.BadEncrypted
	}
	return metrics.BadTime
}

// wireTime is our time as six bytes, valid until the next call.
func (l *loop) wireTime() []byte {
	l.unit = codec.AppendTime(l.unit[:0], l.now)
	return l.unit
}

// frame counts a frame by what became of it.
func (l *loop) frame(f codec.Frame, o metrics.Outcome) {
	l.count.Frame(f.Edition(), f.Command(), o, len(f))
}

// idOf is the session id that a record carries: the vehicle's, or its platform link's.
func idOf(c *conn, s *session.Session) uint64 {
	if s != nil {
		return s.ID
	}
	if p := c.platform.Load(); p != nil {
		return p.id
	}
	return 0
}
