package probe

import (
	"github.com/tboxgate/tboxgate/codec"
)

// platformCases test a platform's link, where the body of the standard holds without Annex B.
func platformCases() []Case {
	return []Case{
		{Name: "platform.login", Expect: "a platform login is answered with success and the request's time", Platform: true,
			Clause2016: "§5.1, §6.3.2, table 21", Clause2025: "§6.3.2, table 29", play: platformLogin},
		{Name: "platform.password", Expect: "a wrong password is refused", Platform: true,
			Clause2016: "§5.1", Clause2025: "table 29", play: platformPassword},
		{Name: "platform.reports", Expect: "login and every report of a vehicle behind it are answered with success", Platform: true,
			Clause2016: "§5.2.2", Clause2025: "§6.3.2", play: platformReports},
		{Name: "platform.unknownVIN", Expect: "a vehicle that is not registered is refused, and the link goes on", Platform: true,
			Clause2016: "§4, §5.2.2", Clause2025: "table 4", play: platformUnknown},
		{Name: "platform.badReport", Expect: "a damaged report gets no success, and the link goes on or is closed", Platform: true,
			Clause2016: "§5.2.2, §5.4", Clause2025: "§6.2", play: platformDamage},
		{Name: "platform.logout", Expect: "a platform logout is answered with success, or not at all", Platform: true,
			Clause2016: "§6.3.2, table 22", Clause2025: "§6.3.2, table 30", play: platformLogout},
	}
}

// code is the platform's identifier.
func (t *talk) code() codec.VIN {
	code, err := codec.ParseVIN(t.o.Code)
	if err != nil {
		t.stop(fail("the platform's code %q: %v", t.o.Code, err))
	}
	return code
}

func (t *talk) platformFrame(password string) codec.Frame {
	t.serial++
	m, err := codec.NewPlatformLogin(t.edition, t.code(), t.now(), t.serial, t.o.User, password)
	if err != nil {
		t.stop(fail("the platform's login: %v", err))
	}
	return frame(m, nil)
}

// link connects and logs the platform in.
func (t *talk) link() *line {
	l := t.dial()
	req := t.platformFrame(t.o.Password)
	l.want(req, l.first(req, t.o.Timeout))
	return l
}

func platformLogin(t *talk) verdict {
	form := t.dial().must(t.platformFrame(t.o.Password))
	if form != "the request's time" {
		return fail("success, but %s: a password is not sent back", form)
	}
	return pass("success, %s", form)
}

func platformPassword(t *talk) verdict {
	wrong := "wrong-password"
	if t.o.Password == wrong {
		wrong = "other-password"
	}
	return t.refused(t.dial().first(t.platformFrame(wrong), t.o.Quiet), "a wrong password")
}

func platformReports(t *talk) verdict {
	l := t.link()
	l.must(t.login(t.vin))
	reports := []codec.Frame{t.realtime(t.vin), t.reissue(), t.realtime(t.vin)}
	for _, f := range reports {
		l.write(f)
	}
	for _, f := range reports {
		l.expectSuccess(f)
	}
	return pass("all answered with success, in order")
}

// linkWorks tells by a report whether the link goes on: it has no heartbeat.
func (l *line) linkWorks() verdict {
	req := l.realtime(l.vin)
	l.write(req)
	for {
		f, err := l.next(l.o.Timeout)
		switch {
		case err != nil && l.closed:
			return warn("the link was closed, and with it all other vehicles behind it")
		case err != nil:
			return fail("a good report after it was not answered within %v", l.o.Timeout)
		case answersTo(f, req) && f.Flag() == codec.FlagSuccess:
			l.check(req, f)
			return pass("the link went on")
		case f.Flag() == codec.FlagSuccess:
			return fail("it was answered with success: %x", []byte(f))
		}
	}
}

func platformUnknown(t *talk) verdict {
	l := t.link()
	l.must(t.login(t.vin))
	l.write(t.login(t.unknown))
	f, err := l.next(t.o.Quiet)
	if err == nil && f.Flag() == codec.FlagSuccess {
		return warn("%s was let in: the gateway takes anybody, or knows it (see --unknown-vin)", t.unknown)
	}
	return l.linkWorks()
}

func platformDamage(t *talk) verdict {
	l := t.link()
	l.must(t.login(t.vin))
	bad := damaged(t.reissue())
	l.write(bad)
	f, err := l.next(min(t.o.Quiet, t.o.Timeout))
	if err == nil && f.Flag() == codec.FlagSuccess {
		return fail("a report with a wrong check byte was answered with success")
	}
	return l.linkWorks()
}

func platformLogout(t *talk) verdict {
	l := t.link()
	req := frame(codec.NewPlatformLogout(t.edition, t.code(), t.now(), t.serial), nil)
	r := l.first(req, t.o.Quiet)
	switch {
	case r.frame == nil:
		return pass("no answer")
	case r.frame.Flag() != codec.FlagSuccess:
		return fail("a logout in order was answered %v", r.frame.Flag())
	}
	return pass("success, %s", r.form)
}
