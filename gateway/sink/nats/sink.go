package nats

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

// Headers of a raw record: the keys that the gateway adds to a record's JSON (receivedAt, node,
// session, remote, platform, duplicate), with the same values. One that is empty is absent.
const (
	HeaderReceivedAt = "Tboxgate-Received-At" // RFC 3339 UTC, milliseconds
	HeaderNode       = "Tboxgate-Node"
	HeaderSession    = "Tboxgate-Session"   // 16 hex digits
	HeaderRemote     = "Tboxgate-Remote"    // address:port
	HeaderPlatform   = "Tboxgate-Platform"  // code of the platform link
	HeaderDuplicate  = "Tboxgate-Duplicate" // "true"
)

// timeLayout is RFC 3339 with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// headerRoom is kept free below the server's max_payload for headers.
const headerRoom = 1 << 10

// Sink stores records, one message a frame, in the stream GBT32960. It is the sink.Sink of this
// package; see there for what its methods promise. Get it from Store.Sink.
type Sink struct {
	store *Store
	pub   *publisher
}

// Publish queues the record and returns false; Stored follows. A record larger than MaxBody can not
// be stored: it stays, is reported by Healthy, and waits for a server that takes it.
func (s *Sink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) (stored bool) {
	m := s.pub.take()
	s.fill(m, r)
	m.to, m.ticket = to, ticket
	s.pub.publish(m)
	return false
}

// fill writes the record into an empty message.
func (s *Sink) fill(m *message, r *sink.Record) {
	b := append(m.buf[:0], SubjectRecords...)
	b = session.AppendToken(b, r.VIN.String())
	b = append(b, '.')
	b = session.AppendToken(b, r.Command.Name(r.Edition))
	m.split = len(b)
	m.buf = append(b, r.Body...)
	if r.Raw {
		s.setHeaders(m, r)
	}
}

// setHeaders sets the gateway's keys of a raw record.
func (s *Sink) setHeaders(m *message, r *sink.Record) {
	m.setHeader(HeaderReceivedAt, r.ReceivedAt.UTC().Truncate(time.Millisecond).Format(timeLayout))
	if s.store.opts.Node != "" {
		m.setHeader(HeaderNode, s.store.opts.Node)
	}
	if r.Session != 0 {
		m.setHeader(HeaderSession, hex16(r.Session))
	}
	if r.Remote.IsValid() {
		m.setHeader(HeaderRemote, r.Remote.String())
	}
	if r.Platform != "" {
		m.setHeader(HeaderPlatform, r.Platform)
	}
	if r.Duplicate {
		m.setHeader(HeaderDuplicate, "true")
	}
}

// hex16 writes a session as everywhere else: 16 hex digits.
func hex16(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return hex.EncodeToString(b[:])
}

// MaxBody returns the largest Body in bytes that the server takes: its max_payload (8 MiB when it is
// embedded) less some room for headers. A larger record is to be published in its short form.
func (s *Sink) MaxBody() int { return int(s.pub.nc.MaxPayload()) - headerRoom }

// Healthy returns nil, or why records are not being stored: the server's refusal, a broken
// connection, a disk that takes no writes, or that the oldest record waits for more than 5 s.
func (s *Sink) Healthy() error {
	if err := s.store.brokenReason(); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	if err := s.pub.healthy(); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// Stats returns counters for metrics.
func (s *Sink) Stats() Stats { return s.pub.snapshot() }

// Close waits until all records are stored or ctx ends. The store stays open.
func (s *Sink) Close(ctx context.Context) error { return s.pub.close(ctx) }
