package mqtt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
)

// lanes is how many messages are under way at once, the broker's receive maximum permitting.
const lanes = 256

const (
	connectTimeout = 10 * time.Second
	ackTimeout     = 10 * time.Second // a PUBACK that has not come by then is taken for lost
)

// What may be wrong.
const (
	connecting = "connection" // there is none
	publishing = "publishing" // the broker refuses messages
)

// message is one record or event on its way.
type message struct {
	topic       string
	body        []byte
	contentType string
	properties  paho.UserProperties

	to     sink.Receiver
	ticket uint64
}

func (m *message) size() int { return len(m.body) }

// lane is the queue of some vehicles.
type lane struct {
	ring chan struct{}
	mu   sync.Mutex
	// queue holds what was not taken yet.
	queue []*message
}

// publish puts a message behind those of its vehicle.
func (s *Sink) publish(vin string, m *message) {
	if !s.tally.Take(m.size()) {
		return
	}
	h := uint32(2166136261) // FNV-1a
	for _, c := range []byte(vin) {
		h = (h ^ uint32(c)) * 16777619
	}
	l := &s.lanes[h%lanes]
	l.mu.Lock()
	l.queue = append(l.queue, m)
	l.mu.Unlock()
	select {
	case l.ring <- struct{}{}:
	default:
	}
}

// drive publishes a lane's messages, each until it is acknowledged.
func (s *Sink) drive(l *lane) {
	var all []*message
	for {
		l.mu.Lock()
		all, l.queue = l.queue, all[:0]
		l.mu.Unlock()
		for i, m := range all {
			if !s.deliver(m) {
				return
			}
			all[i] = nil
			s.tally.Stored(m.size(), m.to, m.ticket)
		}
		select {
		case <-l.ring:
		case <-s.quit.Done():
			return
		}
	}
}

// deliver publishes one message as often as it takes; false: the sink was closed before.
func (s *Sink) deliver(m *message) bool {
	for attempt := 1; ; attempt++ {
		if err := s.conn.AwaitConnection(s.quit); err != nil {
			return false
		}
		err := s.send(m)
		if err == nil {
			s.trouble(publishing+m.topic, nil)
			return true
		}
		if s.quit.Err() != nil {
			return false
		}
		s.tally.Retried(1)
		if refusal(err) {
			s.trouble(publishing+m.topic, fmt.Errorf("topic %s: %w", m.topic, err))
		}
		select {
		case <-time.After(tally.Backoff(attempt)):
		case <-s.quit.Done():
			return false
		}
	}
}

// errTooLarge says that the broker takes no message of this size.
var errTooLarge = errors.New("the message is larger than the broker takes (its maximum packet size)")

// errRefused says that the broker answered with an error.
var errRefused = errors.New("the broker refused the message")

func refusal(err error) bool { return errors.Is(err, errTooLarge) || errors.Is(err, errRefused) }

// packetRoom is what a packet has beside topic, payload and properties.
const packetRoom = 64

// send publishes a message once and waits for its acknowledgement.
func (s *Sink) send(m *message) error {
	size := len(m.topic) + len(m.body) + packetRoom
	for _, p := range m.properties {
		size += len(p.Key) + len(p.Value) + 5
	}
	if most := s.maxPacket.Load(); most > 0 && uint32(size) > most {
		return fmt.Errorf("%w: %d bytes, it takes %d", errTooLarge, size, most)
	}
	resp, err := s.conn.Publish(s.link.Load().ctx, &paho.Publish{
		QoS: 1, Topic: m.topic, Payload: m.body,
		Properties: &paho.PublishProperties{ContentType: m.contentType, User: m.properties},
	})
	if resp != nil && resp.ReasonCode >= 0x80 {
		return fmt.Errorf("%w: %s", errRefused, reason(resp))
	}
	return err
}

// reason names an MQTT 5 reason code of a PUBACK.
func reason(r *paho.PublishResponse) string {
	text := map[byte]string{
		0x80: "unspecified error", 0x83: "implementation specific error", 0x87: "not authorized", 0x90: "topic name invalid",
		0x91: "packet identifier in use", 0x97: "quota exceeded", 0x99: "payload format invalid",
	}[r.ReasonCode]
	if text == "" {
		text = "reason"
	}
	text = fmt.Sprintf("%s (0x%02X)", text, r.ReasonCode)
	if r.Properties != nil && r.Properties.ReasonString != "" {
		text += ": " + r.Properties.ReasonString
	}
	return text
}

// link ends with a connection, and with it whoever waits for an acknowledgement on it: the client's own
// session may overlook one that was sent while it broke.
type link struct {
	ctx  context.Context
	down context.CancelFunc
}

func (s *Sink) newLink() *link {
	ctx, cancel := context.WithCancel(s.quit)
	return &link{ctx, cancel}
}

// connected is told by the client that it has a connection.
func (s *Sink) connected(_ *autopaho.ConnectionManager, ack *paho.Connack) {
	var most uint32
	if ack.Properties != nil && ack.Properties.MaximumPacketSize != nil {
		most = *ack.Properties.MaximumPacketSize
	}
	s.maxPacket.Store(most)
	s.link.Store(s.newLink())
	s.trouble(connecting, nil)
}

// disconnected is told that the connection broke; true: make another.
func (s *Sink) disconnected() bool {
	s.link.Load().down()
	if s.quit.Err() == nil {
		s.trouble(connecting, errors.New("the connection to the broker broke"))
	}
	return true
}

// refused is told that there was no connection to be had.
func (s *Sink) refused(err error) {
	if s.quit.Err() == nil && !errors.Is(err, context.Canceled) {
		s.trouble(connecting, fmt.Errorf("no connection to the broker: %w", err))
	}
}

// thrownOut is told why the broker ended the connection.
func (s *Sink) thrownOut(d *paho.Disconnect) {
	why := ""
	if d.Properties != nil {
		why = d.Properties.ReasonString
	}
	s.log.Warn("mqtt: the broker ended the connection", "code", fmt.Sprintf("0x%02X", d.ReasonCode), "reason", why)
}

// trouble notes why nothing is stored, nil when it is again, and logs news.
func (s *Sink) trouble(of string, err error) {
	if !s.tally.Trouble(of, err) {
		return
	}
	if err != nil {
		s.log.Warn("mqtt: records wait", "error", err)
		return
	}
	if s.tally.Healthy() == nil {
		s.log.Info("mqtt: records are stored")
	}
}
