package fuzz

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// readText returns GB 18030 bytes as text. exact says that the text gives the same bytes again and
// has no control characters; printable, that it can at least be shown.
func readText(b []byte) (text string, printable, exact bool) {
	t, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	if err != nil {
		return "", false, false
	}
	text = string(t)
	if strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return text, false, false
	}
	back, err := simplifiedchinese.GB18030.NewEncoder().Bytes(t)
	exact = err == nil && bytes.Equal(back, b)
	return text, exact || !strings.ContainsRune(text, utf8.RuneError), exact
}

// fixedString puts a fixed-width string into o. Trailing 0x00 and spaces are not part of the text.
// When text and padding do not give the same bytes again all bytes stand beside it in hex.
func fixedString(o object, key string, b []byte, padding byte) {
	n := len(b)
	for n > 0 && (b[n-1] == 0 || b[n-1] == ' ') {
		n--
	}
	text, printable, exact := readText(b[:n])
	for _, p := range b[n:] {
		exact = exact && p == padding
	}
	if printable {
		o[key] = text
	}
	if !exact {
		o[key+"Hex"] = hex.EncodeToString(b)
	}
}

// variableString is fixedString without any trimming.
func variableString(o object, key string, b []byte) {
	text, printable, exact := readText(b)
	if printable {
		o[key] = text
	}
	if !exact {
		o[key+"Hex"] = hex.EncodeToString(b)
	}
}

// arrayString is a fixed-width string as an entry of an array.
func arrayString(b []byte) any {
	o := object{}
	fixedString(o, "text", b, 0)
	if _, ok := o["textHex"]; ok {
		return object{"hex": o["textHex"]}
	}
	return o["text"]
}
