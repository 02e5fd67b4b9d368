package codec

import (
	"bytes"
	"slices"
)

// UpgradeForm is the way the arguments of a remote upgrade are written. The standard contradicts
// itself on their order (2016 table B.15 against B.16, 2025 table B.11 against B.12) and says nothing
// of how numbers stand between the semicolons, so three forms are in use.
type UpgradeForm uint8

// The forms, in the order in which they are tried.
const (
	UpgradeBinary       UpgradeForm = iota // order of table B.16, address, port and time limit binary
	UpgradeText                            // order of table B.16, all text
	UpgradeTextURLFirst                    // order of table B.15, all text
)

const upgradeForms = 3

// String returns the JSON name of the form.
func (f UpgradeForm) String() string {
	switch f {
	case UpgradeText:
		return "text"
	case UpgradeTextURLFirst:
		return "textUrlFirst"
	}
	return "binary"
}

// Upgrade holds the arguments of a remote upgrade (2016 tables B.15 and B.16, 2025 tables B.11 and
// B.12), joined by semicolons on the wire. Texts are in GB 18030; one without value is empty. No
// text but the URL of the binary form may hold a semicolon.
type Upgrade struct {
	Form            UpgradeForm
	APN             []byte // name of the dial-up point
	Username        []byte // dial-up user
	Password        []byte // dial-up password, a secret
	Address         []byte // of the server; UpgradeBinary: six bytes, an IPv4 address in the last four
	Port            uint16
	Manufacturer    []byte // id of the terminal's maker, four capitals or digits
	HardwareVersion []byte // five characters
	FirmwareVersion []byte // five characters
	URL             []byte
	TimeLimit       uint16 // minutes to reach the server, 0..60000
}

const (
	separator      = ';'
	addressSize    = 6
	upgradeFields  = 10
	longestPort    = 65531
	longestMinutes = 60000
)

// decode reads the arguments in the first form that gives the same bytes again.
func (u *Upgrade) decode(b []byte) bool {
	var again []byte
	for form := UpgradeForm(0); form < upgradeForms; form++ {
		*u = Upgrade{Form: form}
		if form == UpgradeBinary && !u.readBinary(b) || form != UpgradeBinary && !u.readText(b) {
			continue
		}
		var err error
		if again, err = u.appendTo(again[:0]); err == nil && bytes.Equal(again, b) {
			return true
		}
	}
	*u = Upgrade{}
	return false
}

// readBinary reads the binary form. The numbers may hold the separator, so they are taken by width.
func (u *Upgrade) readBinary(b []byte) bool {
	ok := true
	cut := func(to *[]byte) {
		i := bytes.IndexByte(b, separator)
		if i < 0 {
			ok = false
			return
		}
		*to, b = b[:i:i], b[i+1:]
	}
	take := func(n int) []byte {
		if len(b) < n+1 || b[n] != separator {
			ok = false
			return make([]byte, n)
		}
		field := b[:n:n]
		b = b[n+1:]
		return field
	}
	cut(&u.APN)
	cut(&u.Username)
	cut(&u.Password)
	u.Address = take(addressSize)
	u.Port = be16(take(2))
	cut(&u.Manufacturer)
	cut(&u.HardwareVersion)
	cut(&u.FirmwareVersion)
	n := len(b) - 3
	if !ok || n < 0 || b[n] != separator {
		return false
	}
	u.URL, u.TimeLimit = b[:n:n], be16(b[n+1:])
	return true
}

// readText reads one of the text forms.
func (u *Upgrade) readText(b []byte) bool {
	var fields [upgradeFields][]byte
	for i := range fields {
		end := bytes.IndexByte(b, separator)
		if last := i == upgradeFields-1; last != (end < 0) {
			return false
		}
		if end < 0 {
			end = len(b)
		}
		fields[i] = b[:end:end]
		b = b[min(end+1, len(b)):]
	}
	for i, to := range u.texts() {
		switch to := to.(type) {
		case *[]byte:
			*to = fields[i]
		case *uint16:
			n, ok := parseDecimal16(fields[i])
			if !ok {
				return false
			}
			*to = n
		}
	}
	return true
}

// texts returns the fields in the order of a text form.
func (u *Upgrade) texts() [upgradeFields]any {
	if u.Form == UpgradeTextURLFirst {
		return [...]any{&u.URL, &u.APN, &u.Username, &u.Password, &u.Address, &u.Port,
			&u.Manufacturer, &u.HardwareVersion, &u.FirmwareVersion, &u.TimeLimit}
	}
	return [...]any{&u.APN, &u.Username, &u.Password, &u.Address, &u.Port,
		&u.Manufacturer, &u.HardwareVersion, &u.FirmwareVersion, &u.URL, &u.TimeLimit}
}

// parseDecimal16 reads a decimal number without leading zeros.
func parseDecimal16(b []byte) (uint16, bool) {
	n := uint32(0)
	for _, c := range b {
		if c < '0' || c > '9' || len(b) > 5 {
			return 0, false
		}
		n = 10*n + uint32(c-'0')
	}
	return uint16(n), len(b) > 0 && n <= 0xFFFF
}

