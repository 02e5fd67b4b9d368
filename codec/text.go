package codec

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Texts on the wire are ASCII, with GB 18030 for Chinese characters (2016 table 1). In a field of
// fixed width they are padded on the right with 0x00, the chip id with spaces.

// ErrText is the kind of error for a text that does not fit its field or has no GB 18030 form.
var ErrText = errors.New("codec: bad text")

// Text returns the text of a fixed-width field: its bytes without trailing 0x00 and spaces, read as
// GB 18030. Bytes that are no text become U+FFFD.
func Text(field []byte) string {
	field = trimPadding(field)
	if isPlain(field) {
		return string(field)
	}
	return decodeGB18030(field)
}

// PutText writes s in GB 18030 into a fixed-width field and fills the rest with 0x00. The error is
// ErrText.
func PutText(field []byte, s string) error { return putPadded(field, s, 0) }

// putPadded is PutText with the padding byte given.
func putPadded(field []byte, s string, pad byte) error {
	raw, err := encodeGB18030(s)
	if err != nil {
		return err
	}
	if len(raw) > len(field) {
		return textError(strconv.Quote(s) + " has " + strconv.Itoa(len(raw)) + " bytes, at most " + strconv.Itoa(len(field)) + " fit")
	}
	for i := copy(field, raw); i < len(field); i++ {
		field[i] = pad
	}
	return nil
}

// reasonError carries the reason of an error whose path the caller knows.
type reasonError struct{ reason string }

func (e *reasonError) Error() string { return "codec: bad text: " + e.reason }
func (e *reasonError) Unwrap() error { return ErrText }

func textError(reason string) error { return &reasonError{reason} }

// trimPadding returns field without trailing 0x00 and spaces.
func trimPadding(field []byte) []byte {
	n := len(field)
	for n > 0 && (field[n-1] == 0 || field[n-1] == ' ') {
		n--
	}
	return field[:n]
}

// isPlain reports whether b is printable ASCII, which is itself in every encoding used here.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// decodeGB18030 reads b as GB 18030; bytes that are none become U+FFFD.
func decodeGB18030(b []byte) string {
	// A byte becomes three at most, so the decoder never runs out of space.
	buf := make([]byte, 3*len(b)+utf8.UTFMax)
	n, _, err := simplifiedchinese.GB18030.NewDecoder().Transform(buf, b, true)
	if err != nil {
		return strings.Repeat(string(utf8.RuneError), len(b))
	}
	return string(buf[:n])
}

// encodeGB18030 writes s in GB 18030.
func encodeGB18030(s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, textError(strconv.Quote(s) + " is not UTF-8")
	}
	if isPlain([]byte(s)) {
		return []byte(s), nil
	}
	b, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s))
	if err != nil {
		return nil, textError(strconv.Quote(s) + " has no GB 18030 form")
	}
	return b, nil
}

// textForm says how the bytes of a field are shown: the text, whether it may be shown at all, and
// whether it alone gives the same bytes again. raw is without its padding.
func textForm(raw []byte) (text string, printable, exact bool) {
	text = decodeGB18030(raw)
	back, err := encodeGB18030(text)
	exact = err == nil && bytes.Equal(back, raw)
	printable = exact || !strings.ContainsRune(text, utf8.RuneError)
	if strings.ContainsFunc(text, unicode.IsControl) {
		return text, false, false
	}
	return text, printable, exact
}

// appendQuoted appends s as a JSON string.
func appendQuoted[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// isPadding reports whether tail, the bytes behind a text, is the padding as it should be.
func isPadding(tail []byte, pad byte) bool {
	for _, c := range tail {
		if c != pad {
			return false
		}
	}
	return true
}

// field appends `,"key":"text"` for a fixed-width field padded with pad, and `,"keyHex":"…"` beside
// it when the text does not give the same bytes again.
func (w *jsonWriter) field(b []byte, key string, field []byte, pad byte) []byte {
	raw := trimPadding(field)
	padded := isPadding(field[len(raw):], pad)
	if padded && isPlain(raw) {
		return appendQuoted(appendKey(b, key), raw)
	}
	text, printable, exact := textForm(raw)
	if printable {
		b = appendQuoted(appendKey(b, key), text)
	}
	if !exact || !padded {
		w.problem(key, CodePadding)
		b = appendHexKey(b, key, field)
	}
	return b
}

// text appends `,"key":"text"` for a text of variable width, and `,"keyHex":"…"` where due.
func (w *jsonWriter) text(b []byte, key string, raw []byte) []byte {
	if isPlain(raw) {
		return appendQuoted(appendKey(b, key), raw)
	}
	text, printable, exact := textForm(raw)
	if printable {
		b = appendQuoted(appendKey(b, key), text)
	}
	if !exact {
		b = appendHexKey(b, key, raw)
	}
	return b
}

// entry appends the fixed-width text of an array: "text", or {"hex":"…"} when the text does not
// give the same bytes again.
func (w *jsonWriter) entry(b []byte, field []byte) []byte {
	raw := trimPadding(field)
	padded := isPadding(field[len(raw):], 0)
	if padded && isPlain(raw) {
		return appendQuoted(b, raw)
	}
	if text, _, exact := textForm(raw); padded && exact {
		return appendQuoted(b, text)
	}
	b = append(b, `{"hex":"`...)
	b = appendHex(b, field)
	return append(b, `"}`...)
}

// appendKey appends `,"key":`.
func appendKey(b []byte, key string) []byte {
	b = append(b, `,"`...)
	b = append(b, key...)
	return append(b, `":`...)
}

// appendHexKey appends `,"keyHex":"…"`.
func appendHexKey(b []byte, key string, data []byte) []byte {
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `Hex":"`...)
	b = appendHex(b, data)
	return append(b, '"')
}
