package gateway

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

const wait = 10 * time.Second

// kept is a record that a heldSink has been given.
type kept struct {
	rec    sink.Record
	body   string
	to     sink.Receiver
	ticket uint64
}

// heldSink keeps records and confirms them when the test says so.
type heldSink struct {
	hold atomic.Bool // keep records until confirm is called; else they are stored at once

	mu   sync.Mutex
	all  []kept // every record ever published
	open []kept // not confirmed
}

func (s *heldSink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := kept{*r, string(r.Body), to, ticket}
	k.rec.Body = nil
	s.all = append(s.all, k)
	if !s.hold.Load() {
		return true
	}
	s.open = append(s.open, k)
	return false
}

func (s *heldSink) Healthy() error              { return nil }
func (s *heldSink) Close(context.Context) error { return nil }

func (s *heldSink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *heldSink) records() []kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]kept(nil), s.all...)
}

// confirm confirms up to n open records, oldest first, or the newest first.
func (s *heldSink) confirm(n int, newestFirst bool) {
	s.mu.Lock()
	n = min(n, len(s.open))
	open := append([]kept(nil), s.open[:n]...)
	s.open = append([]kept(nil), s.open[n:]...)
	s.mu.Unlock()
	for i := range open {
		k := open[i]
		if newestFirst {
			k = open[len(open)-1-i]
		}
		k.to.Stored(k.ticket)
	}
}

// heard is a Commands that notes what it is told.
type heard struct {
	panics atomic.Bool

	mu      sync.Mutex
	answers []string // VIN and command
}

func (h *heard) Answer(s *session.Session, f codec.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.panics.Load() {
		panic("a fault in the command room")
	}
	h.answers = append(h.answers, s.VIN.String()+" "+f.Command().Name(f.Edition()))
}

func (h *heard) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.answers...)
}

// house is a gateway under test with everything it needs.
type house struct {
	g         *Gateway
	sink      *heldSink
	sessions  *session.Table
	platforms *session.Platforms
	commands  *heard

	mu     sync.Mutex
	events []session.PresenceEvent
}

func (h *house) presence() []session.PresenceEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]session.PresenceEvent(nil), h.events...)
}

const (
	vin1, vin2, vinUnknown = "LTEST000000000001", "LTEST000000000002", "LTEST00000000000X"
	platformCode           = "TESTPLATFORM00001"
)

// newHouse starts a gateway on a loopback port; edit may change the options.
func newHouse(t *testing.T, edit func(*Options)) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{sink: &heldSink{}, commands: &heard{}}
	h.sessions = session.NewTable(func(e session.PresenceEvent) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}, "test")
	reg, err := session.OpenRegistry(ctx, memkv.New(), session.RegistryOptions{Node: "test"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reg.Close(ctx)) })
	_, err = reg.Register(ctx, "gbt32960", []string{vin1, vin2})
	require.NoError(t, err)
	box, err := seal.New(make([]byte, 32))
	require.NoError(t, err)
	h.platforms, err = session.OpenPlatforms(ctx, memkv.New(), box, session.PlatformsOptions{
		OnBarred: func(code codec.VIN) { h.sessions.ClosePlatform(code.String(), session.ReasonKicked) },
	})
	require.NoError(t, err)
	t.Cleanup(h.platforms.Close)
	require.NoError(t, h.platforms.Create(ctx, platformCode, "tester", "test-password", false))
	opt := Options{
		Listeners: []Listener{{Address: "127.0.0.1:0"}}, Sink: h.sink, Sessions: h.sessions, Commands: h.commands,
		Gate: &session.Gate{Registry: reg, Platforms: h.platforms}, Metrics: metrics.New(), Node: "test", Loops: 2, DrainWindow: time.Millisecond,
	}
	if edit != nil {
		edit(&opt)
	}
	h.g, err = New(opt)
	require.NoError(t, err)
	require.NoError(t, h.g.Start())
	t.Cleanup(func() { require.NoError(t, h.g.Close()) })
	return h
}

// peer is one test connection.
type peer struct {
	t   *testing.T
	nc  net.Conn
	in  *codec.Reader
	vin string
}

func (h *house) dial(t *testing.T, vin string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", h.g.Addrs()[0].String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	return &peer{t: t, nc: nc, in: codec.NewReader(nc, 0), vin: vin}
}

// login dials and logs the vehicle in.
func (h *house) login(t *testing.T, vin string) *peer {
	t.Helper()
	p := h.dial(t, vin)
	p.send(p.loginFrame())
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandVehicleLogin).Flag())
	return p
}

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, codec.Beijing)

func (p *peer) frame(cmd codec.Command, flag codec.Flag, unit []byte) []byte {
	return frameOf(p.t, codec.Edition2016, p.vin, cmd, flag, unit)
}

func frameOf(t *testing.T, e codec.Edition, vin string, cmd codec.Command, flag codec.Flag, unit []byte) []byte {
	t.Helper()
	h := codec.Header{Edition: e, Command: cmd, Flag: flag, Encryption: codec.EncryptionNone}
	copy(h.VIN[:], vin)
	b, err := codec.AppendFrame(nil, h, unit)
	require.NoError(t, err)
	return b
}

func wireTime(t time.Time) []byte { return codec.AppendTime(nil, t) }

func (p *peer) loginFrame() []byte {
	u := append(wireTime(at), 0, 1)
	u = append(u, "89860000000000000001"...)
	return p.frame(codec.CommandVehicleLogin, codec.FlagCommand, append(u, 1, 0))
}

// realtime is a report with an engine item, at second s.
func (p *peer) realtime(s int) []byte {
	u := append(wireTime(at.Add(time.Duration(s)*time.Second)), 0x04, 0x01, 0x0b, 0xb8, 0x01, 0xf4)
	return p.frame(codec.CommandRealtime, codec.FlagCommand, u)
}

func (p *peer) platformLogin(password string) []byte {
	u := append(wireTime(at), 0, 1)
	user, pass := make([]byte, 12), make([]byte, 20)
	copy(user, "tester")
	copy(pass, password)
	u = append(append(append(u, user...), pass...), 1)
	return p.frame(codec.CommandPlatformLogin, codec.FlagCommand, u)
}

func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	for _, f := range frames {
		_, err := p.nc.Write(f)
		require.NoError(p.t, err)
	}
}

// answer reads one frame, which must be for the command.
func (p *peer) answer(cmd codec.Command) codec.Frame {
	p.t.Helper()
	require.NoError(p.t, p.nc.SetReadDeadline(time.Now().Add(wait)))
	f, err := p.in.ReadFrame()
	require.NoError(p.t, err)
	require.Equal(p.t, cmd, f.Command())
	return f
}

// quiet says that nothing arrives for a moment.
func (p *peer) quiet() {
	p.t.Helper()
	require.NoError(p.t, p.nc.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	n, err := p.nc.Read(make([]byte, 1)) // not through p.in, which would remember the error
	require.Zero(p.t, n)
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded)
}

// ended says that the gateway has closed the connection, with nothing before the end.
func (p *peer) ended() {
	p.t.Helper()
	require.NoError(p.t, p.nc.SetReadDeadline(time.Now().Add(wait)))
	f, err := p.in.ReadFrame()
	require.ErrorIs(p.t, err, io.EOF, "got %x", []byte(f))
	_ = p.nc.Close()
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, wait, 2*time.Millisecond, what)
}