func (u *Upgrade) appendTo(dst []byte) ([]byte, error) {
	if u.Form == UpgradeBinary && len(u.Address) != addressSize {
		return dst, &FieldError{Path: "address", Reason: "the binary form wants six bytes"}
	}
	for i, from := range u.texts() {
		if i > 0 {
			dst = append(dst, separator)
		}
		switch from := from.(type) {
		case *[]byte:
			binary := u.Form == UpgradeBinary && (from == &u.URL || from == &u.Address)
			if !binary && bytes.IndexByte(*from, separator) >= 0 {
				return dst, &FieldError{Path: u.keyOf(from), Reason: "holds a semicolon, which separates the arguments"}
			}
			dst = append(dst, *from...)
		case *uint16:
			if u.Form == UpgradeBinary {
				dst = append(dst, byte(*from>>8), byte(*from))
			} else {
				dst = appendUint(dst, uint32(*from))
			}
		}
	}
	return dst, nil
}

// keyOf returns the JSON key of a text.
func (u *Upgrade) keyOf(field *[]byte) string {
	switch field {
	case &u.APN:
		return "apn"
	case &u.Username:
		return "username"
	case &u.Password:
		return "password"
	case &u.Address:
		return "address"
	case &u.Manufacturer:
		return "manufacturer"
	case &u.HardwareVersion:
		return "hardwareVersion"
	case &u.FirmwareVersion:
		return "firmwareVersion"
	}
	return "url"
}

func (u *Upgrade) appendKeys(b []byte, w *jsonWriter) []byte {
	b = append(b, `,"upgradeForm":"`...)
	b = append(append(b, u.Form.String()...), '"')
	b = w.text(b, "apn", u.APN)
	b = w.text(b, "username", u.Username)
	if !w.mask || len(u.Password) == 0 {
		b = w.text(b, "password", u.Password)
	}
	if u.Form == UpgradeBinary {
		b = appendAddress(append(b, `,"address":"`...), u.Address)
	} else {
		b = w.text(b, "address", u.Address)
	}
	if u.Port > longestPort {
		w.problem("port", CodeOutOfRange)
	}
	b = appendUint(append(b, `,"port":`...), uint32(u.Port))
	b = w.text(b, "manufacturer", u.Manufacturer)
	b = w.text(b, "hardwareVersion", u.HardwareVersion)
	b = w.text(b, "firmwareVersion", u.FirmwareVersion)
	b = w.text(b, "url", u.URL)
	if u.TimeLimit > longestMinutes {
		w.problem("timeLimit", CodeOutOfRange)
	}
	return appendUint(append(b, `,"timeLimit":`...), uint32(u.TimeLimit))
}

// appendAddress appends a binary address: a dotted quad when the first two bytes are 0, else all
// six in hex.
func appendAddress(b, address []byte) []byte {
	if len(address) != addressSize || address[0] != 0 || address[1] != 0 {
		return append(appendHex(b, address), '"')
	}
	for i, c := range address[2:] {
		if i > 0 {
			b = append(b, '.')
		}
		b = appendUint(b, uint32(c))
	}
	return append(b, '"')
}

func (u *Upgrade) parse(o *object) {
	form := o.str("upgradeForm")
	for u.Form.String() != form {
		if u.Form++; u.Form == upgradeForms {
			o.fail("upgradeForm", o.n.offset, "binary, text or textUrlFirst is wanted")
			return
		}
	}
	u.APN = o.text("apn")
	u.Username = o.text("username")
	u.Password = o.text("password")
	if u.Form == UpgradeBinary {
		u.Address = o.address("address")
	} else {
		u.Address = o.text("address")
	}
	u.Port = uint16(o.raw("port", 16))
	u.Manufacturer = o.text("manufacturer")
	u.HardwareVersion = o.text("hardwareVersion")
	u.FirmwareVersion = o.text("firmwareVersion")
	u.URL = o.text("url")
	u.TimeLimit = uint16(o.raw("timeLimit", 16))
}

// address reads a binary address in one of the forms of appendAddress.
func (o *object) address(key string) []byte {
	n := o.kind(key, '"', "a string")
	if n == nil {
		return nil
	}
	address := make([]byte, addressSize)
	if len(n.text) == 2*addressSize && !bytes.ContainsRune([]byte(n.text), '.') {
		return o.hex(key)
	}
	rest := []byte(n.text)
	for i := 2; i < addressSize; i++ {
		part, after, found := bytes.Cut(rest, []byte{'.'})
		v, ok := parseDecimal16(part)
		if !ok || v > 0xFF || found != (i < addressSize-1) {
			o.fail(key, n.offset, "a dotted quad or 12 hex digits are wanted")
			return address
		}
		address[i], rest = byte(v), after
	}
	return address
}

func (u *Upgrade) clone() Upgrade {
	c := *u
	for _, field := range c.texts() {
		if text, ok := field.(*[]byte); ok {
			*text = slices.Clone(*text)
		}
	}
	return c
}
