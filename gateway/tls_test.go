package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/certfiles"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{t: t, dir: t.TempDir(), key: key, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	require.NoError(a.t, os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// issue writes name.crt and name.key and returns the pair.
func (a *authority) issue(name, commonName string, dns ...string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName}, NotAfter: time.Now().Add(time.Hour), DNSNames: dns,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(a.t, err)
	a.write(name+".crt", "CERTIFICATE", der)
	a.write(name+".key", "EC PRIVATE KEY", keyDER)
	pair, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
	require.NoError(a.t, err)
	return pair
}

func (a *authority) server() *TLS {
	a.issue("server", "gateway")
	return &TLS{Cert: a.path("server.crt"), Key: a.path("server.key")}
}

func (h *house) dialTLS(t *testing.T, vin string, c *tls.Config) (*peer, error) {
	t.Helper()
	nc, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: wait}, Config: c}).DialContext(context.Background(), "tcp", h.g.Addrs()[0].String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &peer{t: t, nc: nc, in: codec.NewReader(nc, 0), vin: vin}, nil
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(o *Options) { o.Listeners[0].TLS = a.server() })
			p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool, MinVersion: version, MaxVersion: version})
			require.NoError(t, err)
			for _, b := range p.loginFrame() { // a record for each byte
				p.send([]byte{b})
			}
			p.answer(codec.CommandVehicleLogin)
			unit := append(wireTime(at), bytes.Repeat([]byte{0x80, 0, 1, '#'}, 16000)...)
			big := p.frame(codec.CommandRealtime, codec.FlagCommand, unit)
			var all []byte
			const n = 2000
			for i := range n {
				all = append(all, p.realtime(i)...)
			}
			go p.send(append(append([]byte(nil), big...), all...))
			p.answer(codec.CommandRealtime)
			for i := range n {
				require.Equal(t, wireTime(at.Add(time.Duration(i)*time.Second)), p.answer(codec.CommandRealtime).Unit())
			}
			p.send(p.frame(codec.CommandVehicleLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
			p.answer(codec.CommandVehicleLogout)
			require.NoError(t, p.nc.Close())
			eventually(t, "closed", func() bool { return h.g.connections.Load() == 0 })
		})
	}
}

// TestTLSWindow has answers wait for the store while encrypted input piles up.
func TestTLSWindow(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) { o.Listeners[0].TLS = a.server(); o.Limits.Window = 8 })
	h.sink.hold.Store(true)
	p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
	require.NoError(t, err)
	const n = 300
	go func() {
		p.send(p.loginFrame())
		for i := range n {
			p.send(p.realtime(i))
		}
	}()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				h.sink.confirm(5, true)
			}
		}
	}()
	p.answer(codec.CommandVehicleLogin)
	for i := range n {
		require.Equal(t, wireTime(at.Add(time.Duration(i)*time.Second)), p.answer(codec.CommandRealtime).Unit())
	}
}

func TestTLSRefusedLoginIsAnswered(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) { o.Listeners[0].TLS = a.server() })
	p, err := h.dialTLS(t, vinUnknown, &tls.Config{RootCAs: a.pool})
	require.NoError(t, err)
	p.send(p.loginFrame(), p.realtime(1))
	require.Equal(t, codec.FlagError, p.answer(codec.CommandVehicleLogin).Flag())
	p.ended() // a proper end of the TLS stream: no io.ErrUnexpectedEOF
}

func TestClientCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	h := newHouse(t, func(o *Options) {
		s := a.server()
		s.ClientCA, s.RequireVINMatch = a.path("ca.pem"), true
		o.Listeners[0].TLS = s
	})
	login := func(cert ...tls.Certificate) (codec.Flag, error) {
		p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool, Certificates: cert})
		if err != nil {
			return 0, err
		}
		if _, err = p.nc.Write(p.loginFrame()); err != nil {
			return 0, err
		}
		require.NoError(t, p.nc.SetReadDeadline(time.Now().Add(wait)))
		f, err := p.in.ReadFrame()
		if err != nil {
			return 0, err
		}
		return f.Flag(), nil
	}
	flag, err := login(a.issue("cn", vin1))
	require.NoError(t, err)
	require.Equal(t, codec.FlagSuccess, flag)
	flag, err = login(a.issue("san", "some box", vin1))
	require.NoError(t, err)
	require.Equal(t, codec.FlagSuccess, flag)
	flag, err = login(a.issue("wrong", vin2))
	require.NoError(t, err)
	require.Equal(t, codec.FlagError, flag)
	_, err = login()
	require.Error(t, err, "without a certificate")
	_, err = login(other.issue("foreign", vin1))
	require.Error(t, err, "with one that somebody else signed")
}

