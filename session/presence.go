package session

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// PresenceEvent says that a vehicle went online or offline. For each VIN online and offline take
// turns, each exactly once, and both events of one session carry the same Session. The tags say what
// AppendJSON writes; docs/schema is made of them.
type PresenceEvent struct {
	VIN        codec.VIN `json:"vin"`
	ProductKey string    `json:"productKey"`
	Platform   string    `json:"platform,omitempty"`       // code of the platform that relays the vehicle, none for a vehicle link
	Session    uint64    `json:"session" schema:"session"` // Session.ID in hex, the same in both of its events
	Node       string    `json:"node"`                     // the gateway that serves the vehicle
	Online     bool      `json:"-"`
	At         time.Time `json:"at" schema:"utc"`
	Reason     Reason    `json:"reason"`

	// Of the login, for the registry.
	Edition codec.Edition `json:"-"`
	ICCID   ICCID         `json:"-"`
}

// Kind is the last token of the event's subject: "online" or "offline".
func (e *PresenceEvent) Kind() string {
	if e.Online {
		return "online"
	}
	return "offline"
}

// AppendJSON appends the event as one JSON object: vin productKey platform (when there is one)
// session (16 hex digits) node at (RFC 3339 UTC, milliseconds) reason. Whether it is online or
// offline is the subject's last token, see [PresenceEvent.Kind]. A VIN that is not text has "vinHex"
// as in a frame's JSON.
func (e *PresenceEvent) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendVIN(dst, e.VIN)
	dst = append(dst, `,"productKey":`...)
	dst = appendString(dst, e.ProductKey)
	if e.Platform != "" {
		dst = append(dst, `,"platform":`...)
		dst = AppendWireString(dst, e.Platform)
	}
	dst = append(dst, `,"session":"`...)
	dst = AppendID(dst, e.Session)
	dst = append(dst, `","node":`...)
	dst = appendString(dst, e.Node)
	dst = append(dst, `,"at":`...)
	dst = appendTime(dst, e.At)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, string(e.Reason))
	return append(dst, '}')
}
