// Package topic names the topics of a broker by template: "gbt32960/{vin}/upstream/{command}". What a
// peer sends (a VIN may hold any byte) is escaped, so that no vehicle can choose another's topic, a
// wildcard or a name that the broker refuses.
package topic

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// Alphabet is what a kind of broker takes as the name of a topic, and so how values are escaped.
type Alphabet uint8

const (
	// MQTT topics are UTF-8 without + and #, which are wildcards, and without NUL; one that begins with $
	// belongs to the broker. A byte of a value outside A-Z a-z 0-9 _ - becomes = and two hex digits, an
	// empty value =, as in NATS subjects (session.Token).
	MQTT Alphabet = iota
	// Kafka topics have letters, digits, dots, _ and -, at most 249. A byte of a value outside
	// A-Z a-z 0-9 - becomes _ and two hex digits, an empty value _.
	Kafka
)

// maxKafka is the longest name of a Kafka topic.
const maxKafka = 249

// Fields of a template.
const (
	VIN     = "vin"     // the vehicle, or the platform for 0x05 and 0x06
	Command = "command" // the JSON name: realtime, 0xC1
	Edition = "edition" // 2016, 2025
	Kind    = "kind"    // of an event: online
)

// longestName is that of MQTT devices; a VIN has 17 bytes.
const longestName = 32

// longest is the length that a field's value has at most, escaped.
var longest = map[string]int{VIN: 3 * longestName, Command: 20, Edition: 4, Kind: 20}

// Record lists the fields that a template for records may name, Event those for events.
var (
	Record = []string{VIN, Command, Edition}
	Event  = []string{VIN, Kind}
)

// ErrTemplate is the kind of error that Parse returns.
var ErrTemplate = errors.New("topic: bad template")

// Template is the parsed form. The zero value names the empty topic.
type Template struct {
	alphabet Alphabet
	parts    []part // text and fields alternate
}

// part is literal text, or a field.
type part struct{ text, field string }

// Values fill a template in.
type Values struct {
	VIN     string // or the name of a device, in events
	Command codec.Command
	Edition codec.Edition
	Kind    string
}

// Parse reads a template. Every name that it can make is one that the broker takes. The error, which is
// ErrTemplate, says what is wrong.
func Parse(text string, a Alphabet, fields []string) (Template, error) {
	bad := func(format string, args ...any) (Template, error) {
		return Template{}, fmt.Errorf("%w %q: %s", ErrTemplate, text, fmt.Sprintf(format, args...))
	}
	if text == "" {
		return bad("empty")
	}
	t := Template{alphabet: a}
	length := 0
	for rest := text; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		literal := rest[:open]
		if problem := a.refuses(literal); problem != "" {
			return bad("%s", problem)
		}
		length += len(literal)
		if literal != "" {
			t.parts = append(t.parts, part{text: literal})
		}
		if rest = rest[open:]; rest == "" {
			break
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return bad("a { without its }")
		}
		field := rest[1:end]
		if !contains(fields, field) {
			return bad("{%s} is not known here; one of {%s}", field, strings.Join(fields, "}, {"))
		}
		t.parts = append(t.parts, part{field: field})
		length += longest[field]
		rest = rest[end+1:]
	}
	switch {
	case a == Kafka && length > maxKafka:
		return bad("the name may become %d characters long, Kafka takes %d", length, maxKafka)
	case a == Kafka && (text == "." || text == ".."):
		return bad("Kafka takes no such name")
	case a == MQTT && strings.HasPrefix(text, "$"):
		return bad("topics that begin with $ belong to the broker")
	}
	return t, nil
}

// refuses says what is wrong with the template's own text, "" when nothing.
func (a Alphabet) refuses(text string) string {
	if i := strings.IndexByte(text, '}'); i >= 0 {
		return "a } without its {"
	}
	if a == MQTT {
		if strings.ContainsAny(text, "+#\x00") || !utf8.ValidString(text) {
			return "an MQTT topic has neither + nor # nor NUL and is UTF-8"
		}
		return ""
	}
	for i := range len(text) {
		if c := text[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return "a Kafka topic has letters, digits, dots, _ and - only"
		}
	}
	return ""
}

// Static returns the name when it has no field.
func (t Template) Static() (name string, ok bool) {
	if len(t.parts) == 1 && t.parts[0].field == "" {
		return t.parts[0].text, true
	}
	return "", false
}

// Append appends the name for these values.
func (t Template) Append(dst []byte, v Values) []byte {
	for _, p := range t.parts {
		switch p.field {
		case VIN:
			dst = t.alphabet.escape(dst, v.VIN)
		case Command:
			dst = t.alphabet.escape(dst, v.Command.Name(v.Edition))
		case Edition:
			dst = strconv.AppendUint(dst, uint64(v.Edition), 10)
		case Kind:
			dst = t.alphabet.escape(dst, v.Kind)
		default:
			dst = append(dst, p.text...)
		}
	}
	return dst
}

func (a Alphabet) escape(dst []byte, value string) []byte {
	if a == MQTT {
		return session.AppendToken(dst, value)
	}
	if value == "" {
		return append(dst, '_')
	}
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		if c := value[i]; alphanumeric(c) || c == '-' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '_', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}
