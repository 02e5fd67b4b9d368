package codec

import "strconv"

// JSONVersion is the version of the JSON form, its key "v".
const JSONVersion = 1

// JSONOptions says how [Message.AppendJSON] writes. The zero value shows everything.
type JSONOptions struct {
	// Mask leaves out what must not be published: passwords and keys, and the undecoded bytes of
	// frames that carry them. Such an object has "masked":true and cannot be encoded again.
	Mask bool

	// MaxSize, when above 0, is the largest object wanted, in bytes. A larger one is replaced by an
	// object with the whole data unit in rest and the problem tooLarge.
	MaxSize int
}

// AppendJSON appends the message as one JSON object: one line, keys in wire order. [EncodeJSON] is
// the inverse.
//
// Measurements are physical, printed exactly with the decimals of their resolution; one that holds
// its abnormal or invalid mark is null and named in the list abnormal or invalid of its info item.
// Enumerations, bits, levels, codes and serials are raw integers. What is odd is named in problems.
func (m *Message) AppendJSON(dst []byte, o JSONOptions) []byte {
	start := len(dst)
	dst = m.appendJSON(dst, o)
	if o.MaxSize <= 0 || len(dst)-start <= o.MaxSize {
		return dst
	}
	unit, err := m.appendUnit(nil)
	if err != nil {
		return dst
	}
	whole := Message{Header: m.Header, json: m.json}
	whole.keep(unit, fault{code: CodeTooLarge, key: "rest"})
	dst = whole.appendJSON(dst[:start], o)
	m.json = whole.json // the buffers
	return dst
}

// appendJSON appends the object and leaves the problems in m.json.
func (m *Message) appendJSON(b []byte, o JSONOptions) []byte {
	w := &m.json
	w.reset(m.Edition)
	w.set = m.Command == CommandParamSet && m.Flag == FlagCommand
	w.mask = o.Mask && m.secret()
	b = append(b, `{"v":1,"edition":`...)
	b = appendUint(b, uint32(m.Edition))
	b = append(b, `,"command":"`...)
	b = append(b, m.Command.Name(m.Edition)...)
	b = append(b, `","flag":"`...)
	b = append(b, m.Flag.String()...)
	b = append(b, '"')
	b = w.field(b, "vin", m.VIN[:], 0)
	b = append(b, `,"encryption":"`...)
	b = append(b, m.Encryption.String()...)
	b = append(b, '"')
	if m.Body != nil {
		b = m.Body.appendKeys(b, w, m.Body.keyCount()-m.Missing)
	}
	if len(m.Rest) > 0 && !w.mask {
		b = append(b, `,"rest":"`...)
		b = append(appendHex(b, m.Rest), '"')
	}
	if w.mask {
		b = append(b, `,"masked":true`...)
	}
	if m.pass.fault.code != "" {
		w.at(m.pass.fault.list, m.pass.fault.index)
		w.problem(m.pass.fault.key, m.pass.fault.code)
	}
	if len(w.found) > 0 {
		b = w.appendProblems(b)
	}
	return append(b, '}')
}

// appendProblems appends the list of problems.
func (w *jsonWriter) appendProblems(b []byte) []byte {
	b = append(b, `,"problems":[`...)
	start := 0
	for i, f := range w.found {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"path":"`...)
		b = append(b, w.paths[start:f.end]...)
		b = append(b, `","code":"`...)
		b = append(append(b, f.code...), `"}`...)
		start = f.end
	}
	if w.more > 0 {
		b = append(b, `,{"code":"more","count":`...)
		b = append(strconv.AppendInt(b, int64(w.more), 10), '}')
	}
	return append(b, ']')
}

// gatewayKeys are what the gateway adds to the object of a frame when it publishes it.
func gatewayKey(key string) bool {
	switch key {
	case "receivedAt", "node", "session", "remote", "platform", "duplicate", "raw":
		return true
	}
	return false
}

