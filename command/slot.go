package command

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// busyRetry is how soon a frame that the connection did not take is tried again.
const busyRetry = time.Second

// slotKey: a vehicle is asked one thing of a kind at a time.
type slotKey struct {
	vin     codec.VIN
	command codec.Command
}

// slot holds the commands of one kind to one vehicle. Everything in this file runs under the dispatcher's lock.
type slot struct {
	key     slotKey
	current *task   // in flight
	queue   []*task // waiting, oldest first
	last    *task   // the one that ended last, for late and repeated answers

	timer *time.Timer
	armed uint64 // number of the timer's present purpose; a timer that fires for an earlier one does nothing
}

// task is one command on its way.
type task struct {
	key    slotKey
	unit   []byte // nil once the command is over
	head   []byte // the first 7 bytes of the data unit: time and control id, to tell answers apart
	plan   Resend
	leaves bool // a vehicle that obeys leaves: the setting of a platform address or port

	session  uint64         // the session it was last sent over
	header   codec.Header   // of the frame it was last sent as
	tries    int            // sends handed to the link and not refused
	unheard  int            // sends of this session on which the link has not said its word
	ending   session.Reason // why that session has ended, while the end waits for the link's word; else ""
	deadline time.Time      // when a frame that the link never takes has timed out

	result  Result
	done    chan struct{} // closed when the command is over
	version int           // counts changes of result
	stored  int           // the version in the store
}

func newTask(key slotKey, r Request, e codec.Edition, plan Resend) *task {
	unit := append([]byte(nil), r.Unit...)
	return &task{
		key: key, unit: unit, head: unit[:min(len(unit), codec.TimeSize+1):min(len(unit), codec.TimeSize+1)], plan: plan,
		leaves: movesPlatform(e, r.Command, unit), done: make(chan struct{}),
		result: Result{
			ProductKey: r.ProductKey, DeviceName: key.vin.String(), Command: r.Command, Edition: e, State: StateQueued,
			RequestID: r.RequestID, AccessKeyID: r.AccessKeyID,
		},
	}
}

// frame builds the command's frame as it was last sent.
func (t *task) frame() codec.Frame {
	frame, err := codec.AppendFrame(make([]byte, 0, codec.MinFrameSize+len(t.unit)), t.header, t.unit)
	if err != nil {
		return nil // the length was checked by Send
	}
	return frame
}

// about names the vehicle of a command in a log line, and the session that the line is about; 0 is none.
func about(t *task, id uint64) slog.Attr {
	attrs := []slog.Attr{slog.String("vin", t.key.vin.String())}
	if id != 0 {
		attrs = append(attrs, slog.String("session", session.FormatID(id)))
	}
	return slog.Attr{Value: slog.GroupValue(attrs...)}
}

// begin takes a new command on: it goes out at once or waits.
func (d *Dispatcher) begin(t *task, s *session.Session) {
	sl := d.slots[t.key]
	if sl == nil {
		sl = &slot{key: t.key}
		d.slots[t.key] = sl
	}
	d.pendingBytes += len(t.unit)
	d.results.add(t)
	if sl.current == nil && len(sl.queue) == 0 {
		d.start(sl, t, s)
		return
	}
	sl.queue = append(sl.queue, t)
	d.count(t.key.command, 0, 1)
	t.header = headerFor(t, s)
	d.changed(t, t.frame())
}

func headerFor(t *task, s *session.Session) codec.Header {
	return codec.Header{Edition: s.Edition, Command: t.key.command, Flag: codec.FlagCommand, VIN: s.RawVIN, Encryption: codec.EncryptionNone}
}

// start makes t the command in flight.
func (d *Dispatcher) start(sl *slot, t *task, s *session.Session) {
	sl.current = t
	d.count(t.key.command, 1, 0)
	t.deadline = d.o.Now().Add(time.Duration(t.plan.Sends) * t.plan.Interval)
	d.transmit(sl, t, s)
}

// startNext sends the next waiting command, or leaves the slot to be forgotten when no late answer is to be expected any more.
func (d *Dispatcher) startNext(sl *slot, s *session.Session) {
	if len(sl.queue) == 0 {
		sl.queue = nil
		d.arm(sl, d.o.LateWindow)
		return
	}
	t := sl.queue[0]
	sl.queue[0] = nil
	sl.queue = sl.queue[1:]
	d.count(t.key.command, 0, -1)
	d.start(sl, t, s)
}

