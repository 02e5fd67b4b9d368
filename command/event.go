package command

import (
	"encoding/hex"
	"encoding/json"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// EventKind is the kind under which command events are published.
const EventKind = "command"

// event is the JSON of a command event, published at every change of state.
type event struct {
	MessageID   int64             `json:"messageId" schema:"min=1,max=9007199254740991"`
	ProductKey  string            `json:"productKey"`
	DeviceName  string            `json:"deviceName"`
	Command     string            `json:"command" schema:"downlink"`
	State       State             `json:"state"`
	At          session.Timestamp `json:"at"`
	RequestID   string            `json:"requestId"`
	AccessKeyID string            `json:"accessKeyId"`
	Flag        string            `json:"flag,omitempty"`                                       // of the answer
	Reason      Reason            `json:"reason,omitempty" schema:"enum=Reason|session.Reason"` // why it ended so, where state and flag do not say all
	Node        string            `json:"node"`
	Sends       int               `json:"sends" schema:"min=0"`          // how often the frame was handed to the connection
	Frame       string            `json:"frame,omitempty" schema:"hex"`  // the command's frame (queued, sent) or the answer's (answered, rejected)
	Masked      bool              `json:"masked,omitempty"`              // the frame is left out because it carries a password
	Body        json.RawMessage   `json:"body,omitempty" schema:"frame"` // the answer, decoded
}

// encodeEvent returns the event of a change to the state in r. frame may be nil; one with secrets is left out.
func encodeEvent(r *Result, at session.Timestamp, frame codec.Frame) []byte {
	e := event{
		MessageID: r.MessageID, ProductKey: r.ProductKey, DeviceName: r.DeviceName, Command: r.Command.Name(r.Edition), State: r.State,
		At: at, RequestID: r.RequestID, AccessKeyID: r.AccessKeyID, Flag: r.Flag, Reason: r.Reason,
		Node: r.Node, Sends: r.Sends, Body: r.Body,
	}
	switch {
	case frame == nil:
	case codec.Secret(frame):
		e.Masked = true
	default:
		e.Frame = hex.EncodeToString(frame)
	}
	body, err := json.Marshal(e)
	if err != nil { // only a broken Body could do that
		e.Body = nil
		body, _ = json.Marshal(e)
	}
	return body
}
