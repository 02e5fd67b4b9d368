package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// standIn is a gateway that answers every frame of vehicles with success and its time.
type standIn struct {
	addr  string
	ahead time.Duration // of its clock
	deaf  bool          // connections before end get no answer to reports

	mu    sync.Mutex
	names []string // of the client certificates
	conns []net.Conn
}

func newStandIn(t *testing.T, l net.Listener, change ...func(*standIn)) *standIn {
	s := &standIn{addr: l.Addr().String()}
	for _, f := range change {
		f(s)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s
}

func (s *standIn) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	frames := codec.NewReader(conn, 0)
	for first := true; ; first = false {
		f, err := frames.ReadFrame()
		if err != nil {
			return
		}
		if tc, ok := conn.(*tls.Conn); ok && first {
			if peers := tc.ConnectionState().PeerCertificates; len(peers) > 0 {
				s.mu.Lock()
				s.names = append(s.names, peers[0].Subject.CommonName)
				s.mu.Unlock()
			}
		}
		unit := f.TimeBytes()
		if f.Command() == codec.CommandTimeSync {
			unit = codec.AppendTime(nil, time.Now().Add(s.ahead))
		}
		s.mu.Lock()
		deaf := s.deaf && f.Command() == codec.CommandRealtime
		s.mu.Unlock()
		if deaf {
			continue
		}
		if _, err := conn.Write(codec.AppendAnswer(nil, f, codec.FlagSuccess, unit)); err != nil {
			return
		}
	}
}

// cut ends all connections; what comes on others is answered.
func (s *standIn) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = false
	for _, conn := range s.conns {
		_ = conn.Close()
	}
}

func TestSimulateMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("bad.yaml", []byte("faults: [{fault: flood}]"), 0o600))
	require.NoError(t, os.WriteFile("empty.pem", nil, 0o600))
	for args, want := range map[string]string{
		"--edition 2020":              "tboxgate simulate: --edition is 2016, 2025 or both\nSee: tboxgate simulate --help\n",
		"--summary xml":               "tboxgate simulate: --summary is json, text or auto\nSee: tboxgate simulate --help\n",
		"--platform P --edition both": "tboxgate simulate: --edition both: the link of a platform has one edition\nSee: tboxgate simulate --help\n",
		"--drive fast":                "tboxgate simulate: --drive: vehicle: unknown drive \"fast\" (want road or day)\nSee: tboxgate simulate --help\n",
		"--ca x.pem":                  "tboxgate simulate: --ca needs --tls\nSee: tboxgate simulate --help\n",
		"--tls --cert x.pem":          "tboxgate simulate: --cert and --key go together\nSee: tboxgate simulate --help\n",
		"--tls --ca none.pem":         "tboxgate: open none.pem: no such file or directory\n",
		"--tls --ca empty.pem":        "tboxgate: empty.pem: no certificate in it\n",
		"--script bad.yaml":           "tboxgate: bad.yaml: vehicle: faults[0]: unknown fault \"flood\" (want badCheck, blindZone, drop, duplicateVIN, garbage, slowReader, splitFrames)\n",
		"--script none.yaml":          "tboxgate: open none.yaml: no such file or directory\n",
		"--pace 0.001":                "tboxgate simulate: vehicle: a pace of 0.001 (want 0.01 to 1000)\nSee: tboxgate simulate --help\n",
	} {
		_, _, stderr := tboxgate(t, "", append([]string{"simulate"}, strings.Fields(args)...)...)
		require.Equal(t, want, stderr, args)
	}
}

func TestEnoughDescriptors(t *testing.T) {
	require.NoError(t, enoughDescriptors(1))
	require.ErrorContains(t, enoughDescriptors(1<<40), "1099511627776 vehicles need 1099511627808 open files and the limit is ")
}

