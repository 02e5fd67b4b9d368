package fuzz

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// readText returns GB 18030 bytes as text; ok says that the text gives the same bytes again and
// has no control characters.
func readText(b []byte) (text string, ok bool) {
	t, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	if err != nil {
		return "", false
	}
	back, err := simplifiedchinese.GB18030.NewEncoder().Bytes(t)
	if err != nil || !bytes.Equal(back, b) {
		return string(t), false
	}
	return string(t), strings.IndexFunc(string(t), unicode.IsControl) < 0
}

// fixedText reads a fixed-width string: trailing 0x00 and spaces are not part of it. ok says that
// text plus padding gives the same bytes again.
func fixedText(b []byte, padding byte) (text string, ok bool) {
	n := len(b)
	for n > 0 && (b[n-1] == 0 || b[n-1] == ' ') {
		n--
	}
	text, ok = readText(b[:n])
	for _, p := range b[n:] {
		ok = ok && p == padding
	}
	return text, ok
}

// fixedString puts a fixed-width string into o: the text, and all bytes in hex beside it when the
// text does not tell them. The text beside a hex form is a convenience and left out here.
func fixedString(o object, key string, b []byte, padding byte) {
	if text, ok := fixedText(b, padding); ok {
		o[key] = text
		return
	}
	o[key+"Hex"] = hex.EncodeToString(b)
}

// variableString is fixedString without any trimming.
func variableString(o object, key string, b []byte) {
	if text, ok := readText(b); ok {
		o[key] = text
		return
	}
	o[key+"Hex"] = hex.EncodeToString(b)
}

// arrayString is a fixed-width string as an entry of an array.
func arrayString(b []byte) any {
	if text, ok := fixedText(b, 0); ok {
		return text
	}
	return object{"hex": hex.EncodeToString(b)}
}
