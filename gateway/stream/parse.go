package stream

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// The streams and how their subjects begin.
const (
	Frames         = "GBT32960"        // one message a frame
	Batches        = "GBT32960_BATCH"  // many frames a message
	SubjectFrames  = "gbt32960.up."    // then the VIN's token, a dot, the command's token
	SubjectBatches = "gbt32960.batch." // then two digits of the partition
	Partitions     = 16
)

// The headers beside a raw frame in a message of its own, as it was stored before raw frames became entries.
const (
	headerReceivedAt = "Tboxgate-Received-At"
	headerNode       = "Tboxgate-Node"
	headerSession    = "Tboxgate-Session"
	headerRemote     = "Tboxgate-Remote"
	headerPlatform   = "Tboxgate-Platform"
	headerDuplicate  = "Tboxgate-Duplicate"
)

// FrameSubject is the subject of one vehicle's frames of one command; "" stands for all of either.
func FrameSubject(vin, command string) string {
	v, c := "*", "*"
	if vin != "" {
		v = session.Token(vin)
	}
	if command != "" {
		c = session.Token(command)
	}
	return SubjectFrames + v + "." + c
}

// BatchSubject is the subject of the batches that hold a vehicle's frames.
func BatchSubject(vin codec.VIN) string {
	h := uint32(2166136261) // FNV-1a
	for _, c := range []byte(vin.String()) {
		h = (h ^ uint32(c)) * 16777619
	}
	p := h % Partitions
	return SubjectBatches + string([]byte{byte('0' + p/10), byte('0' + p%10)})
}