// TestSimulateScript: faults are played, everything is answered all the same, and the summaries say so.
func TestSimulateScript(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := newStandIn(t, l)
	script := filepath.Join(t.TempDir(), "faults.yaml")
	require.NoError(t, os.WriteFile(script, []byte("faults:\n  - {share: 100%, for: 1m, fault: splitFrames}\n"), 0o600))
	args := []string{"simulate", "--addr", s.addr, "--vehicles", "4", "--edition", "both", "--reports", "3", "--period", "20ms", "--ramp", "0s",
		"--drive", "road", "--script", script}
	code, stdout, stderr := tboxgate(t, "", args...)
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	var out summary
	require.NoError(t, json.Unmarshal([]byte(stdout), &out))
	require.EqualValues(t, 4, out.Faults)
	require.EqualValues(t, 12, out.Reports)
	require.EqualValues(t, 4, out.TimeSyncs)
	require.EqualValues(t, 4, out.Skew.Answers)
	require.InDelta(t, 0, out.Skew.Mean, 60_000)
	require.Equal(t, out.Sent, out.Acked)
	require.Positive(t, out.RTT.P999)

	code, stdout, stderr = tboxgate(t, "", append(args, "--summary", "text")...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "answered   24 success, 0 late, 0 refused, 0 wrong, 0 without an answer\n")
}

// TestSimulateOurselves plays every fault against our own gateway, in both editions and over a platform's
// link: whatever happens on the way, in the end everything is answered.
func TestSimulateOurselves(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	script := filepath.Join(t.TempDir(), "faults.yaml")
	require.NoError(t, os.WriteFile(script, []byte(`faults:
  - {at: 100ms, share: 50%, fault: badCheck}
  - {at: 100ms, share: 50%, fault: garbage}
  - {at: 200ms, for: 300ms, share: 50%, fault: splitFrames}
  - {at: 300ms, for: 300ms, share: 30%, fault: slowReader}
  - {at: 700ms, share: 30%, fault: duplicateVIN}
  - {at: 1s, for: 1s, share: 30%, fault: drop}
  - {at: 1s, for: 2200ms, share: 30%, fault: blindZone}
`), 0o600))
	args := []string{"simulate", "--addr", g.Addresses.Vehicles[0], "--period", "100ms", "--ramp", "100ms", "--script", script, "--cells", "300",
		"--answer-timeout", "60s", "--pace", "10", "--duration", "5s"}
	var out summary
	code, stdout, stderr := tboxgate(t, "", append(args, "--vehicles", "40", "--edition", "both")...)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &out))
	require.Greater(t, out.Faults, uint64(60))
	require.Positive(t, out.Reconnects)
	require.Positive(t, out.Reissues)
	require.Positive(t, out.Damaged)

	code, stdout, stderr = tboxgate(t, "", append(args, "--vin", "LTEST000000001001", "--vehicles", "20", "--platform", "TESTPLATFORM00001", "--seed", "3")...)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &out))
	require.Positive(t, out.Faults)
	require.Zero(t, out.Unanswered+out.Wrong+out.Refused)
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// TestSimulateTLS: each vehicle shows the certificate that the template names.
func TestSimulateTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newTestCA(t, dir)
	vins := []string{"LTEST000000000001", "LTEST000000000002"}
	for _, vin := range append(vins, "server") {
		ca.issue(t, vin)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool,
	})
	require.NoError(t, err)
	s := newStandIn(t, l)
	args := []string{"simulate", "--addr", s.addr, "--vehicles", "2", "--reports", "2", "--period", "10ms", "--ramp", "0s", "--drive", "road",
		"--tls", "--ca", filepath.Join(dir, "ca.crt")}
	template := []string{"--cert", filepath.Join(dir, "{vin}.crt"), "--key", filepath.Join(dir, "{vin}.key")}
	code, _, stderr := tboxgate(t, "", append(args, template...)...)
	require.Zero(t, code, stderr)
	require.ElementsMatch(t, vins, s.names)

	code, _, stderr = tboxgate(t, "", append(append(args, template...), "--server-name", "gateway.example")...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "gateway.example")
	code, _, stderr = tboxgate(t, "", append(append(args, template...), "--server-name", "gateway.example", "--insecure")...)
	require.Zero(t, code, stderr)
	one := []string{"--cert", filepath.Join(dir, "LTEST000000000001.crt"), "--key", filepath.Join(dir, "LTEST000000000001.key")}
	s.names = nil
	code, _, stderr = tboxgate(t, "", append(args, one...)...)
	require.Zero(t, code, stderr)
	require.Equal(t, []string{vins[0], vins[0]}, s.names)
	code, _, stderr = tboxgate(t, "", append(args, "--cert", filepath.Join(dir, "{vin}.none"), "--key", filepath.Join(dir, "{vin}.key"))...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the client certificate cannot be read")

	s.names = nil
	probe := append([]string{"probe", "--tls", "--ca", filepath.Join(dir, "ca.crt"), "--vins", "2", "--case", "answer.heartbeat"}, template...)
	code, stdout, stderr := tboxgate(t, "", append(probe, s.addr)...)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.ElementsMatch(t, vins, s.names, "a case a VIN, each with its certificate")
}

