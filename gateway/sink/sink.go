// Package sink says what the gateway asks of the place where frames are stored: take a record, tell
// when it is durable, and say when nothing is being stored. Packages below it keep that promise:
// sink/nats (JetStream, embedded or external), sink/kafka, sink/mqtt, sink/file and sink/discard;
// package sinktest holds each of them to it, and package follow feeds them from JetStream when they
// are not the sink that answers.
//
// A frame's way through it:
//
//	event loop --Record--> Sink.Publish --(copies it, returns at once)--> store
//	event loop <--answer-- Receiver.Stored(ticket) <---------------------- store confirmed
//
// The gateway answers success only after a record is stored, so the whole promise of the gateway to
// the vehicle rests on this interface: Stored is never called for a record that a crash of the
// process would lose.
package sink

import (
	"context"
	"net/netip"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Sink is a place where records are stored. All methods are safe for concurrent use.
type Sink interface {
	// Publish hands one record over. It copies what it needs of r (Body too) before it returns and
	// never blocks, so that an event loop may call it.
	//
	// It returns true when the record is durable already; Stored is then not called. Otherwise the
	// sink keeps the record, retries it for as long as it takes, and calls to.Stored(ticket) exactly
	// once, when it is durable. There is no error to return: a record that is not confirmed is a
	// frame that is not answered, and the gateway's windows of unconfirmed frames bound how many
	// there can be.
	//
	// Records are stored at least once: a record whose confirmation was lost is stored again.
	// Records of one VIN are stored in the order of their Publish calls; only after a failure may a
	// retried record follow a later one.
	Publish(r *Record, to Receiver, ticket uint64) (stored bool)

	// Healthy returns nil while records are being stored, else why not, as a text for operators
	// (/readyz, logs). It is cheap.
	Healthy() error

	// Close stops the sink. It waits until all records are stored or ctx ends; the error says how
	// many were not. Stored is not called after Close has returned; what is published during or
	// after Close may be dropped unconfirmed.
	Close(ctx context.Context) error
}

// EventSink is a Sink that takes events as well. sink/nats is none: events have a stream of their own
// there, and from it the others get them.
type EventSink interface {
	Sink

	// PublishEvent is Publish for an event. Events of one VIN keep their order; between events and records there is none.
	PublishEvent(e *Event, to Receiver, ticket uint64) (stored bool)
}

// Event is something that happened to a vehicle or another device: presence, a refused login, a step of a
// command. The caller may reuse it, and Body, as soon as PublishEvent has returned.
type Event struct {
	VIN  string // or the code of a platform, or the name of a device
	Kind string // online, offline, refused, command
	Body []byte // one JSON object
}

// Stats counts what a sink did.
type Stats struct {
	Waiting      int    // records and events that are not stored yet
	WaitingBytes int64  // their bytes
	Stored       uint64 // stored since the start
	Retried      uint64 // attempts to store that were a repetition
}

// Counted is a sink that tells its counters.
type Counted interface {
	Stats() Stats
}

// Receiver is told about stored records.
type Receiver interface {
	// Stored says that the record published with this ticket is durable. It is called once per
	// record, from any goroutine, possibly before Publish has returned, and must neither block nor
	// call back into the sink.
	Stored(ticket uint64)
}

// Record is one frame on its way into the store. The caller may reuse it, and the memory of Body,
// as soon as Publish has returned. The tags name the gateway's keys in a frame's JSON, which the writers
// append by hand; docs/schema is made of them.
type Record struct {
	VIN        codec.VIN     `json:"-"`                       // the vehicle, or the platform for 0x05 and 0x06; part of the subject
	Command    codec.Command `json:"-"`                       // part of the subject
	Edition    codec.Edition `json:"-"`                       // names the command
	ReceivedAt time.Time     `json:"receivedAt" schema:"utc"` // when the frame was complete

	Node      string         `json:"node"`                     // the gateway that received it
	Session   uint64         `json:"session" schema:"session"` // all zeros when there is none
	Remote    netip.AddrPort `json:"remote"`                   // empty when unknown
	Platform  string         `json:"platform,omitempty"`       // code of the platform link that relayed it, none for a vehicle link
	Duplicate bool           `json:"duplicate,omitempty"`      // repeats a stored record (a reissue sent twice)

	// Unsure says that the record is a report that may repeat a stored one; CollectedAt is then its
	// collection time and UnitHash the hash of its data unit (package stream's). A sink that cannot look
	// it up stores it as it is.
	Unsure      bool      `json:"-"`
	CollectedAt time.Time `json:"-"`
	UnitHash    uint64    `json:"-"`

	// Raw says what Body is: the frame's bytes (the gateway's keys above then travel beside it, as
	// the store's headers), or else one JSON object that holds those keys already.
	Raw  bool   `json:"-"`
	Body []byte `json:"-"`
}

// Payload is the form in which frames are stored.
type Payload string

// The forms of a stored frame. Frames that carry secrets (0x05, 0x0B) are stored as masked JSON in
// all three.
const (
	PayloadJSON Payload = "json" // one JSON object, the default
	PayloadRaw  Payload = "raw"  // the frame's bytes, the gateway's keys as headers
	PayloadBoth Payload = "both" // the JSON object plus "raw": the frame's bytes in hex
)
