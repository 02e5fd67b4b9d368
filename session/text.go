package session

import (
	"bytes"
	"encoding/hex"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tboxgate/tboxgate/codec"
)

// timeLayout is RFC 3339 in UTC with milliseconds, the form of every time that the gateway writes
// about itself.
const timeLayout = "2006-01-02T15:04:05.000Z"

// appendTime appends t as a JSON string in timeLayout.
func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, timeLayout)
	return append(dst, '"')
}

// appendVIN appends "vin":"…" as strings stand in a frame's JSON: bytes that are not clean GB 18030
// text are given in "vinHex", and "vin" is there only when it can be printed.
func appendVIN(dst []byte, vin codec.VIN) []byte {
	raw := vin[:]
	for len(raw) > 0 && raw[len(raw)-1] == 0 {
		raw = raw[:len(raw)-1]
	}
	if plainASCII(raw) {
		dst = append(dst, `"vin":"`...)
		dst = append(dst, raw...)
		return append(dst, '"')
	}
	text, exact, printable := wireText(bytes.Clone(raw)) // a copy, so that the usual VIN stays on the stack
	if printable {
		dst = append(dst, `"vin":`...)
		dst = appendString(dst, text)
		if exact {
			return dst
		}
		dst = append(dst, ',')
	}
	dst = append(dst, `"vinHex":"`...)
	dst = hex.AppendEncode(dst, vin[:])
	return append(dst, '"')
}

// AppendWireString appends bytes of the wire, which are GB 18030, as a JSON string. What is not
// text becomes U+FFFD.
func AppendWireString(dst []byte, s string) []byte {
	if plainASCII(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	text, _, _ := wireText([]byte(s))
	return appendString(dst, text)
}

// wireText reads raw as GB 18030. exact reports whether text written in GB 18030 is raw again,
// printable whether it holds neither control characters nor bytes that are no text.
func wireText(raw []byte) (text string, exact, printable bool) {
	decoded, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw)
	if err != nil {
		return "", false, false
	}
	printable = len(decoded) > 0
	for _, c := range string(decoded) {
		if c == utf8.RuneError || unicode.IsControl(c) {
			printable = false
		}
	}
	again, err := simplifiedchinese.GB18030.NewEncoder().Bytes(decoded)
	return string(decoded), printable && err == nil && bytes.Equal(again, raw), printable
}

// plainASCII reports whether s can stand in a JSON string as it is.
func plainASCII[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < ' ' || c == 0x7F:
			dst = append(dst, `\u00`...)
			dst = append(dst, upperHex[c>>4], upperHex[c&15])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
