package probe

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// answerCases test the answers to what is in order. Two profiles are right: the body of the standard
// (flag and the request's time, every report answered) and Annex B (the request's unit under a new time,
// reports not answered).
func answerCases() []Case {
	return []Case{
		{Name: "answer.vehicleLogin", Expect: "success, with the request's time or its data unit under a new time",
			Clause2016: "§6.3.2, B.3.3.2, B.1", Clause2025: "§6.3.2, B.2.1", play: answerLogin},
		{Name: "answer.realtime", Expect: "success, or on a vehicle link none; never an error",
			Clause2016: "§5.2.2, B.2.1", Clause2025: "§6.3.2, B.2", play: answerRealtime},
		{Name: "answer.reissue", Expect: "as a realtime report",
			Clause2016: "§5.2.2, B.2.8", Clause2025: "§6.3.2, B.2", play: answerReissue},
		{Name: "answer.vehicleLogout", Expect: "success, or none: the standard does not say",
			Clause2016: "§6.3.2, table 20", Clause2025: "§6.3.2, table 28", play: answerLogout},
		{Name: "answer.heartbeat", Expect: "success, with an empty data unit or a time",
			Clause2016: "B.2.6, B.3.5.7", Clause2025: "B.2, table B.2", play: answerHeartbeat},
		{Name: "answer.timeSync", Expect: "success with the Beijing time",
			Clause2016: "B.2.5, B.3.5.8", Clause2025: "B.2, table B.2", play: answerTimeSync},
		{Name: "answer.ownTime", Expect: "each answer holds the time of its own request, in order",
			Clause2016: "§6.3.2", Clause2025: "§6.3.2", play: answerOwnTime},
		{Name: "answer.oldTime", Expect: "a report of years ago is a report: clocks go wrong after a power loss",
			Clause2016: "§6.4, table 5", Clause2025: "§6.4, table 5", play: answerOldTime},
		{Name: "answer.toAnswer", Expect: "a frame with another flag than 0xFE is an answer and is never answered",
			Clause2016: "§6.3.2, B.3.3.2", Clause2025: "§6.3.2", play: answerToAnswer},
		{Name: "answer.unknownCommand", Expect: "a command that the edition reserves is not answered with success, and the connection goes on",
			Clause2016: "table 3", Clause2025: "table 3", play: answerUnknown(0x30)},
		{Name: "answer.customCommand", Expect: "a command for custom data (0xC1) does not end the connection",
			Clause2016: "table 3", Clause2025: "table 3", play: answerUnknown(0xC1)},
		{Name: "answer.otherEdition", Expect: "a frame of the other edition on the connection gets no answer in this edition",
			Clause2016: "§6.2", Clause2025: "§6.2, table 2", play: answerOtherEdition},
	}
}

func answerLogin(t *talk) verdict {
	l := t.dial()
	form := l.must(t.login(t.vin))
	switch got, fenced := l.after(); {
	case len(got) > 0:
		return fail("more came than the answer: %x", []byte(got[0]))
	case !fenced:
		return fail("after the login a heartbeat was not answered within %v", t.o.Timeout)
	}
	return pass("success, %s", form)
}

func answerRealtime(t *talk) verdict {
	return t.reported(t.enter().ask(t.realtime(t.vin)), "taken")
}

func answerReissue(t *talk) verdict { return t.reported(t.enter().ask(t.reissue()), "taken") }

func answerLogout(t *talk) verdict {
	l := t.enter()
	r := l.first(t.logout(), t.o.Quiet)
	switch {
	case r.frame == nil && r.closed:
		return pass("no answer, the connection was closed")
	case r.frame == nil:
		return pass("no answer")
	case r.frame.Flag() != codec.FlagSuccess:
		return fail("a logout in order was answered %v", r.frame.Flag())
	}
	return pass("success, %s", r.form)
}

func answerHeartbeat(t *talk) verdict {
	return pass("success, %s", t.enter().must(t.heartbeat()))
}

