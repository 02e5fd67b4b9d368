package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tboxgate/tboxgate/codec"
)

// peerSerials collects the serial numbers of the client certificates that a broker was shown.
type peerSerials struct {
	mu      sync.Mutex
	serials map[int64]bool
}

func (s *peerSerials) verify(c tls.ConnectionState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serials[c.PeerCertificates[0].SerialNumber.Int64()] = true
	return nil
}

func (s *peerSerials) has(serial int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serials[serial]
}

// TestKafkaClientCertificate: a broker that wants a certificate of its clients and SCRAM on top of it. A renewed certificate is
// shown at the next connection; without one nothing is stored, and /readyz says so.
func TestKafkaClientCertificate(t *testing.T) {
	dir := t.TempDir()
	server := certificate(t, dir, "broker", 1)
	certificate(t, dir, "client", 2)
	certificate(t, dir, "renewed", 3)
	clients := x509.NewCertPool()
	for _, name := range []string{"client", "renewed"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".crt"))
		require.NoError(t, err)
		require.True(t, clients.AppendCertsFromPEM(text))
	}
	seen := &peerSerials{serials: map[int64]bool{}}
	k := startKafka(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "gateway", "secret-word"), kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, VerifyConnection: seen.verify,
		SessionTicketsDisabled: true, // a resumed session shows no certificate
	}))
	sinkConfig := func(security string) string {
		return writeFile(t, "t.yaml", fmt.Sprintf("nats: {maxBytes: 1GiB}\nsinks:\n- type: kafka\n  brokers: [%q]\n  sasl: scram-sha-512\n  user: gateway\n  password: secret-word\n"+
			"  createTopics: {partitions: 1}\n  tls: {ca: %q%s}\n", k.ListenAddrs()[0], filepath.Join(dir, "broker.crt"), security))
	}
	pair := fmt.Sprintf(", cert: %q, key: %q", filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))

	g := serve(t, dataDir(t), "--dev", "--config", sinkConfig(pair))
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	v.report(1)
	v.answered(codec.CommandRealtime) // Kafka has it
	require.True(t, seen.has(2))
	for _, kind := range []string{".crt", ".key"} {
		require.NoError(t, os.Rename(filepath.Join(dir, "renewed"+kind), filepath.Join(dir, "client"+kind)))
	}
	require.False(t, seen.has(3))
	k.setAway(true)
	k.setAway(false)
	v.report(2)
	v.answered(codec.CommandRealtime)
	require.True(t, seen.has(3))
	v.leave()
	g.interrupt(t)

	g = serve(t, dataDir(t), "--dev", "--config", sinkConfig(""))
	require.Eventually(t, func() bool { return strings.Contains(g.ready(t, 503), "certificate required") }, patience, 20*time.Millisecond)
	v = connectSinkVehicle(t, g.Addresses.Vehicles[0])
	v.silent()
	v.leave()
	require.NoError(t, g.cmd.Process.Kill())
	<-g.ended
}

// TestStoreOverTLS: an external NATS server with a certificate of an authority of its own, which wants one of its clients too.
func TestStoreOverTLS(t *testing.T) {
	dir := t.TempDir()
	pair := certificate(t, dir, "nats", 1)
	certificate(t, dir, "client", 2)
	clients := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(dir, "client.crt"))
	require.NoError(t, err)
	require.True(t, clients.AppendCertsFromPEM(text))
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		TLSTimeout: patience.Seconds(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}})
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(patience))
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })

	file := func(name string) string { return filepath.Join(dir, name) }
	store := func(security string) string {
		return writeFile(t, "t.yaml", fmt.Sprintf("nats: {url: \"nats://%s\", maxBytes: 1GiB, tls: {%s}}\n", s.Addr(), security))
	}
	whole := store(fmt.Sprintf("ca: %q, cert: %q, key: %q", file("nats.crt"), file("client.crt"), file("client.key")))
	code, stdout, stderr := tboxgate(t, "", "config", "check", "--config", whole)
	require.Zero(t, code, stderr)
	require.Equal(t, "ok\n", stdout)
	g := serve(t, dataDir(t), "--dev", "--config", whole)
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	v.report(1)
	v.answered(codec.CommandRealtime)
	v.leave()
	g.interrupt(t)

	code, _, stderr = tboxgate(t, "", "serve", "--dev", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--data-dir", dataDir(t), "--config", store(fmt.Sprintf("ca: %q", file("client.crt"))))
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "certificate signed by unknown authority")
}

// TestConfigCheckReadsTheStoresFiles: what config check calls good, serve can open.
func TestConfigCheckReadsTheStoresFiles(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	code, _, stderr := tboxgate(t, "", "config", "check", "--config", writeFile(t, "t.yaml", fmt.Sprintf(`nats: {url: "nats://a", credentialsFile: %q, tls: {ca: %q}}
sinks:
- {type: nats}
- {type: kafka, brokers: ["a:1"], tls: {ca: %q}}
- {type: mqtt, url: "mqtts://a", user: a, passwordFile: %q}
`, none, none, none, none)))
	require.Equal(t, exitError, code)
	for _, key := range []string{"nats.tls.ca: ", "nats.credentialsFile: ", "sinks[1].tls.ca: ", "sinks[2].passwordFile: "} {
		require.Contains(t, stderr, key+"open "+none)
	}
}
