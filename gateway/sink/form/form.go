// Package form turns a record into the form that a sink wants: the frame as JSON, its bytes, or both.
// Decoding is lossless, so either can be made of the other; frames that carry secrets are masked JSON and
// stay it.
package form

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

// DefaultMax is the largest JSON that a Converter makes unless told otherwise.
const DefaultMax = 8 << 20

// envelopeRoom is room enough for the gateway's keys, the node's name and the raw bytes aside.
const envelopeRoom = 512

// Converter turns records round, one at a time: it reuses its memory, so what a method returns is valid
// until the method is called again.
type Converter struct {
	// Max is the largest JSON wanted, in bytes; 0: DefaultMax. A larger one has the whole data unit in rest
	// and the problem tooLarge.
	Max int

	message     codec.Message
	frame, json []byte
}

// Frame returns the frame's bytes; false when they cannot be had, because the record is masked or is no
// frame.
func (c *Converter) Frame(r *sink.Record) ([]byte, bool) {
	if r.Raw {
		_, err := codec.ParseFrame(r.Body)
		return r.Body, err == nil
	}
	if raw := member(r.Body, "raw"); raw != nil {
		if b, err := hex.AppendDecode(c.frame[:0], unquote(raw)); err == nil {
			c.frame = b
			if _, err := codec.ParseFrame(b); err == nil {
				return b, true
			}
		}
	}
	b, err := codec.EncodeJSON(c.frame[:0], r.Body)
	c.frame = b
	return b, err == nil
}

// JSON returns the record as one JSON object with the gateway's keys; with both, the frame's bytes stand
// in it as "raw", if they can be had.
func (c *Converter) JSON(r *sink.Record, both bool) []byte {
	if r.Raw {
		f, err := codec.ParseFrame(r.Body)
		if err != nil {
			return c.opaque(r)
		}
		return c.decode(r, f, both)
	}
	limit := c.limit()
	raw := member(r.Body, "raw")
	switch {
	case len(r.Body) > limit:
	case (raw != nil) == both:
		return r.Body
	case !both:
		c.json = withoutRaw(c.json[:0], r.Body, raw)
		return c.json
	case len(r.Body) < 2 || r.Body[len(r.Body)-1] != '}':
		return r.Body
	}
	f, ok := c.Frame(r)
	if !ok {
		return r.Body // masked
	}
	if len(r.Body) > limit || len(r.Body)+2*len(f)+len(`,"raw":""`) > limit {
		return c.decode(r, f, both)
	}
	b := append(c.json[:0], r.Body[:len(r.Body)-1]...)
	c.json = append(appendRaw(b, f), '}')
	return c.json
}

func (c *Converter) limit() int {
	if c.Max > 0 {
		return c.Max
	}
	return DefaultMax
}

// decode makes the JSON of a frame, with the gateway's keys as the event loops write them.
func (c *Converter) decode(r *sink.Record, f codec.Frame, both bool) []byte {
	both = both && !codec.Secret(f)
	room := c.limit() - envelopeRoom - len(r.Node)
	if both {
		room -= 2 * len(f)
	}
	c.message.Decode(f)
	b := c.message.AppendJSON(c.json[:0], codec.JSONOptions{Mask: true, MaxSize: max(room, 1)})
	b = AppendEnvelope(b[:len(b)-1], r)
	if both {
		b = appendRaw(b, f)
	}
	c.json = append(b, '}')
	return c.json
}

// opaque is the JSON of a raw body that is no frame, which no gateway makes.
func (c *Converter) opaque(r *sink.Record) []byte {
	b := append(c.json[:0], `{"v":1,"vin":`...)
	b = session.AppendWireString(b, r.VIN.String())
	b = append(b, `,"command":`...)
	b = session.AppendWireString(b, r.Command.Name(r.Edition))
	b = append(b, `,"rest":"`...)
	b = hex.AppendEncode(b, r.Body)
	b = append(b, `","problems":[{"path":"","code":"`+NoFrame+`"}]`...)
	c.json = append(AppendEnvelope(b, r), '}')
	return c.json
}