func answerTimeSync(t *talk) verdict {
	l := t.enter()
	req := t.timeSync()
	r := l.first(req, t.o.Timeout)
	l.want(req, r)
	at, _ := r.frame.Time() // checked
	// Part 2 wants a terminal within 5 s a day; it can be no better than what it is told.
	switch off := time.Until(at).Abs().Round(time.Second); {
	case off > 50*time.Minute:
		return fail("the time is off by %v against this machine's clock: is it Beijing time?", off)
	case off > 5*time.Second:
		return warn("the time is off by %v against this machine's clock", off)
	}
	return pass("success, the gateway's time, right to 5 s by this machine's clock")
}

func answerOwnTime(t *talk) verdict {
	l := t.enter()
	reports := []codec.Frame{t.realtime(t.vin), t.realtime(t.vin), t.realtime(t.vin)}
	got, fenced := l.after(reports...)
	if !fenced {
		return fail("after three reports a heartbeat was not answered within %v", t.o.Timeout)
	}
	switch len(got) {
	case 0:
		return pass("reports are not answered, as Annex B has it for vehicles")
	case len(reports):
	default:
		return fail("%d of %d reports were answered", len(got), len(reports))
	}
	form := ""
	for i, f := range got {
		if !answersTo(f, reports[i]) {
			return fail("an answer to nothing that was sent: %x", []byte(f))
		}
		form = t.check(reports[i], f)
		if f.Flag() != codec.FlagSuccess {
			return fail("a report in order was answered %v", f.Flag())
		}
	}
	return pass("in order, %s", form)
}

func answerOldTime(t *talk) verdict {
	l := t.enter()
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, codec.Beijing)
	return t.reported(l.ask(frame(codec.NewReissue(t.edition, t.vin, old, t.items()...), nil)), "taken")
}

func answerToAnswer(t *talk) verdict {
	l := t.enter()
	for _, flag := range []codec.Flag{codec.FlagSuccess, codec.FlagError} {
		for _, f := range []codec.Frame{t.realtime(t.vin), t.timeSync()} {
			b := append(codec.Frame(nil), f...)
			b[3] = byte(flag)
			b[len(b)-1] = codec.Check(b[2 : len(b)-1])
			got, fenced := l.after(b)
			switch {
			case len(got) > 0:
				return fail("an answer (%s, flag %v) was answered", f.Command().Name(t.edition), flag)
			case !fenced:
				return warn("the connection did not go on after an answer to nothing")
			}
		}
	}
	return pass("answers were not answered")
}

func answerUnknown(command codec.Command) func(*talk) verdict {
	return func(t *talk) verdict {
		l := t.enter()
		req := t.raw(command, t.vin, codec.EncryptionNone, append(codec.AppendTime(nil, t.now()), 1, 2, 3))
		r := l.ask(req)
		switch {
		case r.frame != nil && r.frame.Flag() == codec.FlagSuccess && command < 0x80:
			return fail("a reserved command was answered with success")
		case r.closed:
			return warn("the connection was closed")
		case !r.fenced:
			return fail("after the command a heartbeat was not answered within %v", t.o.Timeout)
		case r.frame == nil:
			return pass("no answer")
		}
		return pass("answered %v, %s", r.frame.Flag(), r.form)
	}
}

func answerOtherEdition(t *talk) verdict {
	l := t.enter()
	other := append(codec.Frame(nil), t.timeSync()...)
	other[0] ^= '#' ^ '$'
	other[1] = other[0]
	got, fenced := l.after(other)
	for _, f := range got {
		if f.Edition() == t.edition {
			return fail("a frame of the other edition was answered in this one")
		}
	}
	switch {
	case l.closed:
		return pass("the connection was closed")
	case !fenced:
		return fail("after a frame of the other edition a heartbeat was not answered within %v", t.o.Timeout)
	case len(got) > 0:
		return pass("answered in its own edition")
	}
	return pass("no answer")
}
