package vehicle

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// plan is when a car reports, and what it has to reissue.
type plan struct {
	index  int       // among the cars of its connection
	due    time.Time // when the car wants to be asked again
	report time.Time // of the next realtime report
	sent   int       // realtime reports in this run
	last   time.Time // second of the last of them

	before  *car1s      // kept while a serious alarm is near: the car as it was 30 s ahead of it
	lately  []time.Time // reports since then
	replays []*replay   // reports that could not be sent, oldest first
	unsent  [][]byte    // frames that were not answered when a connection broke, as reissues, older than replays
	retried int         // of unsent, taken since somebody counted
	reissue time.Time   // not before
	absent  bool        // it catches up: everything is replayed anyway
}

// car1s is a motion at a second.
type car1s struct {
	motion *motion
	clock  time.Time
}

// replay lives a stretch of a car's life again, to make the reports that were not sent. It costs the
// memory of one motion, however long the stretch is.
type replay struct {
	car1s
	until time.Time // the first second that is not reported
	step  time.Duration
	but   []time.Time // seconds that were reported
}

const (
	// reissueGap is the pause between two reissues: they are sent in idle time (2016 §5.5, B.2.8).
	reissueGap = 50 * time.Millisecond
	// longestReplay bounds what is reissued after an absence: what a terminal keeps at least is 7 days
	// (2016 part 2), what a test wants to see is less.
	longestReplay = time.Hour
	mostReplays   = 8
	mostUnsent    = 256
)

// advance moves the car to now, and keeps what a serious alarm that comes will need.
func (c *car) advance(now time.Time) {
	if c.clock.IsZero() {
		c.clock = now
		return
	}
	if now.Sub(c.clock) > 2*longestReplay {
		c.clock = now.Add(-2 * longestReplay) // it stood still: nobody looked
	}
	for ; now.Sub(c.clock) >= time.Second; c.clock = c.clock.Add(time.Second) {
		if c.before == nil && !c.absent && c.motion.alarm.nears() {
			c.before, c.lately = &car1s{c.motion.clone(), c.clock}, []time.Time{c.last}
		}
		c.motion.tick()
		if c.before != nil && c.motion.alarm.serious() {
			c.past(replay{car1s: *c.before, until: c.clock.Add(time.Second), step: time.Second, but: c.lately})
			c.before, c.lately = nil, nil
		}
	}
}

// past notes a stretch that is to be reissued.
func (c *car) past(r replay) {
	if len(c.replays) == mostReplays {
		c.replays = append(c.replays[:0], c.replays[1:]...)
	}
	c.replays = append(c.replays, &r)
}

// period returns the time between two reports at present.
func (c *car) period() time.Duration {
	if c.motion.alarm.close() {
		return min(c.alarmPeriod, c.reportPeriod)
	}
	return c.reportPeriod
}

// start plans the first report of a run.
func (c *car) start(now, first time.Time) {
	c.advance(now)
	c.report, c.due = first, first
}

// resume goes on after a time without a connection, whose reports become reissues.
func (c *car) resume(lost, now time.Time) {
	c.advance(lost) // a no-op if the car has moved since
	c.absent, c.before = true, nil
	if from := now.Add(-longestReplay); c.clock.Before(from) {
		c.advance(from)
	}
	step := max(c.reportPeriod, time.Second).Truncate(time.Second)
	r := replay{car1s: car1s{c.motion.clone(), c.clock}, until: now.Truncate(time.Second), step: step}
	r.next(step) // the second at which the connection was lost has been reported, or is in unsent
	if r.clock.Before(r.until) {
		c.past(r)
	}
	c.advance(now)
	c.absent, c.report, c.due = false, now, now
}

// keep makes reissues of realtime frames that were not answered (0x02 becomes 0x03).
func (c *car) keep(frame codec.Frame) {
	if len(c.unsent) == mostUnsent {
		c.unsent = append(c.unsent[:0], c.unsent[1:]...)
	}
	b := append([]byte(nil), frame...)
	b[2] = byte(codec.CommandReissue)
	b[len(b)-1] = codec.Check(b[2 : len(b)-1])
	c.unsent = append(c.unsent, b)
}

// next returns the frames that are due at now: a realtime report, unless the car is parked and silent,
// and behind it one of those that are to be reissued. It plans what follows.
func (c *car) next(now time.Time) ([][]byte, error) {
	c.advance(now)
	var frames [][]byte
	period := c.period()
	if !now.Before(c.report) {
		if c.motion.reports(c.cfg.Edition, c.reportPeriod) {
			var err error
			if frames, err = c.frames(codec.CommandRealtime, c.motion, now); err != nil {
				return nil, err
			}
			c.sent++
			c.last = now.Truncate(time.Second)
			if c.before != nil {
				c.lately = append(c.lately, c.last)
			}
		}
		if c.report = c.report.Add(period); c.report.Before(now) {
			c.report = now.Add(period)
		}
	}
	if c.behind() && !now.Before(c.reissue) {
		missed, err := c.missed(now)
		if err != nil {
			return nil, err
		}
		frames = append(frames, missed...)
	}
	c.planNext(now)
	return frames, nil
}

// planNext sets due: the next report, or earlier a serious alarm.
func (c *car) planNext(now time.Time) {
	if most := now.Add(c.period()); c.report.After(most) {
		c.report = most // the period has become shorter
	}
	if a := &c.motion.alarm; c.motion.day.on && a.level == 0 && a.coming.level >= seriousLevel {
		if onset := c.clock.Add(time.Duration(a.in+1) * time.Second); onset.Before(c.report) {
			c.report = onset
		}
	}
	c.due = c.report
	if c.behind() && c.reissue.Before(c.due) {
		c.due = c.reissue
	}
}

// behind reports whether there is something to reissue.
func (c *car) behind() bool { return len(c.unsent) > 0 || len(c.replays) > 0 }

// missed returns the oldest report that is still to be reissued, nil when there is none.
func (c *car) missed(now time.Time) ([][]byte, error) {
	c.reissue = now.Add(reissueGap)
	if len(c.unsent) > 0 {
		frame := c.unsent[0]
		c.unsent = append(c.unsent[:0], c.unsent[1:]...)
		c.retried++
		return [][]byte{frame}, nil
	}
	for len(c.replays) > 0 {
		r := c.replays[0]
		for ; r.clock.Before(r.until); r.next(r.pace()) {
			if !r.skip(c) {
				frames, err := c.frames(codec.CommandReissue, r.motion, r.clock)
				r.next(r.pace())
				return frames, err
			}
		}
		c.replays = append(c.replays[:0], c.replays[1:]...)
	}
	return nil, nil
}

func (r *replay) next(step time.Duration) {
	r.motion.step(step)
	r.clock = r.clock.Add(step)
}

// pace returns the time to the next report: a second while something serious is wrong.
func (r *replay) pace() time.Duration {
	if r.motion.alarm.close() {
		return time.Second
	}
	return r.step
}

// skip reports whether the second needs no reissue.
func (r *replay) skip(c *car) bool {
	if !r.motion.reports(c.cfg.Edition, c.reportPeriod) {
		return true
	}
	for _, t := range r.but {
		if t.Equal(r.clock.Truncate(time.Second)) {
			return true
		}
	}
	return false
}