// ParseError says what of a stored message cannot be read.
type ParseError struct {
	Subject string
	Index   int // the record within the message, from 0
	Offset  int // where it begins, in bytes of the body
	Err     error
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("stream: message on %s: record %d at offset %d: %v", e.Subject, e.Index, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads one stored message of either layout. The records are views of body. The error is a
// *ParseError; the records before it are returned too.
func Parse(subject string, header map[string][]string, body []byte) ([]Record, error) {
	return AppendRecords(nil, subject, header, body)
}

// AppendRecords is Parse with memory that the caller gives.
func AppendRecords(dst []Record, subject string, header map[string][]string, body []byte) ([]Record, error) {
	if strings.HasPrefix(subject, SubjectBatches) || bytes.HasPrefix(body, rawBytes) {
		return appendBatch(dst, subject, body)
	}
	var r Record
	var err error
	if len(body) > 0 && body[0] == '{' {
		err = r.parseJSON(body)
	} else {
		err = r.parseRaw(header, body)
	}
	if err != nil {
		return dst, &ParseError{Subject: subject, Err: err}
	}
	return append(dst, r), nil
}

// rawBytes begins the line before a raw frame, in a batch or in a message of its own.
var rawBytes = []byte(`{"rawBytes":`)

// appendBatch reads the entries of a batch: lines of JSON, some followed by the frame that they describe.
func appendBatch(dst []Record, subject string, body []byte) ([]Record, error) {
	for at, i := 0, 0; at < len(body); i++ {
		n, r, err := parseEntry(body[at:])
		if err != nil {
			return dst, &ParseError{Subject: subject, Index: i, Offset: at, Err: err}
		}
		r.Index = i
		dst = append(dst, r)
		at += n
	}
	return dst, nil
}

// parseEntry reads the first entry of b and returns its length.
func parseEntry(b []byte) (n int, r Record, err error) {
	line, frame, n, err := cutEntry(b)
	if err != nil {
		return 0, r, err
	}
	if frame == nil {
		return n, r, r.parseJSON(line)
	}
	if err := r.parseFrame(frame); err != nil {
		return 0, r, err
	}
	return n, r, members(line, func(key, value []byte) error { return r.envelope(key, value) })
}

func lineEnd(b []byte) int { return bytes.IndexByte(b, '\n') }

func hasFrame(line []byte) bool { return bytes.HasPrefix(line, rawBytes) }

// parseRaw reads a frame with the gateway's keys as headers.
func (r *Record) parseRaw(header map[string][]string, body []byte) (err error) {
	if err := r.parseFrame(body); err != nil {
		return err
	}
	get := func(key string) string {
		if v := header[key]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	if s := get(headerReceivedAt); s != "" {
		if r.ReceivedAt, err = time.Parse(time.RFC3339, s); err != nil {
			return fmt.Errorf("header %s: %w", headerReceivedAt, err)
		}
	}
	if s := get(headerSession); s != "" {
		if r.Session, err = strconv.ParseUint(s, 16, 64); err != nil {
			return fmt.Errorf("header %s: %w", headerSession, err)
		}
	}
	r.Node, r.Remote, r.Platform = get(headerNode), get(headerRemote), get(headerPlatform)
	r.Duplicate = get(headerDuplicate) == "true"
	return nil
}

// parseFrame takes the record's header from the frame itself.
func (r *Record) parseFrame(b []byte) error {
	f, err := codec.ParseFrame(b)
	if err != nil {
		return err
	}
	r.Raw, r.Body = true, b
	r.VIN, r.Edition, r.Command, r.Flag = f.VIN(), f.Edition(), f.Command(), f.Flag()
	return nil
}

// parseJSON reads the JSON object of a frame with the gateway's keys.
func (r *Record) parseJSON(body []byte) error {
	r.Body = body
	var command, flag string
	var vin, vinHex []byte
	err := members(body, func(key, value []byte) (err error) {
		switch string(key) {
		case "edition":
			n, err := strconv.ParseUint(string(value), 10, 16)
			if e := codec.Edition(n); err != nil || e != codec.Edition2016 && e != codec.Edition2025 {
				return fmt.Errorf("edition %s is unknown", value)
			}
			r.Edition = codec.Edition(n)
		case "command":
			command, err = text(value)
		case "flag":
			flag, err = text(value)
		case "vin":
			vin = value
		case "vinHex":
			vinHex = value
		case "time":
			r.time = value
		case "masked":
			r.Masked = string(value) == "true"
		case "raw":
			if len(value) < 2 || value[0] != '"' {
				return fmt.Errorf("a string is wanted, not %s", clip(value))
			}
			r.hex = value[1 : len(value)-1]
		default:
			return r.envelope(key, value)
		}
		return err
	})
	if err != nil {
		return err
	}
	if r.Edition == 0 || command == "" {
		return fmt.Errorf("it is no frame: edition or command is missing")
	}
	if r.Command, err = codec.ParseCommand(command, r.Edition); err != nil {
		return err
	}
	if r.Flag, err = codec.ParseFlag(flag); err != nil {
		return err
	}
	r.VIN, err = parseVIN(vin, vinHex)
	return err
}

// envelope takes one of the gateway's keys; others it passes over.
func (r *Record) envelope(key, value []byte) (err error) {
	switch string(key) {
	case "receivedAt":
		var s string
		if s, err = text(value); err == nil {
			r.ReceivedAt, err = time.Parse(time.RFC3339, s)
		}
	case "node":
		r.Node, err = text(value)
	case "session":
		var s string
		if s, err = text(value); err == nil {
			r.Session, err = strconv.ParseUint(s, 16, 64)
		}
	case "remote":
		r.Remote, err = text(value)
	case "platform":
		r.Platform, err = text(value)
	case "duplicate":
		r.Duplicate = string(value) == "true"
	}
	if err != nil {
		return fmt.Errorf("key %s: %w", key, err)
	}
	return nil
}

// parseVIN reads the identifier as a frame's JSON has it: a text, or what is no text as hex beside it.
func parseVIN(text, hexText []byte) (codec.VIN, error) {
	if len(hexText) > 2 && hexText[0] == '"' {
		raw, err := hex.DecodeString(string(hexText[1 : len(hexText)-1]))
		if err != nil {
			return codec.VIN{}, fmt.Errorf("key vinHex: %w", err)
		}
		return codec.MakeVIN(raw), nil
	}
	if n := len(text); n >= 2 && text[0] == '"' && plain(text[1:n-1]) {
		return codec.MakeVIN(text[1 : n-1]), nil
	}
	// GB 18030: the codec knows how.
	var m codec.Message
	object := append(append([]byte(`{"edition":2016,"command":"heartbeat","vin":`), text...), '}')
	if err := m.ParseJSON(object); err != nil {
		return codec.VIN{}, err
	}
	return codec.MakeVIN(m.VIN[:]), nil
}

// plain reports whether the inside of a JSON string stands for itself.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// text reads a JSON string.
func text(value []byte) (string, error) {
	if n := len(value); n >= 2 && value[0] == '"' && plain(value[1:n-1]) {
		return string(value[1 : n-1]), nil
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return "", fmt.Errorf("a string is wanted, not %s", clip(value))
	}
	return s, nil
}

// clip shortens what stands in the stream for an error text.
func clip(b []byte) []byte { return b[:min(len(b), 40)] }