// AppendEnvelope appends the gateway's keys to an object that is still open.
func AppendEnvelope(b []byte, r *sink.Record) []byte {
	b = append(b, `,"receivedAt":"`...)
	b = appendReceived(b, r.ReceivedAt)
	b = append(b, `","node":`...)
	b = session.AppendWireString(b, r.Node)
	b = append(b, `,"session":"`...)
	b = session.AppendID(b, r.Session)
	b = append(b, `","remote":"`...)
	if r.Remote.IsValid() {
		b = r.Remote.AppendTo(b)
	}
	b = append(b, '"')
	if r.Platform != "" {
		b = append(b, `,"platform":`...)
		b = session.AppendWireString(b, r.Platform)
	}
	if r.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	return b
}

// appendReceived appends a time of arrival as everywhere: RFC 3339 in UTC with milliseconds.
func appendReceived(b []byte, t time.Time) []byte {
	return t.UTC().Truncate(time.Millisecond).AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

func appendRaw(b []byte, f codec.Frame) []byte {
	b = append(b, `,"raw":"`...)
	return append(hex.AppendEncode(b, f), '"')
}

// NoFrame is the code of a raw record whose body is no frame.
const NoFrame = "noFrame"

// Facts is what stands in a record beside its content.
type Facts struct {
	Collected string // the frame's own time, RFC 3339 at +08:00; "" when it has none that can be read
	// Undecoded names the problems, separated by commas, for which a record counts as not decoded; "" for
	// one that is. See Undecoded.
	Undecoded string
}

// undecoded are the codes for which a record's content stands, in whole or from some point on, as hex in
// rest although the standard has a place for it, or could not be trusted.
var undecoded = []codec.Code{
	codec.CodeEncrypted, codec.CodeUnknownCommand, codec.CodeTruncated, codec.CodeNotCanonical, codec.CodeTooLarge, NoFrame,
}

// Facts reads them. Of a JSON record it takes them from the JSON.
func (c *Converter) Facts(r *sink.Record) Facts {
	if r.Raw {
		f, err := codec.ParseFrame(r.Body)
		if err != nil {
			return Facts{Undecoded: NoFrame}
		}
		facts := Facts{}
		if t, ok := f.Time(); ok {
			facts.Collected = t.Format(time.RFC3339)
		}
		c.message.Decode(f)
		if code, fault := c.message.Fault(); fault {
			facts.Undecoded = named([]codec.Code{code.Code})
		}
		return facts
	}
	facts := Facts{}
	if t := member(r.Body, "time"); len(t) > 2 && t[0] == '"' {
		facts.Collected = string(unquote(t))
	}
	if !bytes.Contains(r.Body, []byte(`"problems":[`)) {
		return facts
	}
	var problems []struct {
		Code codec.Code `json:"code"`
	}
	if err := json.Unmarshal(member(r.Body, "problems"), &problems); err != nil {
		return facts
	}
	codes := make([]codec.Code, len(problems))
	for i, p := range problems {
		codes[i] = p.Code
	}
	facts.Undecoded = named(codes)
	return facts
}

// named joins those of the codes that make a record undecoded, each once.
func named(codes []codec.Code) string {
	var names []string
	for _, u := range undecoded {
		for _, c := range codes {
			if c == u {
				names = append(names, string(u))
				break
			}
		}
	}
	return strings.Join(names, ",")
}

// Headers appends what travels beside a record as pairs of name and value; an empty value is left out.
func (f Facts) Headers(r *sink.Record, add func(name, value string)) {
	put := func(name, value string) {
		if value != "" {
			add(name, value)
		}
	}
	put("edition", strconv.Itoa(int(r.Edition)))
	put("command", r.Command.Name(r.Edition))
	put("vin", r.VIN.String())
	put("collected", f.Collected)
	put("received", string(appendReceived(nil, r.ReceivedAt)))
	put("node", r.Node)
	put("session", string(session.AppendID(nil, r.Session)))
	if r.Remote.IsValid() {
		put("remote", r.Remote.String())
	}
	put("platform", r.Platform)
	if r.Duplicate {
		put("duplicate", "true")
	}
	put("problems", f.Undecoded)
}
