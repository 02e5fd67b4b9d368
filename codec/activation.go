package codec

// ActivationSignature is the signature at the end of an activation (2025 table B.3): that of table
// 8, before which one real terminal puts the 0xFF that starts it among the info items.
type ActivationSignature struct {
	Marker bool // 0xFF stands before the algorithm
	Signature2025
}

// signatureMarker is unambiguous: no algorithm has the number 255.
const signatureMarker = 0xFF

func (s *ActivationSignature) decode(b []byte, d *decoding) (n int) {
	skip := 0
	s.Marker = len(b) > 0 && b[0] == signatureMarker
	if s.Marker {
		skip = 1
	}
	if n = s.Signature2025.decode(b[skip:], d); n < 0 {
		return n
	}
	return skip + n
}

func (s *ActivationSignature) appendTo(dst []byte, key string) ([]byte, error) {
	if s.Marker {
		dst = append(dst, signatureMarker)
	} else if s.Algorithm == signatureMarker {
		return dst, &FieldError{Path: key + ".algorithm", Reason: "255 would be read as the marker"}
	}
	return s.appendBody(dst)
}

func (s *ActivationSignature) appendJSON(b []byte, w *jsonWriter, key string) []byte {
	b = appendKey(b, key)
	n := len(b)
	w.in(key, -1)
	if s.Marker {
		b = append(b, `,"marker":255`...)
	}
	b = s.appendFields(b, w)
	w.out()
	b[n] = '{' // in place of the comma before the first key
	return append(b, '}')
}

func (s *ActivationSignature) keys() []string { return []string{"signature"} }

func (s *ActivationSignature) parse(o *object, key string) {
	sub := o.object(key)
	if sub.has("marker") {
		s.Marker = true
		if sub.raw("marker", 8) != signatureMarker {
			sub.fail("marker", sub.n.offset, "only 255 is possible")
		}
	}
	s.parseJSON(sub)
	sub.done()
}

func (s *ActivationSignature) clone() ActivationSignature {
	return ActivationSignature{Marker: s.Marker, Signature2025: *s.copy()}
}
