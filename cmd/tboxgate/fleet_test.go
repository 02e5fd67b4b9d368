package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/clock"
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

	out = ok(t, "status", "--data-dir", dir)
	require.Contains(t, out, "\nsessions   3 of 3 registered vehicles\nclock      ")
	require.Empty(t, ok(t, "status", "--ready", "--admin-listen", g.Addresses.Admin))
	code, _, stderr = tboxgate(t, "", "status", "--ready", "--addr", "127.0.0.1:1")
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "not ready: ")
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