// EncodeJSON appends the frame that a JSON object describes, the inverse of [Message.AppendJSON].
// It takes the keys in any order, and every number that lies exactly on its field's grid. Keys that
// start with "_", problems and the keys that the gateway adds are ignored; any other unknown key is
// an error, and so are a key after an absent one of the same data unit and a masked object. Absent
// flag and encryption are "command" and "none". The error is a *JSONError; dst is then returned as
// it was.
func EncodeJSON(dst []byte, json []byte) ([]byte, error) {
	var m Message
	if err := m.ParseJSON(json); err != nil {
		return dst, err
	}
	b, err := m.Append(dst)
	if err != nil {
		return dst, jsonErrorOf(err)
	}
	return b, nil
}

// ParseJSON fills m from a JSON object, as [EncodeJSON] does. The message shares no memory with the
// input. The error is a *JSONError; m is then in an unknown state.
func (m *Message) ParseJSON(json []byte) error {
	*m = Message{}
	n, err := parseTree(json)
	if err != nil {
		return err
	}
	if n.kind != '{' {
		return &JSONError{Offset: n.offset, Reason: "an object is wanted"}
	}
	r := &jsonReader{}
	o := &object{r: r, n: &n}
	m.parseHeader(o)
	if r.err == nil {
		m.parseUnit(o)
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

// parseHeader reads the keys of the frame's header.
func (m *Message) parseHeader(o *object) {
	if v := o.may("v"); v != nil && o.grid("v", -1, v, 32, scale{step: 1}) != JSONVersion {
		o.fail("v", v.offset, "only version "+strconv.Itoa(JSONVersion)+" is known")
	}
	if masked := o.may("masked"); masked != nil {
		o.fail("masked", masked.offset, "secrets were left out of this object, it cannot be encoded")
	}
	switch e := Edition(o.raw("edition", 16)); e {
	case Edition2016, Edition2025:
		m.Edition, o.r.edition = e, e
	default:
		o.fail("edition", o.n.offset, "2016 or 2025 is wanted")
	}
	var err error
	if s := o.str("command"); o.r.err == nil {
		if m.Command, err = ParseCommand(s, m.Edition); err != nil {
			o.fail("command", o.n.offset, err.Error())
		}
	}
	m.Flag, m.Encryption = FlagCommand, EncryptionNone
	if o.has("flag") {
		if m.Flag, err = ParseFlag(o.str("flag")); err != nil {
			o.fail("flag", o.n.offset, err.Error())
		}
	}
	if o.has("encryption") {
		if m.Encryption, err = ParseEncryption(o.str("encryption")); err != nil {
			o.fail("encryption", o.n.offset, err.Error())
		}
	}
	o.field("vin", m.VIN[:], 0)
}

// parseUnit reads the keys of the data unit.
func (m *Message) parseUnit(o *object) {
	if m.Body = m.bodyFor(o); m.Body != nil {
		o.fields = m.Body
		keys := m.Body.parseKeys(o)
		m.Missing = m.Body.keyCount() - keys
		if keys == 0 {
			m.Body, m.Missing = nil, 0
		}
	}
	if o.has("rest") {
		m.Rest = o.hex("rest")
	}
	for i := range o.n.members {
		if k := &o.n.members[i]; k.key == "problems" || gatewayKey(k.key) {
			k.used = true
		}
	}
	o.done()
}

// bodyFor returns the body that the keys of the object fill, nil when there is only a rest.
func (m *Message) bodyFor(o *object) Body {
	body := (&bodies{}).of(m.Edition, m.Command)
	switch {
	case body == nil || !m.Encryption.Plain():
		return nil
	case m.Command == CommandParamQuery && o.has("params", "paramsCount"):
		return &Params{}
	case m.Flag != FlagCommand && body.keyAt(0) != "time" && o.has("time", "timeHex"):
		return &TimeOnly{}
	}
	return body
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

// jsonErrorOf returns an error of Append as one of EncodeJSON.
func jsonErrorOf(err error) *JSONError {
	switch err := err.(type) { //nolint:errorlint // only ever our own, not wrapped
	case *FieldError:
		return &JSONError{Path: err.Path, Reason: err.Reason}
	case *FrameError:
		return &JSONError{Reason: "the data unit has " + strconv.Itoa(err.Have) + " bytes, at most " + strconv.Itoa(err.Want) + " are possible"}
	}
	return &JSONError{Reason: err.Error()}
}
