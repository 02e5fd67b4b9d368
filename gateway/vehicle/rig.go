package vehicle

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// rig drives what stands behind one connection: a vehicle, or a platform with many. One goroutine
// runs it.
type rig struct {
	cfg    Config
	self   *car // the vehicle, or the platform itself, whose identifier is its code
	cars   []*car
	byVIN  map[codec.VIN]*car
	queue  queue // the cars in the order in which they want to be asked
	states []State
	count  counters

	enter func(ctx context.Context, l *link) error // logs everybody in
	leave func(l *link) error                      // logs everybody out

	agenda agenda
	begun  time.Time // of the script
	lost   time.Time // when the last connection broke; zero: none did
	beat   time.Time // of the next heartbeat
	sync   time.Time // of the next time sync; zero: none
}

// awayError says that a fault of the script ended a connection; the vehicle is back after a time.
type awayError struct{ back time.Time }

func (e *awayError) Error() string { return "vehicle: away until " + e.back.String() }

// movedError says that a fault has put the vehicle on another connection.
type movedError struct{ to *link }

func (e *movedError) Error() string { return "vehicle: on another connection" }

func newRig(cfg Config, self *car, cars []*car) *rig {
	r := &rig{cfg: cfg, self: self, cars: cars, byVIN: map[codec.VIN]*car{}, states: make([]State, len(cars))}
	for i, c := range cars {
		r.byVIN[c.vin] = c
		c.index = i
	}
	r.count.fleet[StateOffline] = len(cars)
	r.agenda = cfg.Script.agenda(cfg.Seed, cfg.VIN)
	if cfg.Drive == DriveDay && self == cars[0] {
		r.agenda = append(r.agenda, self.blindZone())
		r.agenda.sort()
	}
	return r
}

// answer answers a command to one of the cars.
func (r *rig) answer(f codec.Frame) []byte {
	if c := r.byVIN[f.VIN()]; c != nil {
		return c.answer(f)
	}
	return nil
}

// delay is how long the answer f to a command waits.
func (r *rig) delay(f codec.Frame) time.Duration {
	if c := r.byVIN[f.VIN()]; c != nil {
		return c.cfg.delay()
	}
	return 0
}

func (r *rig) answered(f codec.Frame) {
	if c := r.byVIN[f.VIN()]; c != nil {
		c.answered()
	}
}

func (r *rig) dial(ctx context.Context, addr string) (*link, error) {
	dialing, cancel := context.WithTimeout(ctx, r.cfg.AnswerTimeout)
	defer cancel()
	conn, err := r.cfg.Dial(dialing, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("vehicle: %w", err)
	}
	l := open(conn, r.cfg, &r.count, obedient{answer: r.answer, answered: r.answered, delay: r.delay})
	l.trouble.random.Seed(seedOf(r.cfg.VIN), r.cfg.Seed)
	return l, nil
}

// run is one visit to the gateway at addr, from the connection to the logout; first, unless nil, is
// done after the login. Faults of the script may need several connections.
func (r *rig) run(ctx context.Context, addr string, first func(*link) error) error {
	now := time.Now()
	if r.begun.IsZero() {
		if r.begun = r.cfg.Start; r.begun.IsZero() {
			r.begun = now
		}
	}
	for _, c := range r.cars {
		c.sent = 0
	}
	for {
		err := r.connection(ctx, addr, first)
		var away *awayError
		if !errors.As(err, &away) {
			return err
		}
		if !pause(ctx, time.Until(away.back)) || ctx.Err() != nil {
			return nil // there is no connection to log out on
		}
	}
}

// pause reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// login logs everybody in, or stops when ctx ends.
func (r *rig) login(ctx context.Context, l *link) error {
	defer l.watch(ctx)()
	return r.enter(ctx, l)
}

// connection is one connection.
func (r *rig) connection(ctx context.Context, addr string, first func(*link) error) error {
	l, err := r.dial(ctx, addr)
	if err != nil {
		return err
	}
	err = r.login(ctx, l)
	if err == nil && first != nil {
		err = first(l)
	}
	if err != nil {
		l.close(false)
		return err
	}
	now := time.Now()
	for i, c := range r.cars {
		if r.lost.IsZero() {
			// In one period every vehicle of a platform reports once, one after the other.
			c.start(now, now.Add(c.reportPeriod*time.Duration(i)/time.Duration(len(r.cars))))
		} else {
			c.resume(r.lost, now)
		}
	}
	if !r.lost.IsZero() {
		r.count.update(func(s *Stats) { s.Reconnects++ })
		r.lost = time.Time{}
	}
	r.beat = now.Add(r.self.beatPeriod)
	if r.sync = now; r.cfg.TimeSync <= 0 {
		r.sync = time.Time{}
	}
	r.queue = append(r.queue[:0], r.cars...)
	heap.Init(&r.queue)
	for {
		err = r.session(ctx, l, addr)
		var moved *movedError
		if !errors.As(err, &moved) {
			break
		}
		l = moved.to
	}
	r.offline()
	var away *awayError
	switch {
	case err == nil || errors.Is(err, errLeave):
		if e := r.leave(l); e != nil {
			err = e
		}
	default: // it broke, or a fault broke it
		errors.As(err, &away)
		if r.lost.IsZero() {
			r.lost = time.Now()
		}
		r.keep(l)
	}
	l.close(away != nil)
	return err
}

