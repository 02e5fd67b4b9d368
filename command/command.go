// Package command leads a command to a vehicle through its life: it builds the frame, sends it over the vehicle's session,
// repeats it, matches the vehicle's answer, and keeps and announces the result.
//
//	Send ─▶ queued ─▶ sent ─┬▶ answered      the vehicle answered success (or sent the echo as a command)
//	                        ├▶ rejected      it answered with another flag
//	                        ├▶ timedOut      no answer after the last repetition
//	                        ├▶ disconnected  the session ended first
//	                        └▶ superseded    a new session of the same vehicle took the place of the one it was sent over
//
// GB/T 32960 has no correlation number, so a vehicle is asked one thing of a kind (query 0x80, setting 0x81, control 0x82) at a
// time; what follows waits in a bounded queue. The package knows sessions and bytes, not sockets and not HTTP.
package command

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// State is where a command is in its life.
type State string

// The states of a command. All but StateQueued and StateSent are final, with one exception: a vehicle may answer after
// StateTimedOut or StateDisconnected, or refuse a new platform address after it went there and came back; then the state
// becomes StateAnswered or StateRejected after all.
const (
	StateQueued       State = "queued"       // waits for an earlier command of its kind, or for the connection
	StateSent         State = "sent"         // the frame was handed to the connection
	StateAnswered     State = "answered"     // the vehicle answered success
	StateRejected     State = "rejected"     // the vehicle answered with an error flag
	StateTimedOut     State = "timedOut"     // no answer
	StateDisconnected State = "disconnected" // the vehicle's session ended before an answer came
	StateSuperseded   State = "superseded"   // the vehicle logged in anew over another connection before an answer came
)

// Final reports whether the command is over.
func (s State) Final() bool { return s != StateQueued && s != StateSent }

// Reason says why a command ended as it did, where State and Flag do not say all: a session.Reason, or one of these.
type Reason string

// Reasons of this package. The others are those of package session: why the vehicle's session ended.
const (
	// ReasonVehicleLeft: a setting of the platform's address or port was sent and the vehicle left without an answer, as it
	// should (GB/T 32960.3 B.2.3). The state is answered.
	ReasonVehicleLeft Reason = "vehicleLeft"
	// ReasonLinkBusy: the connection took no more frames until the command timed out; nothing was sent.
	ReasonLinkBusy Reason = "linkBusy"
	// ReasonLinkClosed: the connection was already closing.
	ReasonLinkClosed Reason = "linkClosed"
	// ReasonNodeSilent: the gateway that the vehicle was connected to did not say that it took the command on.
	ReasonNodeSilent Reason = "nodeSilent"
)

// Errors of Send, Result and Wait, to be tested with errors.Is. When Send returns an error nothing was sent to the vehicle.
var (
	ErrOffline     = errors.New("the vehicle has no session")
	ErrQueueFull   = errors.New("too many commands are waiting")
	ErrCommand     = errors.New("not a downlink command (0x80, 0x81 or 0x82)")
	ErrUnitTooLong = errors.New("the data unit is too long for a frame")
	ErrClosed      = errors.New("the dispatcher is closed")
	ErrStore       = errors.New("the command store does not answer")
	ErrNotFound    = errors.New("no such command")
)

// SendError says which command Send refused, and why.
type SendError struct {
	ProductKey string
	DeviceName string
	Command    codec.Command
	Err        error // wraps one of the package's errors
}

func (e *SendError) Error() string {
	return fmt.Sprintf("command %#02x to vehicle %s of product %s: %v", byte(e.Command), e.DeviceName, e.ProductKey, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Request is a command to be sent.
type Request struct {
	ProductKey string
	DeviceName string // the VIN
	Command    codec.Command
	Unit       []byte // the data unit, sent byte for byte; Send copies it
	// RequestID and AccessKeyID say who asked, for the command's events.
	RequestID   string
	AccessKeyID string
	// MessageID is the id that another node has given the command; 0: this node gives it one.
	MessageID int64
}

// Result is what is known about a command. It is also the JSON value kept for 7 days under the MessageID; docs/schema is made
// of it.
type Result struct {
	MessageID   int64             `json:"messageId" schema:"min=1,max=9007199254740991"`
	ProductKey  string            `json:"productKey"`
	DeviceName  string            `json:"deviceName"`
	Command     codec.Command     `json:"command" schema:"downlink,or=0"`           // 0: a message to an MQTT device
	Edition     codec.Edition     `json:"edition" schema:"enum=codec.Edition,or=0"` // of the session it was sent over; 0: a message to an MQTT device, or the gateway that has the session was not heard of
	Topic       string            `json:"topic,omitempty"`                          // of a message to an MQTT device, which has no command and edition
	State       State             `json:"state"`
	Flag        string            `json:"flag,omitempty"`                                       // JSON name of the answer's flag; none without an answer
	Reason      Reason            `json:"reason,omitempty" schema:"enum=Reason|session.Reason"` // why it ended so, where state and flag do not say all
	RequestID   string            `json:"requestId,omitempty"`
	AccessKeyID string            `json:"accessKeyId,omitempty"`
	Node        string            `json:"node"`
	Sends       int               `json:"sends" schema:"min=0"` // how often the frame was handed to the connection
	CreatedAt   session.Timestamp `json:"createdAt"`
	SentAt      session.Timestamp `json:"sentAt,omitzero"`     // first hand-over
	AnsweredAt  session.Timestamp `json:"answeredAt,omitzero"` // arrival of the answer, or of the leave that stands for it
	EndedAt     session.Timestamp `json:"endedAt,omitzero"`
	Body        json.RawMessage   `json:"body,omitempty" schema:"frame"` // the answer frame as JSON (the format of the uplink stream), secrets masked
}

// Late reports whether the vehicle answered after the command had ended without an answer.
func (r *Result) Late() bool { return !r.EndedAt.IsZero() && r.AnsweredAt.After(r.EndedAt.Time) }

// ValidProductKey reports whether key has the form of a product key: 1 to 32 of A-Z a-z 0-9.
func ValidProductKey(key string) bool {
	return len(key) >= 1 && len(key) <= 32 && consistsOf(key, "")
}

// ValidDeviceName reports whether name has the form of a GB/T 32960 device name: 1 to 17 of A-Z a-z 0-9 - _ @ . :
func ValidDeviceName(name string) bool {
	return len(name) >= 1 && len(name) <= codec.VINSize && consistsOf(name, "-_@.:")
}

// ValidTopicDeviceName reports whether name has the form of the name of an MQTT device: 1 to 32 of the same characters.
func ValidTopicDeviceName(name string) bool {
	return len(name) >= 1 && len(name) <= 32 && consistsOf(name, "-_@.:")
}

func consistsOf(s, more string) bool {
next:
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			continue
		}
		for j := 0; j < len(more); j++ {
			if c == more[j] {
				continue next
			}
		}
		return false
	}
	return true
}
