package mqttdevice

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/session"
)

// PresenceEvent says that a device went online or offline. For each device the two take turns.
type PresenceEvent struct {
	ProductKey string
	DeviceName string
	Session    string // 16 hex digits, unique for each connection
	Node       string
	Remote     string // address it connected from
	Online     bool
	At         time.Time
	Reason     session.Reason
}

// Kind is the last token of the event's subject: "online" or "offline".
func (e *PresenceEvent) Kind() string {
	if e.Online {
		return "online"
	}
	return "offline"
}

// presenceKeys is its JSON, of which docs/schema is made.
type presenceKeys struct {
	DeviceName string            `json:"deviceName"`
	ProductKey string            `json:"productKey"`
	Protocol   string            `json:"protocol" schema:"const=mqtt"`
	Session    string            `json:"session" schema:"session"` // unique for each connection, the same in both of its events
	Node       string            `json:"node"`                     // the gateway that serves the device
	Remote     string            `json:"remote" schema:"remote"`
	At         session.Timestamp `json:"at"`
	Reason     session.Reason    `json:"reason"`
}

// MarshalJSON writes deviceName productKey protocol ("mqtt") session node remote at reason.
func (e PresenceEvent) MarshalJSON() ([]byte, error) {
	return json.Marshal(presenceKeys{e.DeviceName, e.ProductKey, "mqtt", e.Session, e.Node, e.Remote, session.At(e.At), e.Reason})
}

// about names the device and its session in a log line.
func (s *deviceSession) about() slog.Attr {
	return slog.Attr{Value: slog.GroupValue(slog.String("productKey", s.key.product), slog.String("deviceName", s.key.name), slog.String("session", s.id))}
}

// deviceSession is one connection of a device that has been let in.
type deviceSession struct {
	key    deviceKey
	id     string
	order  uint64  // of its CONNECT among all
	topics []Topic // of its product
	cl     *mqtt.Client
	pace   *rate.Limiter
	ctx    context.Context // ends with the connection
	end    context.CancelFunc

	publishing sync.Mutex // one delivery at a time, so that its packet can be told

	mu      sync.Mutex
	cause   session.Reason // why we end it, "" while it lives
	current *delivery      // the one that is being handed over
	waiting map[uint16]*delivery
}

// delivery is one message to a device.
type delivery struct {
	topic   string
	acked   func(error)
	packet  uint16 // 0: QoS 0
	dropped bool
}

// stop ends the connection for a reason of ours. It does not block.
func (s *deviceSession) stop(reason session.Reason, code packets.Code) {
	s.mu.Lock()
	first := s.cause == ""
	if first {
		s.cause = reason
	}
	s.mu.Unlock()
	if first {
		s.end()
		go s.close(code)
	}
}

// farewell is how long a device that does not read keeps us from closing its connection.
const farewell = time.Second

// close tells an MQTT 5 device why, and closes the connection.
func (s *deviceSession) close(code packets.Code) {
	if s.cl.Properties.ProtocolVersion == 5 {
		_ = s.cl.Net.Conn.SetWriteDeadline(time.Now().Add(farewell))
		_ = s.cl.WritePacket(packets.Packet{ // it is on its way out, whether it hears of it or not
			FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: code.Code,
		})
	}
	s.cl.Stop(code)
}

// reason tells why the connection has ended. err is what the broker saw, nil for a DISCONNECT of the device.
func (s *deviceSession) reason(err error) session.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	var code packets.Code
	var timeout net.Error
	switch {
	case s.cause != "":
		return s.cause
	case err == nil:
		return session.ReasonLogout
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return session.ReasonPeerClosed
	case errors.As(err, &timeout) && timeout.Timeout():
		return session.ReasonIdle
	case errors.As(err, &code):
		return session.ReasonProtocolError
	}
	return session.ReasonPeerClosed
}

// over ends what waits for the device.
func (s *deviceSession) over() {
	s.end()
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, d := range waiting {
		d.acked(ErrGone)
	}
}

// handedOver is the broker's word that the delivery under way has a packet id.
func (s *deviceSession) handedOver(topic string, packet uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.current; d != nil && d.topic == topic && d.packet == 0 && s.waiting != nil {
		d.packet = packet
		s.waiting[packet] = d
	}
}

// dropped is its word that there was no room.
func (s *deviceSession) dropped(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.current; d != nil && d.topic == topic {
		d.dropped = true
		delete(s.waiting, d.packet)
	}
}

// acknowledged is the device's word.
func (s *deviceSession) acknowledged(packet uint16) {
	s.mu.Lock()
	d := s.waiting[packet]
	delete(s.waiting, packet)
	s.mu.Unlock()
	if d != nil {
		d.acked(nil)
	}
}

// remoteOf is the address of a peer without what is no address.
func remoteOf(text string) string {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.String()
	}
	return ""
}