// keep makes reissues of the reports that have no answer, as a terminal does that stores until it is
// told that it need not.
func (r *rig) keep(l *link) {
	for _, p := range l.pending {
		if cmd := p.frame.Command(); cmd == codec.CommandRealtime || cmd == codec.CommandReissue {
			if c := r.byVIN[p.frame.VIN()]; c != nil {
				c.keep(p.frame)
				r.count.update(func(s *Stats) { s.Requeued++ })
			}
		}
	}
}

// session reports until it is time to leave: ctx has ended, the reports are sent, a setting says so.
func (r *rig) session(ctx context.Context, l *link, addr string) error {
	defer l.watch(ctx)()
	left := 0
	for _, c := range r.cars {
		if !r.done(c) {
			left++
		}
	}
	for {
		now := time.Now()
		if ctx.Err() != nil {
			return nil
		}
		if f, ok := r.agenda.next(now.Sub(r.begun)); ok {
			if err := r.fault(ctx, l, addr, f); err != nil {
				return err
			}
			continue
		}
		for range 64 { // then see what has come
			c := r.queue[0]
			if c.due.After(now) || r.done(c) {
				break
			}
			if err := r.report(l, c, now); err != nil {
				return err
			}
			if r.done(c) {
				left--
			}
			heap.Fix(&r.queue, 0)
		}
		if left == 0 {
			return nil
		}
		if err := r.routine(l, now); err != nil {
			return err
		}
		if r.self.leave {
			r.self.leave = false
			return errLeave
		}
		if err := r.wait(ctx, l, r.until(l)); err != nil {
			return err
		}
		r.changed(time.Now())
	}
}

// done reports whether the car has sent all that it was asked for.
func (r *rig) done(c *car) bool { return r.cfg.Reports > 0 && c.sent >= r.cfg.Reports }

// report sends what a car has to send now.
func (r *rig) report(l *link, c *car, now time.Time) error {
	frames, err := c.next(now)
	if err != nil {
		return err
	}
	if r.done(c) {
		c.due = now.Add(24 * time.Hour)
	}
	r.note(c)
	if n := uint64(c.retried); n > 0 {
		c.retried = 0
		r.count.update(func(s *Stats) { s.Retried += n })
	}
	for _, f := range frames {
		if _, e := l.send(f); e != nil {
			err = e // the others are counted and kept too
		}
	}
	return err
}

// routine sends heartbeats and time syncs.
func (r *rig) routine(l *link, now time.Time) error {
	if r.self.beatPeriod > 0 && !now.Before(r.beat) {
		r.beat = now.Add(r.self.beatPeriod)
		frame, err := r.self.heartbeat()
		if err != nil {
			return err
		}
		if _, err := l.send(frame); err != nil {
			return err
		}
	}
	if !r.sync.IsZero() && !now.Before(r.sync) {
		r.sync = now.Add(r.cfg.TimeSync)
		frame, err := r.self.timeSync()
		if err != nil {
			return err
		}
		if _, err := l.send(frame); err != nil {
			return err
		}
	}
	return nil
}

// until returns when there is something to do again.
func (r *rig) until(l *link) time.Time {
	t := r.queue[0].due
	if r.self.beatPeriod > 0 && r.beat.Before(t) {
		t = r.beat
	}
	if !r.sync.IsZero() && r.sync.Before(t) {
		t = r.sync
	}
	if len(r.agenda) > 0 {
		if at := r.begun.Add(r.agenda[0].At); at.Before(t) {
			t = at
		}
	}
	if now := time.Now(); l.trouble.deaf.After(now) && l.trouble.deaf.Before(t) {
		t = l.trouble.deaf
	}
	return t
}

// wait waits for a time, an answer or a command; a deaf vehicle for the time alone.
func (r *rig) wait(ctx context.Context, l *link, until time.Time) error {
	if l.trouble.deaf.After(time.Now()) {
		pause(ctx, time.Until(until))
		return nil
	}
	return l.wait(until)
}

// changed takes up new periods that a command has set.
func (r *rig) changed(now time.Time) {
	if r.self.changed && r.self.beatPeriod > 0 {
		r.beat = now.Add(r.self.beatPeriod)
	}
	for _, c := range r.cars {
		if c.changed {
			c.changed = false
			c.planNext(now)
			heap.Init(&r.queue)
		}
	}
	r.self.changed = false
}

// note counts what a car does.
func (r *rig) note(c *car) {
	state := StateDriving
	switch {
	case c.motion.alarm.serious():
		state = StateAlarm
	case c.motion.day.phase == phasePark:
		state = StateParked
	case c.motion.day.phase == phaseCharge:
		state = StateCharging
	}
	r.moveTo(c.index, state)
}

func (r *rig) moveTo(i int, state State) {
	if r.states[i] != state {
		r.count.move(r.states[i], state)
		r.states[i] = state
	}
}

func (r *rig) offline() {
	for i := range r.states {
		r.moveTo(i, StateOffline)
	}
}

// queue is a heap of cars, the one that is due first at the top.
type queue []*car

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push and Pop make queue a heap.Interface; the heap here only ever changes order.
func (q *queue) Push(x any) { *q = append(*q, x.(*car)) }
func (q *queue) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}