// TestPlatformCertificates: requireVinMatch binds a platform's link to its code or its user name; the password alone does not do.
func TestPlatformCertificates(t *testing.T) {
	a := newAuthority(t)
	var log lockedBuffer
	h := newHouse(t, func(o *Options) {
		s := a.server()
		s.ClientCA, s.RequireVINMatch = a.path("ca.pem"), true
		o.Listeners[0].TLS = s
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	login := func(password string, cert tls.Certificate) codec.Flag {
		p, err := h.dialTLS(t, platformCode, &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{cert}})
		require.NoError(t, err)
		p.send(p.platformLogin(password))
		return p.answer(codec.CommandPlatformLogin).Flag()
	}
	require.Equal(t, codec.FlagSuccess, login("test-password", a.issue("user", "tester")))
	require.Equal(t, codec.FlagSuccess, login("test-password", a.issue("dns", "some company", "x", "tester")))
	require.Equal(t, codec.FlagSuccess, login("test-password", a.issue("code", platformCode)))
	require.Equal(t, codec.FlagError, login("wrong", a.issue("user", "tester")), "the certificate alone does not do either")
	require.Equal(t, codec.FlagError, login("test-password", a.issue("car", vin1)), "a vehicle's certificate")
	require.Equal(t, codec.FlagError, login("test-password", a.issue("none", "")))
	require.Equal(t, 2.0, h.meter(t, "tboxgate_logins_total", "kind", "platform", "result", "certificate"))
	require.Regexp(t, `msg="login refused" remote=\S+ platform=`+platformCode+` kind=platform reason=certificate`, log.String())
}

func TestCertificateReload(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) { o.Listeners[0].TLS = a.server() })
	serial := func() string {
		p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
		require.NoError(t, err)
		return p.nc.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	a.issue("server", "gateway")
	require.NoError(t, h.g.Reload())
	after := serial()
	require.NotEqual(t, before, after)
	require.NoError(t, os.WriteFile(a.path("server.crt"), []byte("no certificate"), 0o600))
	require.ErrorContains(t, h.g.Reload(), a.path("server.crt"))
	require.Equal(t, after, serial(), "what was read before stays in use")
	require.InDelta(t, float64(time.Now().Add(time.Hour).Unix()), h.meter(t, "tboxgate_tls_certificate_expiry_timestamp_seconds"), 60)

	// Without being told: the next look at the files, which a test cannot wait for.
	a.issue("server", "gateway")
	c := h.g.listeners[0].certs
	config, err := c.Current(time.Now().Add(2 * certfiles.Look))
	require.NoError(t, err)
	require.NotEqual(t, after, certSerial(t, config))
}

func certSerial(t *testing.T, c *tls.Config) string {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	require.NoError(t, err)
	return cert.SerialNumber.String()
}

func TestTLSSettingsAreChecked(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, nil)
	for _, c := range []TLS{{}, {Cert: a.path("none")}, {Cert: a.path("none"), Key: a.path("none")}, {RequireVINMatch: true, Cert: "a", Key: "b"}} {
		opt := h.g.opt
		opt.Listeners = []Listener{{Address: "127.0.0.1:0", TLS: &c}}
		g, err := New(opt)
		require.NoError(t, err)
		require.ErrorContains(t, g.Start(), "tls")
	}
}

// TestHalfHandshakes: whoever does not finish the handshake is closed by its
// deadline, and only so many may try at once.
func TestHalfHandshakes(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) {
		o.Listeners[0].TLS = a.server()
		o.Listeners[0].HandshakeTimeout = time.Second
		o.Limits.Handshakes = 3
	})
	var silent []net.Conn
	for range 5 {
		nc, err := net.Dial("tcp", h.g.Addrs()[0].String())
		require.NoError(t, err)
		defer func() { _ = nc.Close() }()
		_, _ = nc.Write([]byte{22, 3, 1})
		silent = append(silent, nc)
	}
	for _, nc := range silent {
		require.NoError(t, nc.SetReadDeadline(time.Now().Add(wait)))
		_, err := io.ReadAll(nc)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	eventually(t, "all closed", func() bool { return h.g.connections.Load() == 0 })
	garbage := h.dial(t, vin1)
	garbage.send(garbage.loginFrame()) // plain text at a TLS port
	require.NoError(t, garbage.nc.SetReadDeadline(time.Now().Add(wait)))
	_, err := io.ReadAll(garbage.nc)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
	require.NoError(t, err)
	p.send(p.loginFrame())
	p.answer(codec.CommandVehicleLogin)
}

