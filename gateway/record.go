package gateway

import (
	"encoding/hex"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

// store hands f to the sink; when answer is set, its answer with the flag goes
// out once the record is stored, in the listener's form.
func (l *loop) store(c *conn, s *session.Session, f codec.Frame, flag codec.Flag, answer bool) {
	l.storeWith(c, s, f, flag, l.ackUnit(c, f), answer)
}

// storeWith is store with the data unit of the answer given.
func (l *loop) storeWith(c *conn, s *session.Session, f codec.Frame, flag codec.Flag, unit []byte, answer bool) {
	if e := f.Encryption(); !e.Plain() {
		l.count.Encrypted(e)
		if s != nil {
			s.Sealed()
		}
	}
	l.answer = l.answer[:0]
	if answer {
		l.answer = codec.AppendAnswer(l.answer, f, flag, unit)
	}
	l.publish(c, f, idOf(c, s), flag, l.answer)
}

// ackUnit is the data unit of an answer to 0x01..0x06: the request's time, or
// in Annex B's form the time of the answer and the rest of the request. A
// platform's password is never sent back.
func (l *loop) ackUnit(c *conn, f codec.Frame) []byte {
	t := f.TimeBytes()
	if t == nil || c.ln.opt.AckForm == AckTime || f.Command() == codec.CommandPlatformLogin {
		return t
	}
	l.unit = codec.AppendTime(l.unit[:0], l.now)
	l.unit = append(l.unit, f.Unit()[codec.TimeSize:]...)
	return l.unit
}

// publish hands f to the sink as a record and answer, which may be empty, to
// the connection's window; with nothing ahead of it and a record that is
// durable at once, straight to the answers of this event.
func (l *loop) publish(c *conn, f codec.Frame, sessionID uint64, flag codec.Flag, answer []byte) {
	l.frame(f, metrics.FrameStored)
	raw := l.record(c, f, sessionID)
	// Field by field: a literal would be built beside it and copied.
	r := &l.rec
	r.VIN, r.Command, r.Edition, r.ReceivedAt = f.VIN(), f.Command(), f.Edition(), l.now
	r.Node, r.Session, r.Platform, r.Remote = l.g.opt.Node, sessionID, c.platformCode(), c.remote
	r.Raw, r.Body = raw, l.body
	r.Duplicate, r.Unsure = l.novelty == session.Repeat, l.novelty == session.Unsure
	if r.Duplicate {
		l.count.Repeat()
	}
	if r.Unsure {
		r.CollectedAt, r.UnitHash = collected(f, l.now), l.unitHash
	}
	size := len(l.body)
	ticket := c.ticket
	if c.win != nil {
		ticket = c.win.next()
	}
	l.count.Published(size)
	stored := l.g.opt.Sink.Publish(r, c, ticket)
	if stored && c.win == nil {
		c.ticket++
		l.count.Stored(size, 0)
		l.emit(c, flag, answer)
		return
	}
	w := c.win
	if w == nil {
		w = l.newWindow(c)
	}
	l.g.inFlight.Add(int64(size))
	w.push(waiting{at: l.clock, size: uint32(size), flag: flag, stored: stored}, answer)
}

// reply answers f without a record; the answer keeps its place behind those that wait.
func (l *loop) reply(c *conn, f codec.Frame, flag codec.Flag, unit []byte) {
	l.answer = codec.AppendAnswer(l.answer[:0], f, flag, unit)
	l.emit(c, flag, l.answer)
}

// emit puts an answer whose turn depends on no record behind those that wait.
func (l *loop) emit(c *conn, flag codec.Flag, answer []byte) {
	if len(answer) == 0 {
		return
	}
	if c.win == nil {
		l.out = append(l.out, answer...)
		l.outFlags = append(l.outFlags, flag)
		return
	}
	c.win.push(waiting{at: l.clock, flag: flag, stored: true}, answer)
}

// record makes the record of f in l.body and reports whether it is the raw
// frame. A frame that carries a secret is never stored raw.
func (l *loop) record(c *conn, f codec.Frame, sessionID uint64) (raw bool) {
	secret := codec.Secret(f)
	if l.g.opt.Payload == sink.PayloadRaw && !secret {
		l.body = append(l.body[:0], f...)
		return true
	}
	both := l.g.opt.Payload == sink.PayloadBoth && !secret
	room := l.g.opt.MaxRecord - envelopeSize - len(l.g.nodeJSON)
	if both {
		room -= 2 * len(f)
	}
	l.message.Decode(f)
	b := l.message.AppendJSON(l.body[:0], codec.JSONOptions{Mask: true, MaxSize: room})
	b = b[:len(b)-1] // the closing brace
	b = append(b, l.envelopeOf(c, sessionID)...)
	if l.novelty == session.Repeat {
		b = append(b, `,"duplicate":true`...)
	}
	if both {
		b = append(b, `,"raw":"`...)
		b = hex.AppendEncode(b, f)
		b = append(b, '"')
	}
	l.body = append(b, '}')
	return false
}

// envelope is the gateway's own keys as the records of one connection hold them. Frames that arrive together share it.
type envelope struct {
	of       *conn
	session  uint64
	platform *platform
	milli    int64 // the loop's clock
	json     []byte
}

// envelopeOf is the gateway's own keys for a record of c that is received now.
func (l *loop) envelopeOf(c *conn, sessionID uint64) []byte {
	e := &l.envelope
	milli, p := l.now.UnixMilli(), c.platform.Load()
	if e.of == c && e.session == sessionID && e.platform == p && e.milli == milli {
		return e.json
	}
	e.of, e.session, e.platform, e.milli = c, sessionID, p, milli
	b := append(e.json[:0], `,"receivedAt":"`...)
	b = append(b, l.timestamp()...)
	b = append(b, `","node":`...)
	b = append(b, l.g.nodeJSON...)
	b = append(b, `,"session":"`...)
	b = session.AppendID(b, sessionID)
	b = append(b, `","remote":"`...)
	b = c.remote.AppendTo(b)
	b = append(b, '"')
	if p != nil {
		b = append(b, `,"platform":`...)
		b = append(b, p.json...)
	}
	e.json = b
	return b
}

// envelopeSize is room enough for the gateway's own keys, the node's name and the raw bytes aside.
const envelopeSize = 512

// timestamp is the loop's clock as RFC 3339 in UTC with milliseconds. Frames of
// one event share it, and it is made once.
func (l *loop) timestamp() []byte {
	if ms := l.now.UnixMilli(); ms != l.stampMilli {
		l.stampMilli = ms
		l.stamp = l.now.UTC().AppendFormat(l.stamp[:0], "2006-01-02T15:04:05.000Z")
	}
	return l.stamp
}

// broken reports whether the data unit of f breaks the standard's tables.
func (l *loop) broken(f codec.Frame) bool {
	l.message.Decode(f)
	_, fault := l.message.Fault()
	return fault
}
