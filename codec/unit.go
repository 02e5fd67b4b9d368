package codec

import "bytes"

// bodies holds one value of every type of data unit, so that Decode allocates none.
type bodies struct {
	login2016   VehicleLogin2016
	login2025   VehicleLogin2025
	realtime    Realtime
	logout      Logout
	platform    PlatformLogin
	query       ParamQuery
	params      Params
	control     Control
	activation  Activation
	response    ActivationResponse
	keyExchange KeyExchange
	time        TimeOnly
}

// of returns the body that the command's data unit has in edition e, nil when it is unknown. The
// answer to a parameter query has another one.
func (s *bodies) of(e Edition, c Command) Body {
	switch c {
	case CommandRealtime, CommandReissue:
		return &s.realtime
	case CommandVehicleLogin:
		if e == Edition2025 {
			return &s.login2025
		}
		return &s.login2016
	case CommandVehicleLogout, CommandPlatformLogout:
		return &s.logout
	case CommandPlatformLogin:
		return &s.platform
	case CommandHeartbeat, CommandTimeSync:
		return &s.time
	case CommandParamQuery:
		return &s.query
	case CommandParamSet:
		return &s.params
	case CommandControl:
		return &s.control
	}
	if e != Edition2025 {
		return nil
	}
	switch c {
	case CommandActivation:
		return &s.activation
	case CommandActivationResponse:
		return &s.response
	case CommandKeyExchange:
		return &s.keyExchange
	}
	return nil
}

// decodeUnit reads the data unit under the header of m.
func (m *Message) decodeUnit(unit []byte) {
	body := m.bodies.of(m.Edition, m.Command)
	switch {
	case !m.Encryption.Plain():
		m.keep(unit, fault{code: CodeEncrypted, key: "encryption"})
	case body == nil:
		m.keep(unit, fault{code: CodeUnknownCommand, key: "command"})
	case m.Command == CommandHeartbeat || m.Command == CommandTimeSync:
		// Empty by the standard; six bytes, in use on both sides, are a time.
		switch len(unit) {
		case 0:
			m.keep(nil, fault{})
		case TimeSize:
			m.decodeAs(body, unit)
		default:
			m.keep(unit, fault{code: CodeTrailing, key: "rest"})
		}
	case m.Flag != FlagCommand:
		m.decodeAnswer(body, unit)
	case m.Command == CommandParamQuery:
		// Some terminals answer with the flag of a command.
		if m.decodeAs(body, unit) || m.decodeAs(&m.bodies.params, unit) {
			break
		}
		m.decodeAs(body, unit)
	default:
		m.decodeAs(body, unit)
	}
	m.ensureCanonical(unit)
}

// decodeAnswer reads the unit of an answer: six bytes are the time (2016 §6.3.2), others the
// request's layout when it fits exactly (B.3.3.2).
func (m *Message) decodeAnswer(body Body, unit []byte) {
	switch {
	case len(unit) == 0:
		m.keep(nil, fault{})
		return
	case len(unit) == TimeSize:
		m.decodeAs(&m.bodies.time, unit)
		return
	case m.Command == CommandParamQuery && m.decodeAs(&m.bodies.params, unit):
		return
	case m.decodeAs(body, unit):
		return
	}
	m.decodeAs(&m.bodies.time, unit)
}

// keep leaves the unit undecoded.
func (m *Message) keep(unit []byte, why fault) {
	m.Body, m.Missing, m.Rest, m.pass.fault = nil, 0, unit, why
}

// decodeAs reads the unit by the layout of body and reports whether it fits exactly. A count that
// holds a mark is followed by no entries; when the unit then does not end where it should, once
// more with one placeholder entry for each mark, as one real fleet sends.
func (m *Message) decodeAs(body Body, unit []byte) (exact bool) {
	if m.decodeOnce(body, unit, 0) || !m.pass.marked {
		return m.pass.fault.code == ""
	}
	return m.decodeOnce(body, unit, 1) || m.decodeOnce(body, unit, 0)
}

// decodeOnce is one pass of decodeAs, with the entries to read behind a count that holds a mark.
func (m *Message) decodeOnce(body Body, unit []byte, entries int) (exact bool) {
	m.pass = decoding{edition: m.Edition, entries: entries}
	n, keys := body.decode(unit, &m.pass)
	m.Body, m.Missing, m.Rest = body, body.keyCount()-keys, unit[n:]
	switch why := &m.pass.fault; {
	case why.code != "":
	case m.Missing > 0:
		*why = fault{code: CodeTruncated, key: body.keyAt(keys)}
	case len(m.Rest) > 0:
		*why = fault{code: CodeTrailing, key: "rest"}
	}
	if keys == 0 {
		m.Body, m.Missing = nil, 0
	}
	return m.pass.fault.code == ""
}

// ensureCanonical is the safety net under the decoder: a unit that the decoded form does not give
// again, byte for byte, is kept whole. Of a report that is read to its end without count marks
// nothing is left to the net: its items are read and written by generated pairs, which keep every
// byte (TestItemsKeepEveryByte).
func (m *Message) ensureCanonical(unit []byte) {
	if m.Body == nil {
		return
	}
	if _, report := m.Body.(*Realtime); report && m.pass.fault.code == "" && !m.pass.marked {
		return
	}
	again, err := m.appendUnit(m.json.scratch)
	if err != nil || !bytes.Equal(again, unit) {
		m.keep(unit, fault{code: CodeNotCanonical, key: "rest"})
	}
	m.json.scratch = keep(again)
}

// CheckUnit reports what is wrong with a data unit that is to be sent under edition e, command c and
// flag: everything that [Message.Problems] would say about the frame. nil means that it is regular.
func CheckUnit(e Edition, c Command, flag Flag, unit []byte) []Problem {
	m := Message{Header: Header{Edition: e, Command: c, Flag: flag, Encryption: EncryptionNone}}
	m.decodeUnit(unit)
	return m.Problems()
}
