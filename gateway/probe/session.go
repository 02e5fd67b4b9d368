package probe

import (
	"github.com/tboxgate/tboxgate/codec"
)

// sessionCases test who gets in, and whose connection is whose.
func sessionCases() []Case {
	return []Case{
		{Name: "session.reportBeforeLogin", Expect: "a report before the login is not answered with success",
			Clause2016: "§5.2.1, B.1", Clause2025: "B.2.1", play: reportBeforeLogin},
		{Name: "session.timeSyncBeforeLogin", Expect: "a time sync before the login is not answered with success",
			Clause2016: "B.1", Clause2025: "B.2.1", play: syncBeforeLogin},
		{Name: "session.unknownVIN", Expect: "a vehicle that is not registered is refused: an error, no answer, or closed",
			Clause2016: "§4, B.1", Clause2025: "table 4, A.2", play: unknownVIN},
		{Name: "session.otherVIN", Expect: "on a vehicle's connection a report of another VIN is not answered with success",
			Clause2016: "§6.2, B.2.1", Clause2025: "§6.2, B.2", play: otherVIN},
		{Name: "session.takeover", Expect: "the vehicle logs in on a second connection: the older one is closed",
			Clause2016: "B.2.7", Clause2025: "B.2", play: takeover},
		{Name: "session.loginAgain", Expect: "a second login on the same connection gets an answer",
			Clause2016: "B.1", Clause2025: "B.2.1", play: loginAgain},
		{Name: "session.afterLogout", Expect: "after the logout a report is not answered with success",
			Clause2016: "table 20", Clause2025: "table 28", play: afterLogout},
		{Name: "session.returns", Expect: "a vehicle whose connection broke logs in again at once",
			Clause2016: "B.2.7, B.1", Clause2025: "B.2", play: returns},
	}
}

func reportBeforeLogin(t *talk) verdict {
	return t.refused(t.dial().first(t.realtime(t.vin), t.o.Quiet), "a report before the login")
}

func syncBeforeLogin(t *talk) verdict {
	return t.refused(t.dial().first(t.timeSync(), t.o.Quiet), "a time sync before the login")
}

func unknownVIN(t *talk) verdict {
	l := t.dial()
	r := l.first(t.login(t.unknown), t.o.Quiet)
	if r.frame != nil && r.frame.Flag() == codec.FlagSuccess {
		return warn("%s was let in: the gateway takes anybody, or knows it (see --unknown-vin)", t.unknown)
	}
	return t.flag2025(t.refused(r, ""), r, codec.FlagVINUnknown)
}

func otherVIN(t *talk) verdict {
	l := t.enter()
	r := l.ask(t.realtime(t.unknown))
	if !r.closed && !r.fenced {
		return fail("after the report a heartbeat was not answered within %v", t.o.Timeout)
	}
	return t.refused(r, "a report of another VIN")
}

func takeover(t *talk) verdict {
	first := t.enter()
	second := t.dial()
	req := t.login(t.vin)
	r := second.first(req, t.o.Timeout)
	if r.frame != nil && r.frame.Flag() == codec.FlagVINDuplicate {
		return warn("the second login was refused as a duplicate (flag 0x03): a vehicle whose connection broke cannot come back until it is noticed")
	}
	second.want(req, r)
	if _, err := first.next(t.o.Timeout); err == nil || !first.closed {
		return fail("the older connection is still open %v after the login on the newer one", t.o.Timeout)
	}
	second.must(t.heartbeat())
	return pass("the older connection was closed, the newer one works")
}

func loginAgain(t *talk) verdict {
	l := t.enter()
	r := l.first(t.login(t.vin), t.o.Timeout)
	switch {
	case r.frame == nil && r.closed:
		return warn("the connection was closed")
	case r.frame == nil:
		return fail("the second login was not answered within %v", t.o.Timeout)
	}
	return pass("answered %v, %s", r.frame.Flag(), r.form)
}

func afterLogout(t *talk) verdict {
	l := t.enter()
	l.first(t.logout(), t.o.Quiet)
	if l.closed {
		return pass("the connection was closed after the logout")
	}
	return t.refused(l.first(t.realtime(t.vin), t.o.Quiet), "a report after the logout")
}

func returns(t *talk) verdict {
	l := t.enter()
	abort(l.conn)
	req := t.login(t.vin)
	again := t.dial()
	again.want(req, again.first(req, t.o.Timeout))
	again.must(t.heartbeat())
	return pass("logged in again")
}
