package nats

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// eventsMemory is how much the events that wait for the store may take. Events are few (logins,
// commands), so this is hours of an outage for a large fleet; beyond it new ones are lost, loudly.
const eventsMemory = 64 << 20

// lostEvery is how often lost events are logged at most.
const lostEvery = 10 * time.Second

// Events publishes what happens (presence, commands, refused logins) to the stream GBT32960_EVENTS,
// in the order of the calls, each until it is stored. Get it from Store.Events.
type Events struct {
	pub   *publisher
	log   *slog.Logger
	limit int64 // bytes

	mu     sync.Mutex
	lost   uint64 // events that had no room
	told   uint64 // of them logged
	logged time.Time
	large  time.Time // when a message was said to be too large
}

func newEvents(pub *publisher, log *slog.Logger) *Events {
	return &Events{pub: pub, log: log, limit: eventsMemory}
}

// Publish queues one event of a vehicle on gbt32960.event.<vin>.<kind>. It copies body and never
// blocks. When more than 64 MiB of events wait for the store, the event is lost and an error logged.
func (e *Events) Publish(vin codec.VIN, kind string, body []byte) {
	e.PublishDevice(vin.String(), kind, body)
}

// PublishDevice is Publish for a device of any protocol.
func (e *Events) PublishDevice(name, kind string, body []byte) {
	m := e.pub.take()
	b := append(m.buf[:0], SubjectEvents...)
	b = session.AppendToken(b, name)
	b = append(b, '.')
	b = session.AppendToken(b, kind)
	m.split = len(b)
	m.buf = append(b, body...)
	if e.pub.snapshot().WaitingBytes+int64(len(m.buf)) > e.limit {
		e.pub.drop(m)
		e.lose(kind)
		return
	}
	if !e.pub.publish(m) {
		e.log.Error("store: an event came after the store was closed and is lost", "kind", kind)
	}
}

// ErrBacklog says that too much waits for the store already.
var ErrBacklog = errors.New("nats: too much waits for the store")

// Message queues one message of an MQTT device on gbt32960.mqtt.<productKey>.<deviceName>. It copies
// body, does not block, and calls done at most once: with nil when the message is stored, with ErrBacklog
// when there is no room, with ErrTooLarge for what the server does not take, with ErrClosed after the end.
func (e *Events) Message(productKey, deviceName string, body []byte, done func(error)) {
	m := e.pub.take()
	b := append(m.buf[:0], SubjectMQTT...)
	b = session.AppendToken(b, productKey)
	b = append(b, '.')
	b = session.AppendToken(b, deviceName)
	m.split = len(b)
	m.buf = append(b, body...)
	if most := int(e.pub.nc.MaxPayload()); len(body) > most {
		e.tooLarge(m.subject(), len(body), most)
		e.pub.drop(m)
		done(ErrTooLarge)
		return
	}
	if e.pub.snapshot().WaitingBytes+int64(len(m.buf)) > e.limit {
		e.pub.drop(m)
		e.lose("message")
		done(ErrBacklog)
		return
	}
	m.to = storedFunc(done) // not m.done, which is for values that newer ones replace
	if !e.pub.publish(m) {
		done(ErrClosed)
	}
}

// storedFunc is a Receiver of one message.
type storedFunc func(error)

// Stored tells that it is stored.
func (f storedFunc) Stored(uint64) { f(nil) }

// tooLarge says that a message is larger than the server takes.
func (e *Events) tooLarge(subject string, size, most int) {
	e.mu.Lock()
	now := time.Now()
	said := now.Sub(e.large) < lostEvery
	if !said {
		e.large = now
	}
	e.mu.Unlock()
	if !said {
		e.log.Warn("store: a message of an MQTT device is larger than the server takes, and is not stored", "subject", subject,
			"bytes", size, "limitBytes", most, "remedy", "raise max_payload of the NATS server, or lower mqtt.packetSize")
	}
}

// Lost returns how many events had no room.
func (e *Events) Lost() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// lose counts a lost event and says so.
func (e *Events) lose(kind string) {
	e.mu.Lock()
	e.lost++
	now := time.Now()
	if now.Sub(e.logged) < lostEvery {
		e.mu.Unlock()
		return
	}
	n := e.lost - e.told
	e.told, e.logged = e.lost, now
	e.mu.Unlock()
	e.log.Error("store: events are LOST: too many wait for the store", "lost", n, "kind", kind,
		"limitBytes", e.limit, "error", e.pub.healthy())
}

// Stats returns counters for metrics.
func (e *Events) Stats() Stats { return e.pub.snapshot() }

// Close waits until all events are stored or ctx ends. The store stays open.
func (e *Events) Close(ctx context.Context) error { return e.pub.close(ctx) }
