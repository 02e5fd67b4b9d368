package probe

import (
	"fmt"

	"github.com/tboxgate/tboxgate/codec"
)

// oddCases test what becomes of data units that are not in order. What a "check" of the data covers, the
// standard leaves open; to take odd data is allowed, to lose the connection over them hurts.
func oddCases() []Case {
	return []Case{
		{Name: "odd.truncatedItem", Expect: "a report that ends inside an item: an error, or it is taken as it is",
			Clause2016: "§5.2.2, B.2.1", Clause2025: "table 4, B.2", play: oddUnit(func(unit []byte) []byte { return unit[:len(unit)-3] })},
		{Name: "odd.unknownItem", Expect: "a report with an item of a reserved type: an error, or it is taken as it is",
			Clause2016: "table 8", Clause2025: "table 9", play: oddUnit(func(unit []byte) []byte { return append(unit, 0x40, 1, 2, 3) })},
		{Name: "odd.impossibleTime", Expect: "a report of month 13: an error, or it is taken as it is",
			Clause2016: "table 5", Clause2025: "table 5", play: oddUnit(func(unit []byte) []byte { unit[1] = 13; return unit })},
		{Name: "odd.outOfRange", Expect: "values beyond their range: an error, or they are taken as they are",
			Clause2016: "table 9", Clause2025: "table 10", play: oddUnit(func(unit []byte) []byte { unit[7] = 0x77; unit[20] = 200; return unit })},
		{Name: "odd.noItems", Expect: "a report with a time and nothing else: an error, or it is taken as it is",
			Clause2016: "table 7", Clause2025: "table 7", play: oddUnit(func(unit []byte) []byte { return unit[:codec.TimeSize] })},
		{Name: "odd.shortUnit", Expect: "a report without a whole time is not answered with success",
			Clause2016: "table 7", Clause2025: "table 7", play: shortUnit},
		{Name: "odd.shortLogin", Expect: "a login that holds only a time: an error, none, or (some terminals send it) success",
			Clause2016: "table 6", Clause2025: "table 6", play: shortLogin},
		{Name: "odd.serials", Expect: "login serial numbers 0 and 65,531, and twice the same, are taken: terminals are not that careful",
			Clause2016: "table 6", Clause2025: "table 6", play: oddSerials},
		{Name: "odd.encrypted", Expect: "data units of each method of encryption, for which the gateway has no key, are not answered with success, and the connection goes on",
			Clause2016: "§6.2, table 2", Clause2025: "§6.2, table 4", play: encryptedUnit},
	}
}

// oddUnit sends a report whose unit is changed.
func oddUnit(change func([]byte) []byte) func(*talk) verdict {
	return func(t *talk) verdict {
		l := t.enter()
		unit := change(append([]byte(nil), t.realtime(t.vin).Unit()...))
		r := l.ask(t.raw(codec.CommandRealtime, t.vin, codec.EncryptionNone, unit))
		switch {
		case r.closed:
			return warn("the connection was closed")
		case !r.fenced:
			return fail("after the report a heartbeat was not answered within %v", t.o.Timeout)
		case r.frame == nil:
			return pass("no answer")
		case r.frame.Flag() == codec.FlagSuccess:
			return pass("taken: success, %s", r.form)
		}
		return t.flag2025(pass("answered %v, %s", r.frame.Flag(), r.form), r, codec.FlagStructureError)
	}
}

// flag2025 adds which flag the 2025 edition has for what was refused, when another was answered.
func (t *talk) flag2025(v verdict, r reply, want codec.Flag) verdict {
	if t.edition == codec.Edition2025 && v.outcome == Pass && r.frame != nil && r.frame.Flag() != codec.FlagSuccess && r.frame.Flag() != want {
		v.seen += fmt.Sprintf("; the edition has 0x%02x for it, %v", byte(want), want)
	}
	return v
}

// refused judges the answer to what must not be answered with success.
func (t *talk) refused(r reply, what string) verdict {
	switch {
	case r.frame != nil && r.frame.Flag() == codec.FlagSuccess:
		return fail("%s was answered with success", what)
	case r.frame != nil && r.closed:
		return pass("answered %v, then closed", r.frame.Flag())
	case r.frame != nil:
		return pass("answered %v", r.frame.Flag())
	case r.closed:
		return pass("no answer, the connection was closed")
	}
	return pass("no answer")
}

func shortUnit(t *talk) verdict {
	l := t.enter()
	r := l.ask(t.raw(codec.CommandRealtime, t.vin, codec.EncryptionNone, []byte{26, 11, 23}))
	if !r.closed && !r.fenced {
		return fail("after the report a heartbeat was not answered within %v", t.o.Timeout)
	}
	return t.flag2025(t.refused(r, "a report without a time"), r, codec.FlagStructureError)
}

func shortLogin(t *talk) verdict {
	l := t.dial()
	req := t.raw(codec.CommandVehicleLogin, t.vin, codec.EncryptionNone, t.login(t.vin).Unit()[:codec.TimeSize])
	r := l.first(req, t.o.Quiet)
	if r.frame != nil && r.frame.Flag() == codec.FlagSuccess {
		return pass("taken: success, %s", r.form)
	}
	return t.refused(r, "")
}

func oddSerials(t *talk) verdict {
	for _, serial := range []uint16{0, 65531, 65531} {
		l := t.dial()
		req := t.loginWith(t.vin, serial)
		if r := l.first(req, t.o.Timeout); r.frame == nil || r.frame.Flag() != codec.FlagSuccess {
			if serial == 0 { // outside 1 to 65531: refusing it is right by the letter
				return warn("a login with the serial number 0 was refused: some terminals send it")
			}
			l.want(req, r)
		}
	}
	return pass("0, 65,531 and 65,531 again were taken")
}

// encryptedUnit sends a unit of each method of the edition.
func encryptedUnit(t *talk) verdict {
	methods := []codec.Encryption{codec.EncryptionRSA, codec.EncryptionAES}
	if t.edition == codec.Edition2025 {
		methods = append(methods, codec.EncryptionSM2, codec.EncryptionSM4)
	}
	l := t.enter()
	var last verdict
	for _, method := range methods {
		req := t.raw(codec.CommandRealtime, t.vin, method, []byte("sixteen bytes x 2 make 32 bytes!"))
		got, fenced := l.after(req)
		r := reply{closed: l.closed, fenced: fenced}
		for _, f := range got {
			if !answersTo(f, req) {
				return fail("an answer to nothing that was sent: %x", []byte(f))
			}
			r.frame = f
			if size := len(f.Unit()); size != 0 && size != codec.TimeSize && size != len(req.Unit()) {
				return fail("the answer's data unit has %d bytes", size)
			}
		}
		if r.closed {
			return warn("the connection was closed after a report that is encrypted by %v", method)
		}
		if !r.fenced {
			return fail("after a report that is encrypted by %v a heartbeat was not answered within %v", method, t.o.Timeout)
		}
		v := t.flag2025(t.refused(r, fmt.Sprintf("a report that is encrypted by %v and cannot be read", method)), r, codec.FlagDecryptError)
		if v.outcome != Pass {
			return v
		}
		if last.seen != "" && last.seen != v.seen {
			v.seen = last.seen + "; by " + method.String() + ": " + v.seen
		}
		last = v
	}
	return last
}
