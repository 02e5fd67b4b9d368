package codec

// JSONOptions says how [Message.AppendJSON] writes. The zero value shows everything.
type JSONOptions struct {
	// Mask leaves out what must not be published: passwords and keys, and the undecoded bytes of
	// frames that carry them. Such an object has "masked":true and cannot be encoded again.
	Mask bool

	// MaxSize, when above 0, is the largest object wanted, in bytes. A larger one is replaced by an
	// object with the whole data unit in rest and the problem tooLarge.
	MaxSize int
}

// AppendJSON appends the message as one JSON object. EncodeJSON is the inverse.
func (m *Message) AppendJSON(dst []byte, o JSONOptions) []byte { return append(dst, `{"v":1}`...) }

// EncodeJSON appends the frame that a JSON object describes, the inverse of [Message.AppendJSON].
// The error is a *JSONError; dst is then returned as it was.
func EncodeJSON(dst []byte, json []byte) ([]byte, error) {
	return dst, &JSONError{Reason: "not a frame"}
}

// JSONError is the error of [EncodeJSON].
type JSONError struct {
	Path   string // the JSON path of the key, "" for the object itself
	Offset int    // where in the input, in bytes
	Reason string // what is wrong and what is possible
}

func (e *JSONError) Error() string {
	if e.Path == "" {
		return "codec: json: " + e.Reason
	}
	return "codec: json: " + e.Path + ": " + e.Reason
}

// Secret reports whether the frame carries secrets: a platform login or a key exchange, whatever its
// flag and edition, or a remote upgrade with a password. The bytes of such a frame are not to be
// published or logged; its JSON only with [JSONOptions].Mask.
func Secret(f Frame) bool {
	switch f.Command() {
	case CommandPlatformLogin, CommandKeyExchange:
		return true
	}
	return false
}
