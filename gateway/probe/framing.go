package probe

import (
	"github.com/tboxgate/tboxgate/codec"
)

// framingCases test how a gateway cuts the stream into frames: by the length alone, however the bytes
// arrive.
func framingCases() []Case {
	return []Case{
		{Name: "framing.split", Expect: "a login that arrives in pieces is answered",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: splitFrame},
		{Name: "framing.trickled", Expect: "a login that arrives byte by byte is answered",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: trickledFrame},
		{Name: "framing.joined", Expect: "frames that arrive together are all answered, in order",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: joinedFrames},
		{Name: "framing.overlapping", Expect: "a frame and half of the next, then its rest: both are answered",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: overlappingFrames},
		{Name: "framing.markInside", Expect: "start marks inside a data unit are data",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: markInside},
		{Name: "framing.largest", Expect: "a data unit of 65,531 bytes is taken, and the connection goes on",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: largestUnit},
		{Name: "framing.lengthMarks", Expect: "a length of 65,535 is no length: what follows is read, or the connection is closed",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 2", play: lengthMarks},
	}
}

func splitFrame(t *talk) verdict {
	f := t.login(t.vin)
	l := t.dial()
	l.write(f[:1], f[1:3], f[3:22], f[22:23], f[23:25], f[25:len(f)-1], f[len(f)-1:])
	return l.answered(f)
}

func trickledFrame(t *talk) verdict {
	f := t.login(t.vin)
	l := t.dial()
	var pieces [][]byte
	for i := range f {
		pieces = append(pieces, f[i:i+1])
	}
	l.write(pieces...)
	return l.answered(f)
}

// answered waits for the success of a frame that was sent in a special way.
func (l *line) answered(req codec.Frame) verdict {
	l.expectSuccess(req)
	return pass("answered with success")
}

// expectSuccess takes the next answer, which must be the success of req.
func (l *line) expectSuccess(req codec.Frame) {
	f, err := l.next(l.o.Timeout)
	if err != nil {
		l.stop(fail("the %s was not answered: %v", req.Command().Name(req.Edition()), err))
	}
	if !answersTo(f, req) {
		l.stop(fail("another frame than the answer to the %s came: %x", req.Command().Name(req.Edition()), []byte(f)))
	}
	l.check(req, f)
	if f.Flag() != codec.FlagSuccess {
		l.stop(fail("the %s was answered %v", req.Command().Name(req.Edition()), f.Flag()))
	}
}

func joinedFrames(t *talk) verdict {
	l := t.dial()
	login, beat, sync := t.login(t.vin), t.heartbeat(), t.timeSync()
	l.write(append(append(append(codec.Frame(nil), login...), beat...), sync...))
	for _, f := range []codec.Frame{login, beat, sync} {
		l.expectSuccess(f)
	}
	return pass("login, heartbeat and time sync in one segment were answered in order")
}

func overlappingFrames(t *talk) verdict {
	l := t.enter()
	a, b := t.timeSync(), t.heartbeat()
	l.write(append(append(codec.Frame(nil), a...), b[:13]...), b[13:])
	l.expectSuccess(a)
	l.expectSuccess(b)
	return pass("both were answered")
}

// markInside sends a report whose user-defined data look like frames.
func markInside(t *talk) verdict {
	l := t.enter()
	inner := t.heartbeat()
	data := append(append(append([]byte("####$$$$"), inner...), inner...), 0x23)
	report := frame(codec.NewRealtime(t.edition, t.vin, t.now(), append(t.items(), &codec.Custom{ID: 0x80, Data: data})...), nil)
	return t.reported(l.ask(report), "the report was read as one frame")
}

// reported judges the answer to a report that is in order: success, or none on a vehicle link.
func (t *talk) reported(r reply, what string) verdict {
	switch {
	case r.frame != nil && r.frame.Flag() != codec.FlagSuccess:
		return fail("the report, which is in order, was answered %v", r.frame.Flag())
	case r.closed:
		return fail("the connection was closed after a report that is in order")
	case !r.fenced:
		return fail("after the report a heartbeat was not answered within %v", t.o.Timeout)
	case r.frame == nil:
		return pass("%s; no answer, as Annex B has it for vehicles", what)
	}
	return pass("%s; answered with success, %s", what, r.form)
}

func largestUnit(t *talk) verdict {
	l := t.enter()
	items := t.items()
	report := frame(codec.NewRealtime(t.edition, t.vin, t.now(), items...), nil)
	fill := codec.MaxUnitSize - len(report.Unit()) - 3 // type and length of the item
	report = frame(codec.NewRealtime(t.edition, t.vin, t.now(), append(items, &codec.Custom{ID: 0x80, Data: make([]byte, fill)})...), nil)
	r := l.ask(report)
	if r.closed && r.frame == nil {
		return warn("the connection was closed: the gateway takes less than the standard allows")
	}
	return t.reported(r, "65,531 bytes were read")
}

// lengthMarks sends a header whose length is the mark for "invalid", and then good frames. A gateway
// that believes it waits for 64 KiB and answers nothing meanwhile.
func lengthMarks(t *talk) verdict {
	l := t.enter()
	bad := withLength(t.heartbeat(), 0xFFFF)
	got, fenced := l.after(bad)
	switch {
	case len(got) > 0 && got[0].Flag() == codec.FlagSuccess:
		return fail("a frame with the length 65,535 was answered with success")
	case fenced:
		return pass("the frame after it was answered")
	case l.closed:
		return pass("the connection was closed")
	}
	return warn("nothing more is answered: the gateway waits for 65,535 bytes")
}
