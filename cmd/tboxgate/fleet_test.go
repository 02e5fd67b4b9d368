package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/clock"
	"github.com/tboxgate/tboxgate/gateway/trace"
	"github.com/tboxgate/tboxgate/session"
)

// testFleet asks a gateway with three simulated vehicles online the operator's questions.
func testFleet(t *testing.T, g *gatewayProcess, dir string) {
	t.Helper()
	out := ok(t, "fleet", "summary", "--data-dir", dir)
	require.Regexp(t, `(?m)^ +3  vehicles registered\n(.*\n)* +3  online here\n +3    on 127\.0\.0\.1:0, edition 2016, vehicles themselves$`, out)
	require.Contains(t, out, "\nown clock: ")
	var sum session.FleetSummary
	require.NoError(t, json.Unmarshal([]byte(ok(t, "fleet", "summary", "--json", "--data-dir", dir)), &sum))
	require.Equal(t, 3, sum.Online)
	require.Equal(t, 3, sum.ClockKnown, "they have sent realtime reports")
	require.Zero(t, sum.Encrypted)

	require.Empty(t, ok(t, "fleet", "silent", "--data-dir", dir))
	require.Len(t, strings.Split(strings.TrimSpace(ok(t, "fleet", "silent", "--for", "0s", "--data-dir", dir)), "\n"), 4, "a header and three")
	require.Empty(t, ok(t, "fleet", "clock", "--off", "1h", "--data-dir", dir))
	require.Contains(t, ok(t, "fleet", "clock", "--off", "0s", "--json", "--data-dir", dir), `"vin":"LTEST000000000001"`)
	require.Empty(t, ok(t, "fleet", "encrypted", "--data-dir", dir))
	code, _, stderr := tboxgate(t, "", "fleet", "silent", "--for", "-1s", "--data-dir", dir)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--for -1s: a duration is not below zero")

	out = ok(t, "trace", "--vin", "LTEST000000000001", "--count", "4", "--data-dir", dir)
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{3}Z  in   realtime       command +\d+ B  \{"v":1,.*"vin":"LTEST000000000001"`, out)
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{3}Z  out  realtime       success +31 B  after \d+\.\d ms  \{"v":1,`, out)
	require.NotContains(t, out, "LTEST000000000002")
	require.Contains(t, ok(t, "trace", "--vin", "LTEST000000000001", "--dump", "--count", "1", "--data-dir", dir), "LTEST000000000001")
	var e trace.Event
	require.NoError(t, json.Unmarshal([]byte(ok(t, "trace", "--vin", "LTEST000000000002", "--json", "--count", "1", "--data-dir", dir)), &e))
	require.Regexp(t, "^[0-9a-f]{16}$", e.Session)

	out = ok(t, "status", "--data-dir", dir)
	require.Contains(t, out, "\nsessions   3 of 3 registered vehicles\nclock      ")
	require.Empty(t, ok(t, "status", "--ready", "--admin-listen", g.Addresses.Admin))
	code, _, stderr = tboxgate(t, "", "status", "--ready", "--addr", "127.0.0.1:1")
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "not ready: ")
}

// TestTraceEndsWithTheGateway: whoever follows does not hold the gateway up, and is told.
func TestTraceEndsWithTheGateway(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	follower := start(t, "trace", "--vin", "LTEST000000000009", "--data-dir", dir)
	require.Eventually(t, func() bool { return strings.Contains(follower.stderr.String(), "following LTEST000000000009") }, patience, 10*time.Millisecond)
	other := start(t, "trace", "--vin", "LTEST000000000009", "--data-dir", dir)
	require.Eventually(t, func() bool { return strings.Contains(other.stderr.String(), "following") }, patience, 10*time.Millisecond)
	require.NoError(t, other.cmd.Process.Signal(syscall.SIGINT))
	require.Zero(t, other.exit(t), "Ctrl-C is how it ends")
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
	require.Equal(t, exitError, follower.exit(t))
	require.Contains(t, follower.stderr.String(), "the gateway has stopped")
}

func TestTraceText(t *testing.T) {
	e := trace.Event{At: session.At(time.Date(2026, 3, 1, 2, 3, 4, 5e6, time.UTC)), Kind: "offline", Reason: "idle", Session: "00000000000000ab", Dropped: 3}
	require.Equal(t, "... 3 events dropped: they came faster than they were read\n02:03:04.005Z  offline  idle  session 00000000000000ab\n", traceText(e, false))
}

func TestClockText(t *testing.T) {
	require.Equal(t, "unknown: the system does not tell", clockText(admin.Clock{}))
	require.Contains(t, clockText(admin.Clock{Known: true}), "NOT synchronized")
	require.Equal(t, "synchronized, off by 0.000020s as estimated, 0.007s at most",
		clockText(admin.Clock{Known: true, Synchronized: true, EstimatedError: 20e-6, MaxError: 0.007}))

	var log strings.Builder
	l := slog.New(slog.NewTextHandler(&log, nil))
	warnClock(l, clock.Status{})
	warnClock(l, clock.Status{Known: true, Synchronized: true})
	require.Empty(t, log.String())
	warnClock(l, clock.Status{Known: true, MaxError: 16 * time.Second})
	require.Contains(t, log.String(), "not synchronized")
	require.Contains(t, log.String(), "maxError=16s")
}
