package probe

import (
	"bytes"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// resyncCases test what a gateway makes of damage. How it finds the next frame the standard leaves open;
// closing the connection is allowed, taking damaged frames is not.
func resyncCases() []Case {
	return []Case{
		{Name: "resync.garbage", Expect: "bytes between frames are skipped, or the connection is closed",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: garbageBetween},
		{Name: "resync.garbageFirst", Expect: "bytes before the login are skipped, or the connection is closed",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: garbageFirst},
		{Name: "resync.badCheck", Expect: "a frame with a wrong check byte gets no success; the next one is answered, or the connection is closed",
			Clause2016: "§5.1, §6.2", Clause2025: "§6.2, B.2", play: badCheck},
		{Name: "resync.badLogin", Expect: "a login with a wrong check byte gets no success",
			Clause2016: "B.1", Clause2025: "B.2.1", play: badLogin},
		{Name: "resync.lengthTooLong", Expect: "a length that is too long spoils the frames it covers, not all that follow",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: wrongLength(40)},
		{Name: "resync.lengthTooShort", Expect: "a length that is too short spoils its frame, not those that follow",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: wrongLength(-9)},
		{Name: "resync.loneMark", Expect: "half a start mark before frames does not hide them all",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: loneMark},
	}
}

// recovered judges what came after damage: got are the answers to damaged frames.
func (l *line) recovered(got []codec.Frame, fenced bool) verdict {
	for _, f := range got {
		if f.Flag() == codec.FlagSuccess {
			return fail("a damaged frame was answered with success: %x", []byte(f))
		}
	}
	switch {
	case fenced && len(got) > 0:
		return pass("an error answer; the next frame was answered")
	case fenced:
		return pass("no answer; the next frame was answered")
	case l.closed:
		return warn("the connection was closed")
	}
	return fail("a good frame after the damage was not answered within %v, nor was the connection closed", l.o.Timeout)
}

func garbageBetween(t *talk) verdict {
	l := t.enter()
	got, fenced := l.after(codec.Frame("\r\nAT+CIPSEND\r\n\x00\xff"))
	return l.recovered(got, fenced)
}

func garbageFirst(t *talk) verdict {
	l := t.dial()
	req := t.login(t.vin)
	l.write(append([]byte("\r\nCONNECT 115200\r\n"), req...))
	f, err := l.next(t.o.Timeout)
	switch {
	case err == nil && answersTo(f, req) && f.Flag() == codec.FlagSuccess:
		t.check(req, f)
		return pass("the login behind it was answered")
	case err == nil:
		return fail("the login behind it was answered %v: %x", f.Flag(), []byte(f))
	case l.closed:
		return warn("the connection was closed")
	}
	return fail("the login behind it was not answered within %v, nor was the connection closed", t.o.Timeout)
}

func badCheck(t *talk) verdict {
	l := t.enter()
	got, fenced := l.after(damaged(t.timeSync()), damaged(t.realtime(t.vin)))
	return l.recovered(got, fenced)
}

func badLogin(t *talk) verdict {
	l := t.dial()
	l.write(damaged(t.login(t.vin)))
	f, err := l.next(t.o.Quiet)
	switch {
	case err == nil && f.Flag() == codec.FlagSuccess:
		return fail("a login with a wrong check byte was answered with success")
	case err == nil:
		return pass("answered %v", f.Flag())
	case l.closed:
		return pass("no answer, the connection was closed")
	}
	return pass("no answer")
}

// wrongLength sends a report whose length field is wrong, and enough behind it to fill what a length
// that is too long promises.
func wrongLength(by int) func(*talk) verdict {
	return func(t *talk) verdict {
		l := t.enter()
		// Two heartbeats fill the promise; whether they are answered is left to the gateway.
		sent := t.misMeasured(by)
		l.write(sent)
		got, fenced := l.after()
		var others []codec.Frame
		for _, f := range got {
			if f.Command() != codec.CommandHeartbeat {
				others = append(others, f)
			}
		}
		return l.recovered(others, fenced)
	}
}

// misMeasured makes a report whose length is wrong, with two heartbeats behind it. Where the length puts
// the check byte stands none that is right by chance, as one in 256 would be.
func (t *talk) misMeasured(by int) []byte {
	for {
		f := t.realtime(t.vin)
		n := len(f.Unit()) + by
		b := append([]byte(nil), f...)
		b[22], b[23] = byte(n>>8), byte(n)
		b = append(append(b, t.heartbeat()...), t.heartbeat()...)
		if at := codec.HeaderSize + n; b[at] != codec.Check(b[2:at]) {
			return b
		}
	}
}

// loneMark sends one start character and then heartbeats. With the first character of the next frame it
// looks like a start mark, whose length then hides some frames until they have come; it must not lose
// them all.
func loneMark(t *talk) verdict {
	l := t.enter()
	const beats = 40
	beat, answers := t.heartbeat(), 0
	take := func(wait time.Duration) bool {
		f, err := l.next(wait)
		if err != nil {
			return false
		}
		if !answersTo(f, beat) || f.Flag() != codec.FlagSuccess {
			t.stop(l.recovered([]codec.Frame{f}, answers > 0))
		}
		answers++
		return true
	}
	l.write(append([]byte{t.edition.StartMark()}, beat...))
	when := "the first only when more had come"
	if take(t.o.Quiet) {
		when = "the first at once"
	}
	l.write(bytes.Repeat(beat, beats-1))
	for answers < beats && take(t.o.Timeout) {
		continue
	}
	switch answers {
	case beats:
		return pass("every frame behind it was answered, %s", when)
	case 0:
		return l.recovered(nil, false)
	}
	return warn("%d of the %d frames behind it were lost, the others answered", beats-answers, beats)
}
