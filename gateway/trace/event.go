package trace

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// The kinds of an event, beside "online" and "offline".
const (
	KindIn  = "in"  // a frame from the vehicle, or from its platform about it
	KindOut = "out" // an answer or a command to it
	KindBad = "bad" // bytes that are no frame, or a frame that was refused as bad, on the vehicle's own link
)

// Event is one thing that happened to a followed vehicle. Secrets are masked.
type Event struct {
	At       session.Timestamp `json:"at"`
	Kind     string            `json:"kind"`
	Session  string            `json:"session,omitempty"` // 16 hex digits; empty before a login
	Remote   string            `json:"remote,omitempty"`
	Platform string            `json:"platform,omitempty"` // that relays the vehicle
	Reason   string            `json:"reason,omitempty"`   // why it is bad, online or offline
	// Took is the time from the frame that this one answers, in milliseconds: of an answer of ours since the frame's arrival,
	// of a vehicle's since the command was sent.
	Took    *float64        `json:"tookMs,omitempty"`
	Command string          `json:"command,omitempty"`
	Flag    string          `json:"flag,omitempty"`
	Bytes   int             `json:"bytes,omitempty"`
	Frame   json.RawMessage `json:"frame,omitempty"`   // decoded, as records hold it
	Raw     string          `json:"raw,omitempty"`     // its bytes in hex, unless it carries a secret
	Dropped uint64          `json:"dropped,omitempty"` // events lost before this one, because the reader was too slow
}

func (l Link) event(kind string, at time.Time) Event {
	e := Event{At: session.At(at), Kind: kind, Platform: l.Platform}
	if l.Remote.IsValid() {
		e.Remote = l.Remote.String()
	}
	if l.Session != 0 {
		e.Session = session.FormatID(l.Session)
	}
	return e
}

// describe adds what the frame says.
func (e *Event) describe(f codec.Frame) {
	var m codec.Message
	m.Decode(f)
	e.Command, e.Flag, e.Bytes = f.Command().Name(f.Edition()), f.Flag().String(), len(f)
	e.Frame = m.AppendJSON(nil, codec.JSONOptions{Mask: true})
	if !codec.Secret(f) {
		e.Raw = hex.EncodeToString(f)
	}
}
