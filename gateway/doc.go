// Package gateway takes vehicles in: it accepts their connections, splits and
// checks the frames of GB/T 32960, keeps the login rules, hands every frame to
// a sink as a record and answers it once the sink has said that the record is
// durable.
//
// The way of a frame, top to bottom:
//
//	accept.go   a listener accepts, counts, limits, and enrols the socket in a loop
//	loop.go     one event loop and everything it owns; its mailbox is the only door
//	arrival.go  before that, where a listener wants it: PROXY header, TLS handshake (certs.go)
//	conn.go     one connection: what the loop knows of it, and the session.Link others see
//	traffic.go  bytes to frames, one write for all answers of an event; tlsconn.go the same through TLS
//	uplink.go   what each command means on a vehicle link and on a platform link
//	login.go    logins, logouts and the sessions they open
//	record.go   a frame as the record that goes to the sink
//	window.go   answers in order, each waiting for its record to be stored
//	outgoing.go what leaves a connection: answers once confirmed, frames of commands
//	wheel.go    login and idle deadlines
//	ending.go   how connections end; late.go answers for peers that have ended their side
//	drain.go    closing without losing an answer
//
// Nothing on that way takes a lock: a connection belongs to one loop, and other
// goroutines (store confirmations, commands, takeovers, the drain) leave mail.
package gateway
