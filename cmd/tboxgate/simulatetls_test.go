package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSimulateOverTLS drives vehicles and platforms, and points the probe, at this gateway's own TLS listeners: one that shows a
// certificate, and one that wants one of each vehicle, with its VIN in it.
func TestSimulateOverTLS(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	ca := newTestCA(t, files)
	vins := []string{"LTEST000000000001", "LTEST000000000002", "LTEST000000000003"}
	for _, name := range append([]string{"server", "TESTPLATFORM00001"}, vins...) {
		ca.issue(t, name)
	}
	other := t.TempDir()
	newTestCA(t, other)
	dir := dataDir(t)
	code, _, stderr := tboxgate(t, strings.Join(vins, "\n"), "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	ok(t, "platforms", "create", "--data-dir", dir, "--code", "TESTPLATFORM00001", "--user", "user", "--password", "password")
	keys := "cert: " + files + "/server.crt, key: " + files + "/server.key"
	config := writeFile(t, "t.yaml", "listeners:\n  - {address: \"127.0.0.1:0\", tls: {"+keys+"}}\n"+
		"  - {address: \"127.0.0.1:0\", tls: {"+keys+", clientCA: "+files+"/ca.crt, requireVinMatch: true}}\n")
	g := untilRunning(t, dir, start(t, "serve", "--data-dir", dir, "--config", config, "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"))
	plain, mutual := g.Addresses.Vehicles[0], g.Addresses.Vehicles[1]
	trust := []string{"--tls", "--ca", filepath.Join(files, "ca.crt")}
	own := []string{"--cert", filepath.Join(files, "{vin}.crt"), "--key", filepath.Join(files, "{vin}.key")}
	one := []string{"--cert", filepath.Join(files, vins[0]+".crt"), "--key", filepath.Join(files, vins[0]+".key")}
	run := func(addr string, more ...[]string) (code int, out summary, stderr string) {
		args := []string{"simulate", "--addr", addr, "--vehicles", "3", "--edition", "both", "--reports", "5", "--period", "50ms", "--cells", "300",
			"--answer-timeout", "60s", "--summary", "json"}
		for _, m := range more {
			args = append(args, m...)
		}
		code, stdout, stderr := tboxgate(t, "", args...)
		require.NoError(t, json.Unmarshal([]byte(stdout), &out), stderr)
		balanced(t, out)
		return code, out, stderr
	}

	for _, c := range []struct {
		addr string
		with [][]string
	}{
		{plain, [][]string{trust}},
		{plain, [][]string{{"--tls", "--insecure"}}},
		{mutual, [][]string{trust, own}},
	} {
		code, out, stderr := run(c.addr, c.with...)
		require.Zero(t, code, stderr)
		require.EqualValues(t, 15+2*5, out.Reports, "300 cells are two frames in the 2016 edition")
		require.Equal(t, out.Sent, out.Acked)
		require.EqualValues(t, 3, out.Skew.Answers)
	}
	code, out, stderr := run(plain, []string{"--tls"})
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "certificate", "the system trusts no authority of a test")
	require.Zero(t, out.Acked)
	code, out, stderr = run(plain)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "3 connections failed", "a frame is no handshake")
	require.Zero(t, out.Acked)
	code, out, stderr = run(mutual, trust)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "certificate required")
	require.Zero(t, out.Acked)
	code, out, stderr = run(mutual, trust, one)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the vehicleLogin of LTEST000000000")
	require.EqualValues(t, 2, out.Refused, "the certificate is that of one of the three")
	code, out, stderr = run(mutual, []string{"--tls", "--insecure", "--cert", filepath.Join(other, "ca.crt"), "--key", filepath.Join(other, "ca.key")})
	require.Equal(t, 1, code, stderr)
	require.Zero(t, out.Acked, "a certificate of somebody else's authority")

	// A platform's link, and the probe.
	platform := []string{"--platform", "TESTPLATFORM00001", "--edition", "2025"}
	for addr, with := range map[string][][]string{plain: {platform, trust}, mutual: {platform, trust, own}} {
		code, out, stderr := run(addr, with...)
		require.Zero(t, code, stderr)
		require.Equal(t, out.Sent, out.Acked)
		require.EqualValues(t, 4, out.Logins)
	}
	args := append(append([]string{"probe", "--vins", "3", "--timeout", "60s", "--quiet", "100ms", "--case", "framing.*", "--case", "answer.[hr]*"}, trust...), own...)
	code, stdout, stderr := tboxgate(t, "", append(args, mutual)...)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.Contains(t, stdout, "20 cases: 20 passed")

	handshakes := metricsOf(t, g)
	require.Positive(t, handshakes.sum("tboxgate_tls_handshakes_total", `result="ok"`))
	require.Positive(t, handshakes.sum("tboxgate_tls_handshakes_total", `result="clientCertificate"`))
	require.EqualValues(t, 2, handshakes.sum("tboxgate_logins_total", `result="certificate"`))
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
	require.False(t, strings.Contains(g.stderr.String(), "panic"))
}
