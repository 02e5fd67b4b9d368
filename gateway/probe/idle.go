package probe

import (
	"errors"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// idleCases test that the gateway ends connections on which nothing comes. They take as long as the gateway waits, and the
// standard does not say how long that is: both must be told.
func idleCases() []Case {
	return []Case{
		{Name: "idle.silent", Expect: "a vehicle that has gone silent, without heartbeats, is disconnected after the idle time, and not before",
			Clause2016: "B.2.7", Clause2025: "B.2", play: idleSilent},
		{Name: "idle.heartbeat", Expect: "a vehicle that sends nothing but heartbeats is not disconnected",
			Clause2016: "B.2.6, B.2.7", Clause2025: "B.2", play: idleHeartbeat},
		{Name: "idle.login", Expect: "a connection on which nobody logs in is closed after the login deadline",
			Clause2016: "§5.1, B.1", Clause2025: "B.2.1", play: idleLogin},
	}
}

// outlast waits for the end of a silent connection.
func (l *line) outlast(limit time.Duration, since time.Time) verdict {
	most := limit + limit/4 + l.o.Timeout
	_, err := l.next(time.Until(since.Add(most)))
	took := time.Since(since)
	switch {
	case err == nil:
		return fail("an answer to nothing that was sent")
	case !errors.Is(err, errClosed):
		return fail("the connection is still open after %v", took.Round(100*time.Millisecond))
	case took < limit-limit/10:
		return fail("closed after %v already: the gateway's time is said to be %v", took.Round(100*time.Millisecond), limit)
	}
	return pass("closed after %v", took.Round(100*time.Millisecond))
}

const idleUntold = "it was not told after what time the gateway closes an idle connection (--idle)"

func idleSilent(t *talk) verdict {
	if t.o.Idle <= 0 {
		return notRun(idleUntold)
	}
	l := t.enter()
	since := time.Now()
	l.must(t.heartbeat())
	return l.outlast(t.o.Idle, since)
}

// idleHeartbeat sends heartbeats for one and a half times the idle time.
func idleHeartbeat(t *talk) verdict {
	if t.o.Idle <= 0 {
		return notRun(idleUntold)
	}
	l := t.enter()
	began := time.Now()
	for time.Since(began) < t.o.Idle+t.o.Idle/2 {
		l.must(t.heartbeat())
		if _, err := l.next(t.o.Idle/4, codec.CommandParamQuery); errors.Is(err, errClosed) {
			return fail("closed after %v although heartbeats came", time.Since(began).Round(100*time.Millisecond))
		}
	}
	l.must(t.heartbeat())
	return pass("open after %v with heartbeats only", time.Since(began).Round(100*time.Millisecond))
}

func idleLogin(t *talk) verdict {
	if t.o.LoginDeadline <= 0 {
		return notRun("it was not told after what time the gateway closes a connection without a login (--login-deadline)")
	}
	since := time.Now()
	return t.dial().outlast(t.o.LoginDeadline, since)
}
