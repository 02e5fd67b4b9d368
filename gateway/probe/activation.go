package probe

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// activationCases test what the 2025 edition has added.
func activationCases() []Case {
	return []Case{
		{Name: "activation.activate", Expect: "an activation (0x09) is answered by 0x0A, activated or not",
			Clause2025: "table B.2, B.3, B.4", play: activate},
		{Name: "activation.unknownVIN", Expect: "a vehicle that is not registered is not activated",
			Clause2025: "table B.4, A.2", play: activateUnknown},
		{Name: "activation.keyExchange", Expect: "a key exchange (0x0B) is answered, and the connection goes on",
			Clause2025: "table 31", play: keyExchange},
	}
}

// activation makes a signed activation: over the unit from its time to the VIN.
func (t *talk) activation(vin codec.VIN, s signer) codec.Frame {
	now := t.now()
	unsigned := frame(codec.NewActivation(vin, now, "PROBE00000000001", s.public(), codec.Signature2025{Algorithm: 2}))
	covered := unsigned.Unit()
	covered = covered[:len(covered)-5] // algorithm and two lengths
	return frame(codec.NewActivation(vin, now, "PROBE00000000001", s.public(), s.sign(t, covered)))
}

// activated sends an activation and returns the two bytes of its answer: 0x0A as a command, or 0x09
// answered with the pair, which some platforms send.
func (t *talk) activated(vin codec.VIN) (pair []byte, v verdict) {
	l := t.dial()
	req := t.activation(vin, t.signer())
	l.write(req)
	f, err := l.next(t.o.Timeout, codec.CommandActivationResponse)
	switch {
	case err != nil:
		return nil, fail("the activation was not answered: %v", err)
	case f.Command() != codec.CommandActivationResponse && f.Command() != codec.CommandActivation:
		return nil, fail("the activation was answered by another command: %x", []byte(f))
	case string(f.RawVIN()) != string(req.RawVIN()):
		return nil, fail("the answer is for another VIN: %x", []byte(f))
	case len(f.Unit()) != 2:
		return nil, fail("the answer's data unit has %d bytes, 2 are wanted: %x", len(f.Unit()), []byte(f))
	}
	pair = f.Unit()
	if pair[0] != 1 && pair[0] != 2 || pair[1] > 2 {
		return nil, fail("state %d and reason %d: the edition has states 1 and 2, reasons 0 to 2", pair[0], pair[1])
	}
	shape := "command 0x0A"
	if f.Command() == codec.CommandActivation {
		shape = "an answer to 0x09"
	}
	return pair, pass("%s: state %d, reason %d", shape, pair[0], pair[1])
}

func activate(t *talk) verdict {
	pair, v := t.activated(t.vin)
	if pair != nil && (pair[0] == 1) != (pair[1] == 0) {
		return fail("state %d and reason %d do not go together", pair[0], pair[1])
	}
	return v
}

func activateUnknown(t *talk) verdict {
	pair, v := t.activated(t.unknown)
	switch {
	case pair == nil && len(t.lines) > 0 && t.lines[0].closed:
		return pass("no answer, the connection was closed")
	case pair != nil && pair[0] == 1:
		return warn("%s was activated: the gateway takes anybody, or knows it (see --unknown-vin)", t.unknown)
	}
	return v
}

// keyExchange sends a key whose time is over: it is never used.
func keyExchange(t *talk) verdict {
	l := t.enter()
	past := time.Date(2020, 1, 1, 0, 0, 0, 0, codec.Beijing)
	req := frame(codec.NewKeyExchange(t.vin, codec.EncryptionAES, make([]byte, 16), past, past.Add(time.Hour)), nil)
	r := l.ask(req)
	switch {
	case r.closed:
		return warn("the connection was closed")
	case !r.fenced:
		return fail("after the key exchange a heartbeat was not answered within %v", t.o.Timeout)
	case r.frame == nil:
		return warn("no answer: the standard does not say that there is one, but how else would the vehicle know")
	}
	return pass("answered %v, %s", r.frame.Flag(), r.form)
}
