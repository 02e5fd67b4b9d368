package probe

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"

	"github.com/tboxgate/tboxgate/codec"
)

// signatureCases test the signatures of the 2025 edition (table 8). What they cover is not quite decided by the text, and
// which algorithm's details count neither: RSA with SHA-256 as a real terminal does it, over the unit up to the mark 0xFF.
func signatureCases() []Case {
	return []Case{
		{Name: "signature.valid", Expect: "a report with a right signature is taken as any other",
			Clause2025: "tables 7 and 8", play: signatureValid},
		{Name: "signature.wrong", Expect: "a report whose signature is wrong: flag 0x05, or it is taken unverified",
			Clause2025: "tables 4 and 8", play: signatureWrong},
		{Name: "signature.truncated", Expect: "a signature that ends before its length: an error (0x05 or 0x06), or it is taken as it is",
			Clause2025: "tables 4 and 8", play: signatureOdd(func(b []byte) []byte { return b[:len(b)-7] })},
		{Name: "signature.empty", Expect: "a mark 0xFF with nothing behind it: an error (0x05 or 0x06), or it is taken as it is",
			Clause2025: "tables 4 and 8", play: signatureOdd(func(b []byte) []byte { return b[:1] })},
		{Name: "signature.unknownType", Expect: "a signature of a reserved type: an error (0x05 or 0x06), or it is taken as it is",
			Clause2025: "tables 4 and 8", play: signatureOdd(func(b []byte) []byte { b[1] = 0x09; return b })},
		{Name: "signature.tooLong", Expect: "a signature whose length is beyond the data unit: an error (0x05 or 0x06), or it is taken as it is",
			Clause2025: "tables 4 and 8", play: signatureOdd(func(b []byte) []byte { binary.BigEndian.PutUint16(b[2:], 0xFFF0); return b })},
	}
}

// signer holds a key pair of a terminal.
type signer struct{ key *rsa.PrivateKey }

func (t *talk) signer() signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.stop(fail("no RSA key: %v", err))
	}
	return signer{key}
}

// public is the key as a real terminal sends it: modulus and exponent.
func (s signer) public() []byte { return append(s.key.N.FillBytes(make([]byte, 256)), 1, 0, 1) }

// sign makes a signature over what it covers.
func (s signer) sign(t *talk, covered []byte) codec.Signature2025 {
	sum := sha256.Sum256(covered)
	r, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		t.stop(fail("no signature: %v", err))
	}
	return codec.Signature2025{Algorithm: 2, R: r}
}

// signed is a report with a signature; with the mark 0xFF covered by it, or not.
func (t *talk) signed(s signer, withMark bool) codec.Frame {
	at, items := t.now(), t.items()
	covered := frame(codec.NewRealtime(t.edition, t.vin, at, items...), nil).Unit()
	if withMark {
		covered = append(append([]byte(nil), covered...), 0xFF)
	}
	signature := s.sign(t, covered)
	return frame(codec.NewRealtime(t.edition, t.vin, at, append(items, &signature)...), nil)
}

// signatureValid activates the vehicle with a key first, so that a gateway that verifies can.
func signatureValid(t *talk) verdict {
	s := t.signer()
	a := t.dial()
	a.write(t.activation(t.vin, s))
	known := false
	if f, err := a.next(t.o.Timeout, codec.CommandActivationResponse); err == nil && len(f.Unit()) == 2 {
		known = f.Unit()[0] == 1
	}
	l := t.enter()
	r := l.ask(t.signed(s, false))
	if r.frame == nil || r.frame.Flag() != codec.FlagSignatureError {
		return t.reported(r, "taken")
	}
	if !known {
		return notRun("the gateway verifies signatures and has not taken the vehicle's key (0x09), or has another of it")
	}
	if again := l.ask(t.signed(s, true)); again.frame == nil || again.frame.Flag() == codec.FlagSuccess {
		return pass("taken when it covers the mark 0xFF too, which the text leaves open")
	}
	return fail("signed with the key of the activation and answered signatureError, whether it covers the mark 0xFF or not")
}

// signatureWrong sends a signature that nobody made.
func signatureWrong(t *talk) verdict {
	signature := &codec.Signature2025{Algorithm: 1, R: make([]byte, 32), S: make([]byte, 32)}
	return t.unsound(frame(codec.NewRealtime(t.edition, t.vin, t.now(), append(t.items(), signature)...), nil), codec.FlagSignatureError)
}

// signatureOdd sends a report whose signature is changed, from its mark 0xFF on.
func signatureOdd(change func([]byte) []byte) func(*talk) verdict {
	return func(t *talk) verdict {
		unit := t.realtime(t.vin).Unit()
		signature := append([]byte{0xFF, 1, 0, 32}, make([]byte, 32)...)
		signature = append(append(signature, 0, 32), make([]byte, 32)...)
		unit = append(append([]byte(nil), unit...), change(signature)...)
		return t.unsound(t.raw(codec.CommandRealtime, t.vin, codec.EncryptionNone, unit), codec.FlagSignatureError, codec.FlagStructureError)
	}
}

// unsound judges what becomes of a report with a signature that is none: the 2025 edition has flags for it.
func (t *talk) unsound(report codec.Frame, wanted ...codec.Flag) verdict {
	l := t.enter()
	r := l.ask(report)
	switch {
	case r.closed:
		return warn("the connection was closed")
	case !r.fenced:
		return fail("after the report a heartbeat was not answered within %v", t.o.Timeout)
	case r.frame == nil:
		return pass("no answer")
	case r.frame.Flag() == codec.FlagSuccess:
		return pass("taken: the signature is not verified, or there is no key to verify it with")
	}
	for _, flag := range wanted {
		if r.frame.Flag() == flag {
			return pass("answered %v", flag)
		}
	}
	return t.flag2025(pass("answered %v", r.frame.Flag()), r, wanted[0])
}
