package session

import (
	"net/netip"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// KindRefused is the last token of a refused login's subject.
const KindRefused = "refused"

// Login says whose login was refused.
type Login string

// The logins.
const (
	LoginVehicle  Login = "vehicle"  // a vehicle's, its own or relayed
	LoginPlatform Login = "platform" // a platform's
)

// RefusedEvent says that a login was not let in. Refusals are events and metrics, not records: what
// a stranger sends is not kept. The tags say what AppendJSON writes; docs/schema is made of them.
type RefusedEvent struct {
	VIN      codec.VIN      `json:"vin"`                // of the vehicle, or the platform's code
	Login    Login          `json:"login"`              // whose login it was
	Platform string         `json:"platform,omitempty"` // code of the platform link that relayed a vehicle
	Remote   netip.AddrPort `json:"remote"`
	Node     string         `json:"node"` // the gateway
	At       time.Time      `json:"at" schema:"utc"`
	Reason   string         `json:"reason" schema:"minLength=1"` // why it was not let in, as in tboxgate_logins_total
}

// AppendJSON appends the event as one JSON object: vin login platform (when there is one) remote node
// at (RFC 3339 UTC, milliseconds) reason.
func (e *RefusedEvent) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendVIN(dst, e.VIN)
	dst = append(dst, `,"login":`...)
	dst = appendString(dst, string(e.Login))
	if e.Platform != "" {
		dst = append(dst, `,"platform":`...)
		dst = AppendWireString(dst, e.Platform)
	}
	dst = append(dst, `,"remote":"`...)
	dst = e.Remote.AppendTo(dst)
	dst = append(dst, `","node":`...)
	dst = appendString(dst, e.Node)
	dst = append(dst, `,"at":`...)
	dst = appendTime(dst, e.At)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, e.Reason)
	return append(dst, '}')
}