// TestTLSDoesNotLatchTemporaryErrors holds crypto/tls to what the loop relies
// on: a Read that found no input leaves the connection usable, in the middle of
// a record too. Should a new Go release change that, this fails.
func TestTLSDoesNotLatchTemporaryErrors(t *testing.T) {
	a := newAuthority(t)
	pair := a.issue("server", "gateway")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		near, far := net.Pipe()
		pipe := &tlsPipe{socket: far}
		server := tls.Server(pipe, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: version, MaxVersion: version})
		client := tls.Client(near, &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		// TLS 1.3 sends session tickets after the handshake, which the client must be there to read.
		go func() { _, _ = io.Copy(io.Discard, client) }()
		require.NoError(t, client.Handshake())
		require.NoError(t, <-done)

		wire := make(chan []byte, 100)
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := far.Read(buf)
				if err != nil {
					close(wire)
					return
				}
				wire <- append([]byte(nil), buf[:n]...)
			}
		}()
		pipe.socket = nil
		want := bytes.Repeat([]byte("GB/T 32960 "), 500)
		go func() {
			_, _ = client.Write(want)
			_ = near.Close()
		}()
		var got []byte
		buf := make([]byte, 1000)
		for b := range wire {
			for _, one := range b {
				pipe.in = []byte{one}
				for {
					n, err := server.Read(buf)
					got = append(got, buf[:n]...)
					if err != nil {
						require.ErrorIs(t, err, os.ErrDeadlineExceeded)
						break
					}
				}
			}
		}
		require.Equal(t, want, got)
		_ = far.Close()
	}
}

func TestProxyHeader(t *testing.T) {
	a := newAuthority(t)
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	v1 := []byte("PROXY TCP4 203.0.113.7 192.0.2.1 40000 8999\r\n")
	v2 := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 203, 0, 113, 7, 192, 0, 2, 1, 0x9c, 0x40, 0x23, 0x27)
	health := []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	for name, c := range map[string]struct {
		header []byte
		remote string
	}{"v1": {v1, "203.0.113.7:40000"}, "v2": {v2, "203.0.113.7:40000"}, "local": {health, "127.0.0.1"}} {
		for _, secure := range []bool{false, true} {
			h := newHouse(t, func(o *Options) {
				o.Listeners[0].ProxyFrom = local
				if secure {
					o.Listeners[0].TLS = a.server()
				}
			})
			p := h.dial(t, vin1)
			p.send(c.header[:5])
			time.Sleep(5 * time.Millisecond)
			if secure {
				p.send(c.header[5:])
				p.nc = tls.Client(p.nc, &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
				p.in = codec.NewReader(p.nc, 0)
				p.send(p.loginFrame())
			} else {
				p.send(append(append([]byte(nil), c.header[5:]...), p.loginFrame()...))
			}
			p.answer(codec.CommandVehicleLogin)
			require.Contains(t, h.sessions.Get(codec.MakeVIN([]byte(vin1))).Link.Remote().String(), c.remote, name)
		}
	}
	h := newHouse(t, func(o *Options) { o.Listeners[0].ProxyFrom = local })
	for name, b := range map[string][]byte{
		"none": (&peer{t: t, vin: vin1}).loginFrame(), "endless": bytes.Repeat([]byte("PROXY "), 100), "nonsense": []byte("PROXY UDP9 what\r\n"),
		"too long": append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"), 0),
	} {
		p := h.dial(t, vin1)
		p.send(b)
		require.NoError(t, p.nc.SetReadDeadline(time.Now().Add(wait)))
		_, err := io.ReadAll(p.nc)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, name)
	}
	h = newHouse(t, func(o *Options) { o.Listeners[0].ProxyFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	p := h.dial(t, vin1)
	_, _ = p.nc.Write(v1)
	require.NoError(t, p.nc.SetReadDeadline(time.Now().Add(wait)))
	_, err := io.ReadAll(p.nc)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "an address that may not speak for others")
	require.Zero(t, h.sessions.Len())
}

// TestTLSPeerThatEndsItsSide: what a peer has sent before the end of its TLS is taken, however much of it waits behind the window.
func TestTLSPeerThatEndsItsSide(t *testing.T) {
	const n = 100
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) { o.Listeners[0].TLS = a.server(); o.Limits.Window = 8 })
	h.sink.hold.Store(true)
	p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
	require.NoError(t, err)
	all := p.loginFrame()
	for i := range n {
		all = append(all, p.realtime(i)...)
	}
	p.send(all)
	require.NoError(t, p.nc.(*tls.Conn).CloseWrite())
	eventually(t, "the window is full", func() bool { return h.sink.count() >= 8 }) // more when the end came with the frames
	h.sink.confirm(1, false)                                                        // it reads on, up to the end
	eventually(t, "all records, offline", func() bool { return h.sink.count() == 1+n && h.sessions.Len() == 0 })
	h.sink.confirm(n, false)
	p.answer(codec.CommandVehicleLogin)
	for i := range n {
		require.Equal(t, wireTime(at.Add(time.Duration(i)*time.Second)), p.answer(codec.CommandRealtime).Unit())
	}
	p.ended()
}
