package session

// Reason says why a session began or ended, or why a link is to be closed. Its text is the JSON
// value of presence events and the label of metrics.
type Reason string

// The reasons. ReasonLogin is the only one of a session that begins.
const (
	ReasonLogin          Reason = "login"          // the vehicle logged in, or its platform relayed it
	ReasonLogout         Reason = "logout"         // 0x04 of the vehicle, or 0x06 of its platform
	ReasonTakeover       Reason = "takeover"       // the VIN logged in over another link
	ReasonIdle           Reason = "idle"           // nothing came for the idle limit
	ReasonPeerClosed     Reason = "peerClosed"     // the other end closed or broke the connection
	ReasonProtocolError  Reason = "protocolError"  // too many bad frames, or a frame out of place
	ReasonSlowReader     Reason = "slowReader"     // the peer did not read what was sent to it
	ReasonKicked         Reason = "kicked"         // an operator closed it, or the device was disabled or deleted
	ReasonDrain          Reason = "drain"          // the gateway is shutting down
	ReasonGatewayRestart Reason = "gatewayRestart" // found at start: the gateway had died with the session open
)
