package session

import (
	"errors"
	"net/netip"
)

// The errors of [Link.Send]: why a frame will never be sent.
var (
	ErrLinkClosed = errors.New("session: the connection is closed")
	ErrLinkBusy   = errors.New("session: the connection has too much waiting to be sent")
)

// Link is a connection as sessions see it. Package gateway implements it.
//
// Its dynamic type must be comparable (a pointer): two sessions are on the same connection exactly
// when their Links are equal. All methods are safe from any goroutine and never block.
type Link interface {
	// Send queues one frame and takes ownership of the slice. done, which may be nil, runs exactly
	// once, on any goroutine: with nil when the frame was handed to the kernel or to the
	// connection's buffer, else with ErrLinkClosed or ErrLinkBusy.
	Send(frame []byte, done func(error))
	// Close asks the link to close. What is queued is sent first.
	Close(reason Reason)
	// Remote is the peer's address.
	Remote() netip.AddrPort
}
