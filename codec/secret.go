package codec

// Secret reports whether the frame carries secrets: a platform login or a key exchange, whatever its
// flag and edition, or a remote upgrade with a password. The bytes of such a frame are not to be
// published or logged, and its JSON only with [JSONOptions].Mask.
func Secret(f Frame) bool { return secretUnit(f.Command(), f.Unit()) }

// secretUnit is Secret for a data unit. Of an encrypted unit nobody knows; a control whose bytes
// happen to look like an upgrade is taken for one, since units sent plain under an encryption byte
// do occur.
func secretUnit(c Command, unit []byte) bool {
	switch c {
	case CommandPlatformLogin, CommandKeyExchange:
		return true
	case CommandControl:
		return new(Control).secret(unit)
	}
	return false
}

// secret is Secret for a message.
func (m *Message) secret() bool {
	if m.Command != CommandControl {
		return secretUnit(m.Command, nil)
	}
	unit, err := m.appendUnit(nil)
	return err != nil || secretUnit(m.Command, unit)
}
