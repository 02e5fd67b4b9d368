package vehicle

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// peer is the other end: it takes connections on loopback, keeps what it gets, and answers success
// with the request's time unless told otherwise.
type peer struct {
	t        *testing.T
	listener net.Listener
	addr     string
	answer   func(f codec.Frame) []byte // nil: the usual answer; an empty answer is none
	rough    bool                       // what is no frame is only counted
	damage   atomic.Int32               // stretches that were no frames
	takeover atomic.Bool                // a login closes the connection before

	frames chan codec.Frame // everything that came, copied
	conns  chan net.Conn

	mu     sync.Mutex
	open   []net.Conn
	closed bool
	wait   sync.WaitGroup
}

// usual answers success with the request's time, a heartbeat with nothing.
func usual(f codec.Frame) []byte {
	return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes())
}

func newPeer(t *testing.T, answer func(f codec.Frame) []byte) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if answer == nil {
		answer = usual
	}
	p := &peer{t: t, listener: listener, addr: listener.Addr().String(), answer: answer,
		frames: make(chan codec.Frame, 10000), conns: make(chan net.Conn, 10)}
	p.wait.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

func (p *peer) accept() {
	defer p.wait.Done()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			_ = conn.Close()
			return
		}
		p.open = append(p.open, conn)
		p.wait.Add(1)
		p.mu.Unlock()
		p.conns <- conn
		go p.serve(conn)
	}
}

func (p *peer) serve(conn net.Conn) {
	defer p.wait.Done()
	defer conn.Close()
	frames := codec.NewReader(conn, 0)
	for {
		f, err := frames.ReadFrame()
		var damage *codec.FrameError
		if errors.As(err, &damage) {
			p.damage.Add(1)
			if !p.rough {
				p.t.Errorf("the vehicle sent no frame: %v", err)
			}
			continue
		}
		if err != nil {
			return
		}
		f = append(codec.Frame(nil), f...)
		p.frames <- f
		if f.Command() == codec.CommandVehicleLogin && p.takeover.Load() {
			p.mu.Lock()
			for _, other := range p.open {
				if other != conn {
					_ = other.Close()
				}
			}
			p.mu.Unlock()
		}
		if f.Flag() != codec.FlagCommand {
			continue
		}
		if answer := p.answer(f); len(answer) > 0 {
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
}

func (p *peer) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for _, conn := range p.open {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

// portOf is the port on which a peer listens.
func portOf(p *peer) int { return p.listener.Addr().(*net.TCPAddr).Port }

// next returns the next frame of a command, skipping others.
func (p *peer) next(command codec.Command) codec.Frame {
	p.t.Helper()
	for f := range p.frames {
		if f.Command() == command {
			return f
		}
	}
	return nil
}
