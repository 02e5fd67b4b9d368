//go:build linux

package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a server that answers each frame as respond says; nil is no answer.
func peer(t *testing.T, l net.Listener, respond func(codec.Frame) []byte) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			go func() {
				in := codec.NewReader(c, 0)
				for f, err := in.ReadFrame(); err == nil; f, err = in.ReadFrame() {
					if answer := respond(f); answer != nil {
						_, _ = c.Write(answer) // in vain after the end
					}
				}
			}()
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		<-ended
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func options(l net.Listener) Options {
	frame := blockOf(command(codec.CommandRealtime, "LTEST000000000001", make([]byte, 40)), "LTEST000000000001", 1)
	return Options{
		Addr: l.Addr().(*net.TCPAddr).AddrPort(), Connections: 3, Sources: 2, Window: 8, Block: 4, Frame: frame,
		Length: 50 * time.Millisecond, Runs: 3, Stall: time.Minute, CheckAnswers: true, LoginTimeout: time.Minute,
		PID: os.Getpid(),
	}
}

func success(f codec.Frame) []byte {
	return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes())
}

func TestRun(t *testing.T) {
	l := listen(t)
	peer(t, l, success)
	r, err := Run(t.Context(), options(l))
	require.NoError(t, err)
	require.Equal(t, 3, r.Connections)
	require.Len(t, r.Rates, 3)
	require.Positive(t, r.Rate)
	require.Positive(t, r.PerCPU)
	require.Positive(t, r.P50)
	require.GreaterOrEqual(t, r.P99, r.P50)
	require.Positive(t, r.LongestGap)
	require.Equal(t, codec.MinFrameSize+codec.TimeSize, r.AnswerSize)
	require.Zero(t, r.Wrong)
	require.Zero(t, r.Refused)
	require.Zero(t, r.Closed)
}

func TestPlatform(t *testing.T) {
	l := listen(t)
	seen := make(chan string, 1)
	peer(t, l, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandPlatformLogin {
			select {
			case seen <- string(f.Unit()[8:12]) + "|" + string(f.Unit()[20:24]):
			default:
			}
		}
		return success(f)
	})
	o := options(l)
	o.PlatformUser, o.PlatformPassword = "user", "pass"
	_, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "user|pass", <-seen)
}

// TestWrongAnswers: what is no right answer is not credited.
func TestWrongAnswers(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"check byte": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"start mark": func(b []byte) []byte { return append([]byte{0}, b...) },
		"flag":       func(b []byte) []byte { b[flagAt] = 0xFE; return b },
		"command":    func(b []byte) []byte { b[commandAt] = 7; return b },
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			peer(t, l, func(f codec.Frame) []byte {
				if f.Command() == codec.CommandRealtime {
					return spoil(success(f))
				}
				return success(f)
			})
			o := options(l)
			o.Stall = 200 * time.Millisecond
			r, err := Run(t.Context(), o)
			if err != nil {
				require.ErrorIs(t, err, ErrStalled, "nothing was credited")
			}
			require.Positive(t, r.Wrong)
		})
	}
}

func TestRefused(t *testing.T) {
	l := listen(t)
	peer(t, l, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandRealtime {
			return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
		}
		return success(f)
	})
	r, err := Run(t.Context(), options(l))
	require.NoError(t, err)
	require.Positive(t, r.Refused)
}

func TestRefusedLogin(t *testing.T) {
	l := listen(t)
	peer(t, l, func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes()) })
	_, err := Run(t.Context(), options(l))
	require.ErrorContains(t, err, "3 logins were refused")
}

func TestStall(t *testing.T) {
	l := listen(t)
	peer(t, l, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandRealtime {
			return nil
		}
		return success(f)
	})
	o := options(l)
	o.Length, o.Stall = time.Minute, 50*time.Millisecond
	_, err := Run(t.Context(), o)
	require.ErrorIs(t, err, ErrStalled)
	require.ErrorContains(t, err, "24 frames in flight")
}

func TestCancelled(t *testing.T) {
	l := listen(t)
	peer(t, l, success)
	o := options(l)
	o.Length = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestLoginsTakeTooLong(t *testing.T) {
	l := listen(t)
	peer(t, l, func(codec.Frame) []byte { return nil })
	o := options(l)
	o.LoginTimeout = 50 * time.Millisecond
	_, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "0 of 3 connections logged in: the logins took too long")
}

func TestValidate(t *testing.T) {
	l := listen(t)
	peer(t, l, success)
	for text, change := range map[string]func(*Options){
		"127.x.x.x":       func(o *Options) { o.Addr = netip.MustParseAddrPort("192.0.2.1:8999") },
		"connections":     func(o *Options) { o.Connections = 0 },
		"window":          func(o *Options) { o.Block = 9 },
		"runs":            func(o *Options) { o.Runs = 21 },
		"to be sent":      func(o *Options) { o.Frame = o.Frame[:30] },
		"nobody answers":  func(o *Options) { o.Frame = success(o.Frame) },
		"source":          func(o *Options) { o.Sources = 251 },
		"only the idle":   func(o *Options) { o.TLS = &tls.Config{} },
		"limit for stall": func(o *Options) { o.Stall = 0 },
	} {
		o := options(l)
		change(&o)
		_, err := Run(t.Context(), o)
		require.ErrorContains(t, err, text)
	}
}

func TestIdle(t *testing.T) {
	l := listen(t)
	peer(t, l, success)
	o := options(l)
	o.Hold = 20 * time.Millisecond
	looked := 0
	r, err := Idle(t.Context(), o, func() error { looked++; return nil })
	require.NoError(t, err)
	require.Equal(t, 3, r.Alive)
	require.Equal(t, 1, looked)
	require.Positive(t, r.Before)
	require.InDelta(t, float64(r.After-r.Before)/3, r.PerConn, 1e-9)
}

func TestIdleOverTLS(t *testing.T) {
	l := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	peer(t, l, success)
	o := options(l)
	o.Hold, o.TLS = 20*time.Millisecond, &tls.Config{InsecureSkipVerify: true}
	r, err := Idle(t.Context(), o, nil)
	require.NoError(t, err)
	require.Equal(t, 3, r.Alive)
}

// TestIdleCut: connections that the server ends are no idle connections.
func TestIdleCut(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		l := listen(t)
		o := options(l)
		if overTLS {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
			o.TLS = &tls.Config{InsecureSkipVerify: true}
		}
		cut := make(chan net.Conn, 3)
		peer(t, &handOut{l, cut}, success)
		o.Hold = 300 * time.Millisecond
		r, err := Idle(t.Context(), o, func() error {
			if err := (<-cut).Close(); err != nil {
				return err
			}
			time.Sleep(300 * time.Millisecond)
			return nil
		})
		require.ErrorContains(t, err, "2 of 3")
		require.Equal(t, 2, r.Alive)
	}
}

// handOut lets a test have the connections that are accepted.
type handOut struct {
	net.Listener
	to chan net.Conn
}

func (h *handOut) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		h.to <- c
	}
	return c, err
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestHistogram(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(.5))
	for i := range 1000 {
		h.observe(int64(i+1) * 1000)
	}
	require.InEpsilon(t, 500, h.quantile(.5), .07)
	require.InEpsilon(t, 990, h.quantile(.99), .07)
	h = histogram{}
	h.observe(-1)
	require.Equal(t, .001, h.quantile(.5))
}
