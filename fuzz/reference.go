package fuzz

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// object is a JSON object as encoding/json decodes it with UseNumber.
type object = map[string]any

// Reference decodes a frame whose length and check byte are right into the JSON object that
// describes it, without "problems" and without keys that start with "_". Numbers are json.Number.
// It knows no shortcut: one field after the other, as the tables of the standard list them.
//
// outOfRange holds the paths of the measurements that are outside their table's range.
func Reference(frame []byte) (o map[string]any, outOfRange []string) {
	r := &reference{frame: frame, edition: 2016}
	if frame[0] == '$' {
		r.edition = 2025
	}
	r.unit = frame[24 : len(frame)-1]
	r.command, r.flag, r.encryption = frame[2], frame[3], frame[21]
	r.out = object{
		"v":          json.Number("1"),
		"edition":    whole(uint64(r.edition)),
		"command":    r.commandName(),
		"flag":       named(r.flag, flagNames),
		"encryption": named(r.encryption, encryptionNames),
	}
	fixedString(r.out, "vin", frame[4:21], 0)
	if r.encryption > 1 {
		r.rest(0)
	} else {
		r.dataUnit()
	}
	return r.out, r.outOfRange
}

// reference is the work on one frame.
type reference struct {
	frame, unit               []byte
	edition                   int
	command, flag, encryption byte
	out                       object
	outOfRange                []string
}

var (
	flagNames = map[byte]string{1: "success", 2: "error", 3: "vinDuplicate", 4: "vinUnknown", 5: "signatureError",
		6: "structureError", 7: "decryptError", 0xFE: "command"}
	encryptionNames = map[byte]string{1: "none", 2: "rsa", 3: "aes", 4: "sm2", 5: "sm4", 0xFE: "abnormal", 0xFF: "invalid"}
	commandNames    = map[byte]string{1: "vehicleLogin", 2: "realtime", 3: "reissue", 4: "vehicleLogout", 5: "platformLogin",
		6: "platformLogout", 7: "heartbeat", 8: "timeSync", 0x80: "paramQuery", 0x81: "paramSet", 0x82: "control"}
	commandNames2025 = map[byte]string{9: "activation", 10: "activationResponse", 11: "keyExchange"}
)

func named(b byte, names map[byte]string) string {
	if s, ok := names[b]; ok {
		return s
	}
	return fmt.Sprintf("0x%02X", b)
}

func (r *reference) commandName() string {
	if s, ok := commandNames2025[r.command]; ok && r.edition == 2025 {
		return s
	}
	return named(r.command, commandNames)
}

// whole is a raw integer.
func whole(v uint64) json.Number { return json.Number(fmt.Sprint(v)) }

// rest puts everything from offset on into "rest", unless that is nothing.
func (r *reference) rest(from int) {
	if from < len(r.unit) {
		r.out["rest"] = hex.EncodeToString(r.unit[from:])
	}
}

// layout reads a data unit, or the part of it behind the time, and returns how far it got. It
// puts what it read into o.
type layout func(c *cursor, o object) (end int)

// dataUnit reads the unit by its command and flag ("Data units" of uplink-json.md).
func (r *reference) dataUnit() {
	isAnswer := r.flag != 0xFE
	if isAnswer && len(r.unit) == 6 && r.commandName()[0] != '0' {
		wireTime(r.out, "time", r.unit)
		return
	}
	switch r.commandName() {
	case "heartbeat", "timeSync":
		if len(r.unit) == 6 {
			wireTime(r.out, "time", r.unit)
			return
		}
		r.rest(0)
	case "vehicleLogin":
		if r.edition == 2016 {
			r.timed(login2016)
		} else {
			r.timed(login2025)
		}
	case "vehicleLogout", "platformLogout":
		r.timed(logout)
	case "platformLogin":
		r.timed(platformLogin)
	case "realtime", "reissue":
		r.timed(r.info)
	case "activation":
		r.timed(activation)
	case "paramQuery":
		if isAnswer {
			r.firstThatFits([]layout{r.params, ids}, nil)
		} else {
			r.firstThatFits([]layout{ids, r.params}, ids)
		}
	case "paramSet":
		r.timed(r.params)
	case "control":
		r.timed(control)
	case "activationResponse":
		r.plain(activationResponse)
	case "keyExchange":
		r.plain(keyExchange)
	default:
		r.rest(0)
	}
}

