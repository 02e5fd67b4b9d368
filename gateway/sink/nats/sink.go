package nats

import (
	"context"
	"fmt"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

// headerRoom is kept free below the server's max_payload for headers.
const headerRoom = 1 << 10

// Sink stores records: one message a frame in the stream GBT32960, or many in one message of
// GBT32960_BATCH (Options.Batch). It is the sink.Sink of this
// package; see there for what its methods promise. Get it from Store.Sink.
type Sink struct {
	store *Store
	pub   *publisher
	keys  *keyWriter
}

// Publish queues the record and returns false; Stored follows. A record larger than MaxBody can not
// be stored: it stays, is reported by Healthy, and waits for a server that takes it.
func (s *Sink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) (stored bool) {
	if s.pub.batch != nil {
		s.pub.batch.publish(r, to, ticket)
		return false
	}
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
	if r.Raw {
		m.buf = s.keys.appendEntry(b, r)
	} else {
		m.buf = append(b, r.Body...)
	}
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
