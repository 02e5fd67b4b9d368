package stream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// ErrMasked says that a record has no frame to give: its secrets were left out when it was stored.
var ErrMasked = errors.New("the frame carried secrets and was stored without them (masked): its bytes are not to be had")

// Record is one stored frame with what the gateway noted beside it.
type Record struct {
	VIN        codec.VIN // the vehicle, or the platform for 0x05 and 0x06
	Edition    codec.Edition
	Command    codec.Command
	Flag       codec.Flag
	ReceivedAt time.Time // the gateway's clock, UTC, milliseconds
	Node       string    // the gateway that received it
	Session    uint64    // the login it belongs to, 0 for none; session.FormatID writes it
	Remote     string    // address:port of the peer
	Platform   string    // code of the platform link that relayed it, "" for a vehicle link
	Duplicate  bool      // repeats a record that was stored before
	Masked     bool      // secrets were left out

	// Where it is stored: the sequence number of its message in Stream, and its place in the message,
	// counted from 0. Read fills them in; Parse knows the place only.
	Stream   string
	Sequence uint64
	Index    int

	// Body is what is stored, a view of the message: the frame's bytes when Raw, else one JSON object
	// with the gateway's keys.
	Raw  bool
	Body []byte

	merged bool // made of several frames by Merge

	time []byte // the JSON of the key "time", for JSON bodies
	hex  []byte // the hex digits of the key "raw", for the payload both
}

// CommandName returns the command's JSON name: "realtime".
func (r *Record) CommandName() string { return r.Command.Name(r.Edition) }

// CollectedAt returns the time that the data unit begins with: when the vehicle collected the data.
// It reports false when there is none, or one that no calendar has.
func (r *Record) CollectedAt() (time.Time, bool) {
	if r.Raw {
		return codec.Frame(r.Body).Time()
	}
	return timeOf(r.time)
}

// timeOf reads the JSON of a frame's time; nil when there is none.
func timeOf(value []byte) (time.Time, bool) {
	if len(value) < 2 || value[0] != '"' {
		return time.Time{}, false
	}
	t, err := time.ParseInLocation(time.RFC3339, string(value[1:len(value)-1]), codec.Beijing)
	if err != nil {
		return time.Time{}, false
	}
	return t.In(codec.Beijing), true
}

// AppendFrame appends the frame's bytes, from the start mark to the check byte. The error is ErrMasked,
// ErrMerged, or says why the stored JSON is no frame.
func (r *Record) AppendFrame(dst []byte) ([]byte, error) {
	switch {
	case r.Raw:
		return append(dst, r.Body...), nil
	case r.Masked:
		return dst, fmt.Errorf("%s %s: %w", r.VIN, r.CommandName(), ErrMasked)
	case r.merged:
		return dst, fmt.Errorf("%s %s: %w", r.VIN, r.CommandName(), ErrMerged)
	case r.hex != nil:
		b, err := hex.AppendDecode(dst, r.hex)
		if err != nil {
			return dst, fmt.Errorf("stream: key raw: %w", err)
		}
		return b, nil
	}
	return codec.EncodeJSON(dst, r.Body)
}

// unitHashIs reports whether the record's data unit has this UnitHash. frame is memory to use again.
func (r *Record) unitHashIs(hash uint64, frame []byte) (bool, []byte) {
	frame, err := r.AppendFrame(frame[:0])
	if err != nil {
		return false, frame
	}
	f, err := codec.ParseFrame(frame)
	return err == nil && UnitHash(f.Unit()) == hash, frame
}

// AppendJSON appends the frame's JSON object with the gateway's keys, as the payload json stores it. m is
// memory for decoding raw frames and may be used again; nil makes some.
func (r *Record) AppendJSON(dst []byte, m *codec.Message) []byte {
	if !r.Raw {
		return append(dst, r.Body...)
	}
	if m == nil {
		m = new(codec.Message)
	}
	m.Decode(codec.Frame(r.Body))
	b := m.AppendJSON(dst, codec.JSONOptions{Mask: true})
	b = append(b[:len(b)-1], `,"receivedAt":"`...)
	b = r.ReceivedAt.UTC().AppendFormat(b, timeLayout)
	b = append(b, `","node":`...)
	b = session.AppendWireString(b, r.Node)
	b = append(b, `,"session":"`...)
	b = session.AppendID(b, r.Session)
	b = append(b, `","remote":`...)
	b = session.AppendWireString(b, r.Remote)
	if r.Platform != "" {
		b = append(b, `,"platform":`...)
		b = session.AppendWireString(b, r.Platform)
	}
	if r.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	return append(b, '}')
}

// timeLayout is RFC 3339 in UTC with milliseconds, the form of receivedAt.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Clone returns a copy that shares no memory with the message it came in.
func (r *Record) Clone() *Record {
	c := *r
	c.Body, c.time, c.hex = bytes.Clone(r.Body), bytes.Clone(r.time), bytes.Clone(r.hex)
	return &c
}