// testCA signs certificates of tests.
type testCA struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	n    int64
}

func newTestCA(t *testing.T, dir string) *testCA {
	ca := &testCA{dir: dir, pool: x509.NewCertPool()}
	ca.issue(t, "ca")
	ca.pool.AddCert(ca.cert)
	return ca
}

// issue writes NAME.crt and NAME.key; the first certificate is the authority's own.
func (ca *testCA) issue(t *testing.T, name string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca.n++
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(ca.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if ca.cert == nil {
		cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign
		ca.cert, ca.key = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.cert, &key.PublicKey, ca.key)
	require.NoError(t, err)
	if cert.IsCA {
		ca.cert, err = x509.ParseCertificate(der)
		require.NoError(t, err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for ext, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: raw}} {
		require.NoError(t, os.WriteFile(filepath.Join(ca.dir, name+ext), pem.EncodeToMemory(block), 0o600))
	}
}

// TestSimulateShows: the table and the line say the same of a run.
func TestSimulateShows(t *testing.T) {
	s := &simulation{vehicles: 5}
	now := vehicle.Stats{Sent: 70, Acked: 60, Late: 2, Refused: 3, Reports: 40, Reissues: 7, Reconnects: 1, Commands: 4}
	f := vehicle.Fleet{vehicle.StateOffline: 1, vehicle.StateDriving: 2, vehicle.StateAlarm: 1, vehicle.StateCharging: 1}
	rows := s.table(now, 12.4, f, 90*time.Second)
	require.Equal(t, "  time       1m30s", rows[0])
	require.Equal(t, "  vehicles   4 of 5 online: 2 driving, 1 charging, 0 parked, 1 in alarm", rows[1])
	require.Equal(t, "  sent       70 frames, 12/s: 40 reports, 7 reissues, 0 heartbeats", rows[2])
	require.Equal(t, "  clock      not compared", rows[8])
	require.Equal(t, "4 of 5 online, 70 sent (5/s), 60 answered, 3 errors, 1 reconnects, 4 commands, no answers",
		s.line(now, vehicle.Stats{Sent: 20}, f, 10*time.Second))
	require.Equal(t, "the gateway's is 1.3s ahead of ours (mean of 2 answers, each right to half a second)",
		skewText(vehicle.Skew{Count: 2, Sum: 2600 * time.Millisecond}))
	require.Equal(t, "the gateway's is 2s behind ours (mean of 1 answers, each right to half a second)",
		skewText(vehicle.Skew{Count: 1, Sum: -2 * time.Second}))
	require.Equal(t, []string{"a row", "ä row"}, fit([]string{"a row", "ä row"}, 0, 0))
	require.Equal(t, []string{"a ro", "ä ro"}, fit([]string{"a row", "ä row", "and more"}, 5, 3))
	require.Equal(t, []string{"a row"}, fit([]string{"a row", "another"}, 80, 1))
}
