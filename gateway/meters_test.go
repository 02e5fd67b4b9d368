package gateway

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// meter reads one series; the labels are name, value, name, value …
func (h *house) meter(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := h.g.opt.Metrics.Registry().Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if matches(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func matches(m *dto.Metric, labels []string) bool {
	have := map[string]string{}
	for _, l := range m.GetLabel() {
		have[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(labels); i += 2 {
		if have[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// TestConnectionsByListenerAndKind follows connections through all that they can become.
func TestConnectionsByListenerAndKind(t *testing.T) {
	h := newHouse(t, nil)
	expect := func(login, vehicle, platform float64) {
		t.Helper()
		eventually(t, "counted", func() bool {
			kind := func(k string) float64 {
				return h.meter(t, "tboxgate_listener_connections", "listener", "127.0.0.1:0", "kind", k)
			}
			return kind("login") == login && kind("vehicle") == vehicle && kind("platform") == platform
		})
	}
	expect(0, 0, 0)
	idle := h.dial(t, vin2)
	expect(1, 0, 0)
	v := h.login(t, vin1)
	expect(1, 1, 0)
	v.send(v.loginFrame()) // a re-login changes nothing
	v.answer(codec.CommandVehicleLogin)
	expect(1, 1, 0)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	p.answer(codec.CommandPlatformLogin)
	expect(1, 1, 1)
	p.send(p.frame(codec.CommandPlatformLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
	p.answer(codec.CommandPlatformLogout)
	expect(2, 1, 0)
	require.Equal(t, "127.0.0.1:0", h.sessions.Get(codec.MakeVIN([]byte(vin1))).Link.(interface{ Listener() string }).Listener())
	for _, c := range []*peer{idle, v, p} {
		require.NoError(t, c.nc.Close())
	}
	expect(0, 0, 0)
	require.Equal(t, 3.0, h.meter(t, "tboxgate_listener_connections_opened_total", "listener", "127.0.0.1:0"))
}

// TestVehiclesClockAndEncryption: realtime reports tell a vehicle's clock, reissued ones do not, and encrypted units
// are counted with their vehicle.
func TestVehiclesClockAndEncryption(t *testing.T) {
	h := newHouse(t, nil)
	v := h.login(t, vin1)
	s := h.sessions.Get(codec.MakeVIN([]byte(vin1)))
	send := func(cmd codec.Command, collected time.Time) {
		v.send(v.frame(cmd, codec.FlagCommand, append(wireTime(collected), 0x04, 0x01, 0x0b, 0xb8, 0x01, 0xf4)))
		v.answer(cmd)
	}
	send(codec.CommandReissue, time.Now().Add(-24*time.Hour))
	_, known := s.ClockOff()
	require.False(t, known)
	send(codec.CommandRealtime, time.Now().Add(-2*time.Hour))
	send(codec.CommandReissue, time.Now().Add(-24*time.Hour))
	off, known := s.ClockOff()
	require.True(t, known)
	require.InDelta(t, -7200, off.Seconds(), 60)

	head := codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand, Encryption: codec.EncryptionAES}
	copy(head.VIN[:], vin1)
	sealed, err := codec.AppendFrame(nil, head, make([]byte, 32))
	require.NoError(t, err)
	v.send(sealed)
	require.Equal(t, codec.FlagError, v.answer(codec.CommandRealtime).Flag())
	require.EqualValues(t, 1, s.SealedFrames())
	require.Equal(t, 1.0, h.meter(t, "tboxgate_encrypted_frames_total", "method", "aes"))
	require.Equal(t, 1.0, h.meter(t, "tboxgate_bad_frames_total", "reason", "encrypted"))
	require.Zero(t, h.meter(t, "tboxgate_bad_frames_total", "reason", "time"))
	require.Equal(t, float64(len(sealed)), h.meter(t, "tboxgate_frame_bytes_total", "command", "realtime", "edition", "2016")-
		float64(len(v.realtime(0))), "the sealed one beside one plain report")
}

// TestHandshakeResults: every way in which a handshake ends has its word.
func TestHandshakeResults(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	h := newHouse(t, func(o *Options) {
		o.Listeners[0].TLS = a.server()
		o.Listeners[0].TLS.ClientCA = a.path("ca.pem")
		o.Listeners[0].HandshakeTimeout = time.Second
	})
	client := a.issue("client", vin1)
	count := func(result, version string) {
		t.Helper()
		eventually(t, result, func() bool {
			return h.meter(t, "tboxgate_tls_handshakes_total", "result", result, "version", version) == 1
		})
	}
	dial := func(c *tls.Config) {
		if p, err := h.dialTLS(t, vin1, c); err == nil { // with 1.3 a client learns of a refusal later
			_ = p.nc.Close()
		}
	}
	dial(&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{client}, MaxVersion: tls.VersionTLS12})
	count("ok", "1.2")
	dial(&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{client}})
	count("ok", "1.3")
	dial(&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{other.issue("foreign", vin1)}})
	count("clientCertificate", "")
	dial(&tls.Config{RootCAs: other.pool, Certificates: []tls.Certificate{client}})
	count("refusedByPeer", "")
	dial(&tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	count("noCommonParameters", "")

	raw := func(b []byte) net.Conn {
		nc, err := net.Dial("tcp", h.g.Addrs()[0].String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = nc.Close() })
		_, err = nc.Write(b)
		require.NoError(t, err)
		return nc
	}
	raw((&peer{t: t, vin: vin1}).loginFrame())
	count("notTLS", "")
	require.NoError(t, raw([]byte{0x16, 3}).Close())
	count("peerClosed", "")
	raw(nil)
	count("timeout", "")
	require.Equal(t, 6.0, h.meter(t, "tboxgate_connections_refused_total", "listener", "127.0.0.1:0", "reason", "tlsHandshake"))
}