// timed reads a unit that begins with a time. An answer must fit exactly, else only its time is
// read.
func (r *reference) timed(l layout) {
	if r.flag != 0xFE {
		r.firstThatFits([]layout{l}, nil)
		return
	}
	r.firstThatFits(nil, l)
}

// firstThatFits reads the time and then the first of the exact layouts that ends with the unit. If
// there is none it reads as far as the fallback goes.
func (r *reference) firstThatFits(exact []layout, fallback layout) {
	if len(r.unit) < 6 {
		r.rest(0)
		return
	}
	wireTime(r.out, "time", r.unit[:6])
	for _, l := range exact {
		if o, out, end, fits := r.attempt(l, 6); fits {
			r.accept(o, out, end)
			return
		}
	}
	if fallback == nil {
		r.rest(6)
		return
	}
	o, out, end, _ := r.attempt(fallback, 6)
	r.accept(o, out, end)
}

// plain reads a unit without a leading time.
func (r *reference) plain(l layout) {
	o, out, end, fits := r.attempt(l, 0)
	if r.flag != 0xFE && !fits {
		// An answer that is neither six bytes nor the request's layout.
		if len(r.unit) >= 6 {
			wireTime(r.out, "time", r.unit[:6])
			r.rest(6)
		} else {
			r.rest(0)
		}
		return
	}
	r.accept(o, out, end)
}

func (r *reference) accept(o object, out []string, end int) {
	for k, v := range o {
		r.out[k] = v
	}
	r.outOfRange = out
	r.rest(end)
}

// attempt runs a layout with count marks read as no entries; if it does not end with the unit,
// once more with one entry for each mark, which counts only if that does.
func (r *reference) attempt(l layout, from int) (o object, outOfRange []string, end int, fits bool) {
	c := &cursor{b: r.unit, pos: from}
	o = object{}
	end = l(c, o)
	if fits = end == len(r.unit) && !c.inexact && !c.short; fits || !c.sawMark {
		return o, c.outOfRange, end, fits
	}
	again := &cursor{b: r.unit, pos: from, perMark: 1}
	o2 := object{}
	if end2 := l(again, o2); end2 == len(r.unit) && !again.inexact && !again.short {
		return o2, again.outOfRange, end2, true
	}
	return o, c.outOfRange, end, false
}

// cursor walks over a unit. Reading past its end sets short and yields zeros.
type cursor struct {
	b          []byte
	pos        int
	short      bool
	perMark    int  // entries behind a count that is a mark
	sawMark    bool // there was such a count
	inexact    bool // the layout ended where it should not
	outOfRange []string
}

func (c *cursor) take(n int) []byte {
	if c.short || n > len(c.b)-c.pos {
		c.short = true
		return make([]byte, n)
	}
	c.pos += n
	return c.b[c.pos-n : c.pos]
}

// uint reads a big-endian number of 1, 2 or 4 bytes.
func (c *cursor) uint(width int) uint64 {
	var v uint64
	for _, b := range c.take(width) {
		v = v*256 + uint64(b)
	}
	return v
}

// Marks of a field of some width: 0xFE, 0xFFFE, 0xFFFFFFFE abnormal; 0xFF, … invalid.
func abnormalMark(width int) uint64 { return invalidMark(width) - 1 }
func invalidMark(width int) uint64  { return 1<<(8*width) - 1 }

// count reads a count field. It returns the number of entries and puts the raw count into o, under
// the list's key with "Count" behind it, when that is another number.
func (c *cursor) count(o object, list string, width int) int {
	raw := c.uint(width)
	n := int(raw)
	if raw >= abnormalMark(width) {
		c.sawMark = true
		n = c.perMark
		if uint64(n) != raw {
			o[list+"Count"] = whole(raw)
		}
	}
	return n
}

// wireTime puts the six bytes of a time into o.
func wireTime(o object, key string, b []byte) {
	t := time.Date(2000+int(b[0]), time.Month(b[1]), int(b[2]), int(b[3]), int(b[4]), int(b[5]), 0, time.UTC)
	// time.Date normalises what no calendar has: then it comes out different.
	same := t.Year() == 2000+int(b[0]) && int(t.Month()) == int(b[1]) && t.Day() == int(b[2]) &&
		t.Hour() == int(b[3]) && t.Minute() == int(b[4]) && t.Second() == int(b[5])
	if !same || b[0] > 99 {
		o[key] = nil
		o[key+"Hex"] = hex.EncodeToString(b)
		return
	}
	o[key] = t.Format("2006-01-02T15:04:05") + "+08:00"
}