// transmit hands the frame of the command in flight to the session's link, in that session's edition.
func (d *Dispatcher) transmit(sl *slot, t *task, s *session.Session) {
	if t.session != s.ID {
		t.unheard = 0
	}
	t.tries++
	t.unheard++
	t.session = s.ID
	t.header = headerFor(t, s)
	t.result.Edition = s.Edition
	frame, link, id := t.frame(), s.Link, s.ID
	d.out.push(func() {
		link.Send(frame, func(err error) { d.handedOver(sl, t, id, err) })
	})
	d.arm(sl, t.plan.Interval)
}

// handedOver is the link's word on a frame. A frame that it did not take, because it is busy or closing, is tried again
// until the command times out or its session is found to be gone.
func (d *Dispatcher) handedOver(sl *slot, t *task, id uint64, err error) {
	d.mu.Lock()
	if sl.current == t && t.session == id { // else over, or on its way over another session
		t.unheard--
		if err != nil {
			t.tries--
			d.arm(sl, busyRetry)
			d.o.Logger.Debug("command frame not taken", "messageId", t.result.MessageID, about(t, id), "error", err)
		} else {
			d.sent(t)
		}
		if t.ending != "" {
			d.gone(sl, id, t.ending)
		}
	}
	d.mu.Unlock()
	d.out.flush()
}

// sent notes one more send.
func (d *Dispatcher) sent(t *task) {
	t.result.Sends++
	if t.result.State == StateQueued {
		t.result.State = StateSent
		t.result.SentAt = d.now()
		d.changed(t, t.frame())
	}
}

// answered ends t by the answer f. t is the command in flight, or the last one, which is answered late.
func (d *Dispatcher) answered(sl *slot, t *task, s *session.Session, f codec.Frame) {
	if t.result.State == StateQueued {
		d.sent(t) // the answer was faster than the link's word
	}
	r := &t.result
	r.Flag = f.Flag().String()
	r.Reason = ""
	r.AnsweredAt = d.now()
	var m codec.Message
	m.Decode(f)
	r.Body = m.AppendJSON(nil, codec.JSONOptions{Mask: true})
	// Some terminals leave the flag at 0xFE in their answers.
	r.State = StateRejected
	if f.Flag() == codec.FlagSuccess || f.Flag() == codec.FlagCommand {
		r.State = StateAnswered
	}
	if sl.current != t {
		if !r.AnsweredAt.After(r.EndedAt.Time) { // in the same millisecond, or the clock was set back: Late tells by the times
			r.AnsweredAt = session.At(r.EndedAt.Add(time.Millisecond))
		}
		d.o.Logger.Debug("late answer", "messageId", r.MessageID, about(t, s.ID))
		d.changed(t, f)
		return
	}
	d.end(sl, f)
	d.startNext(sl, s)
}

// gone handles the end of the session with the given id. A session may end before its link has said whether the frame went
// out; then the end waits for that word, which always comes, and with it whether and when the command was sent. What waits behind
// it does not: a vehicle that has come back meanwhile is sent what was asked since.
func (d *Dispatcher) gone(sl *slot, id uint64, reason session.Reason) {
	t := sl.current
	if t == nil || t.session != id {
		return // nothing under way over that session
	}
	if t.unheard > 0 && t.result.Sends == 0 {
		if t.ending == "" {
			t.ending = reason
			if reason != session.ReasonTakeover {
				d.endQueue(sl, StateDisconnected, Reason(reason))
			}
		}
		return
	}
	waited := t.ending != ""
	t.ending = ""
	takeover := reason == session.ReasonTakeover
	switch {
	case t.leaves && t.result.Sends > 0 && left(reason):
		// B.2.3: after it answered such a setting, the terminal logs in at the new platform. Many leave without the answer.
		t.result.AnsweredAt = d.now()
		d.finish(sl, StateAnswered, ReasonVehicleLeft)
	case takeover && t.tries == 0:
		d.arm(sl, 0) // never taken by the old link: goes out over the new session
		return
	case takeover:
		d.finish(sl, StateSuperseded, Reason(reason))
	default:
		d.finish(sl, StateDisconnected, Reason(reason))
	}
	if takeover || waited && len(sl.queue) > 0 {
		d.arm(sl, 0) // the new session is in the table, which must not be asked here
		return
	}
	d.endQueue(sl, StateDisconnected, Reason(reason))
	d.arm(sl, d.o.LateWindow)
}

