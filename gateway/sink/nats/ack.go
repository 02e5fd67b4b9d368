package nats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	natsgo "github.com/nats-io/nats.go"
)

// Why a record is not stored at the moment. Each is retried.
var (
	// ErrNoStream says that no stream takes the subject: it was deleted, or its server is away.
	ErrNoStream = errors.New("no stream takes the subject (deleted, or JetStream is off)")
	// ErrNoAnswer says that the server did not confirm in time.
	ErrNoAnswer = errors.New("the server does not confirm what is published")
	// ErrDisconnected says that there is no connection to the server.
	ErrDisconnected = errors.New("not connected to the NATS server")
	// ErrTooLarge says that one record is above the server's max_payload, or the stream's limit.
	ErrTooLarge = errors.New("record larger than the store takes")
	// ErrClosed says that the store was closed before a write was confirmed.
	ErrClosed = errors.New("the store is closed")
)

// AckError is a server's refusal to store a message: a full stream, a full disk, a limit.
type AckError struct {
	Code        int    `json:"code"`     // like an HTTP status
	ErrCode     int    `json:"err_code"` // the JetStream error number, 10000 and up
	Description string `json:"description"`
}

// Error returns the server's text with its error number.
func (e *AckError) Error() string {
	return fmt.Sprintf("the stream refuses: %s (JetStream error %d)", e.Description, e.ErrCode)
}

// errMoved says that the key does not have the revision any more that a write was to replace, or that another
// write to it is under way.
var errMoved = errors.New("the key was written by somebody else")

// Is makes a refusal for a message's size an ErrTooLarge, and one for the key's revision an errMoved.
func (e *AckError) Is(target error) bool {
	switch e.ErrCode {
	case ackMessageTooLarge:
		return target == ErrTooLarge
	case ackWrongLast, ackWrongLastNow:
		return target == errMoved
	}
	return false
}

// JetStream's error numbers for what is not tried again as it is.
const (
	ackMessageTooLarge = 10054 // JSStreamMessageExceedsMaximumErr
	ackWrongLast       = 10071 // JSStreamWrongLastSequenceErrF
	ackWrongLastNow    = 10164 // JSStreamWrongLastSequenceConstantErr
)

// parseAck reads the reply to a published message and returns its sequence number in the stream.
//
// The server writes {"stream":"GBT32960","seq":17} (with ,"domain":"…" or ,"duplicate":true where
// they apply); that form is read in place, without allocation. Everything else, refusals above all,
// is rare and goes through encoding/json. An empty reply with status 503 means that nobody listens.
func parseAck(m *natsgo.Msg) (uint64, error) {
	if seq, ok := parsePlainAck(m.Data); ok {
		return seq, nil
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, ErrNoStream
	}
	var ack struct {
		Error *AckError `json:"error"`
		Seq   uint64    `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("confirmation %q cannot be read: %w", clip(m.Data), err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Seq == 0 {
		return 0, fmt.Errorf("confirmation %q has no sequence number", clip(m.Data))
	}
	return ack.Seq, nil
}

var (
	ackHead = []byte(`{"stream":"`)
	ackSeq  = []byte(`"seq":`)
)

// parsePlainAck reads a confirmation that begins with the stream's name; ok is false for any other.
// Stream names hold no quotes, so the first "seq": after the name is the key.
func parsePlainAck(b []byte) (seq uint64, ok bool) {
	if !bytes.HasPrefix(b, ackHead) {
		return 0, false
	}
	i := bytes.Index(b, ackSeq)
	if i < 0 || bytes.Contains(b, []byte(`"error"`)) {
		return 0, false
	}
	for _, c := range bytes.TrimLeft(b[i+len(ackSeq):], " ") {
		if c < '0' || c > '9' {
			ok = (c == '}' || c == ',' || c == ' ') && seq > 0
			break
		}
		seq = seq*10 + uint64(c-'0')
	}
	return seq, ok
}

// parseReplyNumber returns the number behind the last dot of a reply subject.
func parseReplyNumber(subject string, prefix int) (uint64, bool) {
	if len(subject) <= prefix {
		return 0, false
	}
	n, err := strconv.ParseUint(subject[prefix:], 10, 64)
	return n, err == nil
}

// clip shortens what a server sent for an error text.
func clip(b []byte) []byte { return b[:min(len(b), 200)] }
