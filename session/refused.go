package session

import (
	"net/netip"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// KindRefused is the last token of a refused login's subject.
const KindRefused = "refused"

// RefusedEvent says that a login was not let in. Refusals are events and metrics, not records: what
// a stranger sends is not kept.
type RefusedEvent struct {
	VIN      codec.VIN // of the vehicle, or the platform's code
	Login    string    // "vehicle" or "platform"
	Platform string    // code of the platform link that relayed a vehicle, else ""
	Remote   netip.AddrPort
	Node     string
	At       time.Time
	Reason   string // a Refused constant, or another reason of the gateway
}

// AppendJSON appends the event as one JSON object: vin login platform (when there is one) remote node
// at (RFC 3339 UTC, milliseconds) reason.
func (e *RefusedEvent) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendVIN(dst, e.VIN)
	dst = append(dst, `,"login":`...)
	dst = appendString(dst, e.Login)
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