// left reports whether a session ended because the vehicle wanted it to.
func left(reason session.Reason) bool {
	switch reason {
	case session.ReasonPeerClosed, session.ReasonLogout, session.ReasonIdle, session.ReasonTakeover, session.Reason(ReasonLinkClosed):
		return true
	}
	return false
}

// finish ends the command in flight without an answer.
func (d *Dispatcher) finish(sl *slot, state State, reason Reason) {
	sl.current.result.State, sl.current.result.Reason = state, reason
	d.end(sl, nil)
}

// end takes the command in flight, whose result is complete, out of the slot. frame is the answer, if there was one.
func (d *Dispatcher) end(sl *slot, frame codec.Frame) {
	t := sl.current
	sl.current, sl.last = nil, t
	d.count(t.key.command, -1, 0)
	t.result.EndedAt = d.now()
	if t.result.EndedAt.Before(t.result.AnsweredAt.Time) { // the clock was set back: it was not late
		t.result.EndedAt = t.result.AnsweredAt
	}
	d.pendingBytes -= len(t.unit)
	t.unit = nil
	t.head = append([]byte(nil), t.head...) // so that the unit's memory can go
	d.changed(t, frame)
	close(t.done)
	d.results.over(t)
	d.trimResults()
}

// endAll ends the command in flight and all that wait.
func (d *Dispatcher) endAll(sl *slot, state State, reason Reason) {
	if sl.current != nil {
		d.finish(sl, state, reason)
	}
	d.endQueue(sl, state, reason)
}

// endQueue ends all that wait. They were never sent: an answer is to what was before them.
func (d *Dispatcher) endQueue(sl *slot, state State, reason Reason) {
	current, last := sl.current, sl.last
	for _, t := range sl.queue {
		sl.current = t
		d.count(t.key.command, 1, -1)
		d.finish(sl, state, reason)
	}
	sl.queue, sl.current, sl.last = nil, current, last
}

// tick is what a slot's timer does: repeat or give up the command in flight, go on with the queue, or forget the slot.
func (d *Dispatcher) tick(sl *slot, armed uint64) {
	live := d.o.Sessions.Get(sl.key.vin) // not under our lock: the table calls Gone under its own
	d.mu.Lock()
	if sl.armed == armed && !d.closed {
		d.move(sl, live)
	}
	d.mu.Unlock()
	d.out.flush()
}

func (d *Dispatcher) move(sl *slot, live *session.Session) {
	t := sl.current
	switch {
	case t == nil && len(sl.queue) == 0:
		delete(d.slots, sl.key)
	case t == nil && live == nil:
		d.endAll(sl, StateDisconnected, ReasonLinkClosed)
		d.arm(sl, d.o.LateWindow)
	case t == nil:
		d.startNext(sl, live)
	case live == nil:
		t.unheard = 0 // the timer is patient: a link that has said nothing by now is not waited for
		d.gone(sl, t.session, cmp.Or(t.ending, session.Reason(ReasonLinkClosed)))
	case t.tries > 0 && t.session != live.ID:
		t.unheard = 0
		d.gone(sl, t.session, cmp.Or(t.ending, session.ReasonTakeover))
	case t.result.Sends == 0 && !d.o.Now().Before(t.deadline):
		d.finish(sl, StateTimedOut, ReasonLinkBusy)
		d.startNext(sl, live)
	case t.tries >= t.plan.Sends:
		d.finish(sl, StateTimedOut, "")
		d.startNext(sl, live)
	default:
		d.transmit(sl, t, live)
	}
}

// arm sets the slot's timer, replacing its present purpose.
func (d *Dispatcher) arm(sl *slot, after time.Duration) {
	sl.disarm()
	armed := sl.armed
	sl.timer = time.AfterFunc(after, func() { d.tick(sl, armed) })
}

func (s *slot) disarm() {
	s.armed++
	if s.timer != nil {
		s.timer.Stop()
	}
}
