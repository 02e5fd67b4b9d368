package session

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// PresenceEvent says that a vehicle went online or offline. For each VIN online and offline take
// turns, each exactly once, and both events of one session carry the same Session.
type PresenceEvent struct {
	VIN        codec.VIN
	ProductKey string
	Platform   string // code of the platform that relays the vehicle, "" for a vehicle link
	Session    uint64 // Session.ID
	Node       string // the gateway node that serves the vehicle
	Online     bool
	At         time.Time
	Reason     Reason

	// Of the login, for the registry; not in the JSON.
	Edition codec.Edition
	ICCID   ICCID
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
