package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scrape is what /metrics says: a value for each series.
type scrape map[string]float64

func metricsOf(t *testing.T, g *gatewayProcess) scrape {
	t.Helper()
	status, body := get(t, "http://"+g.Addresses.Admin+"/metrics")
	require.Equal(t, 200, status)
	s := scrape{}
	for line := range strings.Lines(body) {
		name, value, found := cutLast(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); found && err == nil && !strings.HasPrefix(line, "#") {
			s[name] = n
		}
	}
	return s
}

// sum adds up the series of a metric that have all the labels.
func (s scrape) sum(metric string, labels ...string) float64 {
	n := 0.0
series:
	for name, value := range s {
		if name != metric && !strings.HasPrefix(name, metric+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(name, l) {
				continue series
			}
		}
		n += value
	}
	return n
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// TestSimulateCountersOnBothSides plays each fault of a script against this gateway: what simulate counts, the gateway's metrics count too.
func TestSimulateCountersOnBothSides(t *testing.T) {
	t.Parallel()
	for fault, check := range map[string]func(t *testing.T, out summary, seen func(metric string, labels ...string) float64){
		"{fault: splitFrames, for: 1m}": func(t *testing.T, _ summary, seen func(string, ...string) float64) {
			require.Zero(t, seen("tboxgate_bad_frames_total"))
		},
		"{fault: badCheck, for: 1m}": func(t *testing.T, out summary, seen func(string, ...string) float64) {
			require.Greater(t, out.Damaged, uint64(8))
			require.EqualValues(t, out.Damaged, seen("tboxgate_bad_frames_total"))
			require.EqualValues(t, out.Damaged, seen("tboxgate_bad_frames_total", `reason="check"`))
		},
		"{fault: garbage, for: 1m}": func(t *testing.T, out summary, seen func(string, ...string) float64) {
			require.Greater(t, out.Damaged, uint64(8))
			require.EqualValues(t, out.Damaged, seen("tboxgate_bad_frames_total"))
			require.EqualValues(t, out.Damaged, seen("tboxgate_bad_frames_total", `reason="start"`))
		},
		"{fault: slowReader, for: 500ms}": func(t *testing.T, _ summary, seen func(string, ...string) float64) {
			require.Zero(t, seen("tboxgate_bad_frames_total"))
		},
		"{at: 300ms, fault: duplicateVIN}": func(t *testing.T, out summary, seen func(string, ...string) float64) {
			require.EqualValues(t, 4, out.Faults)
			require.EqualValues(t, 8, out.Connects)
			require.EqualValues(t, 4, seen("tboxgate_connections_closed_total", `reason="takeover"`))
			require.Zero(t, out.Lingering)
		},
		"{at: 300ms, for: 500ms, fault: drop}": func(t *testing.T, out summary, seen func(string, ...string) float64) {
			require.EqualValues(t, 4, out.Reconnects)
			require.EqualValues(t, 8, out.Connects)
			require.EqualValues(t, 8, seen("tboxgate_connections_closed_total", `reason="peerClosed"`), "half of them after the logout")
		},
		"{at: 300ms, for: 3s, fault: blindZone}": func(t *testing.T, out summary, seen func(string, ...string) float64) {
			require.EqualValues(t, 4, out.Reconnects)
			require.Positive(t, out.Reissues)
			require.EqualValues(t, 8, seen("tboxgate_connections_closed_total", `reason="peerClosed"`), "half of them after the logout")
		},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			duration := "3s"
			if strings.Contains(fault, "blindZone") {
				duration = "7s" // time to come back, and for reports in whole seconds meanwhile
			}
			g := serve(t, dataDir(t), "--dev")
			before := metricsOf(t, g)
			code, stdout, stderr := tboxgate(t, "", "simulate", "--addr", g.Addresses.Vehicles[0], "--vehicles", "4", "--edition", "both", "--drive", "road",
				"--period", "100ms", "--heartbeat", "300ms", "--ramp", "0s", "--cells", "300", "--duration", duration, "--answer-timeout", "60s", "--summary", "json",
				"--script", writeFile(t, "faults.yaml", "faults: ["+fault+"]\n"))
			require.Zero(t, code, "%s%s", stdout, stderr)
			var out summary
			require.NoError(t, json.Unmarshal([]byte(stdout), &out))
			balanced(t, out)
			require.EqualValues(t, 4, out.Faults)
			after := scrape{}
			require.Eventually(t, func() bool { // the last connections may still be ending
				after = metricsOf(t, g)
				return after["tboxgate_connections"] == 0
			}, patience, 10*time.Millisecond)
			seen := func(metric string, labels ...string) float64 {
				return after.sum(metric, labels...) - before.sum(metric, labels...)
			}
			require.EqualValues(t, out.Connects, seen("tboxgate_connections_opened_total"))
			require.EqualValues(t, out.Connects, seen("tboxgate_connections_closed_total"))
			// A reset may take frames with it that the gateway had not read, and answers that it had written.
			for command, sent := range map[string]uint64{"vehicleLogin": out.Logins, "realtime": out.Reports, "reissue": out.Reissues, "heartbeat": out.Heartbeats,
				"timeSync": out.TimeSyncs, "vehicleLogout": 4} {
				require.InDelta(t, float64(sent)-float64(out.Interrupted)/2, seen("tboxgate_frames_total", `command="`+command+`"`), float64(out.Interrupted)/2, command)
			}
			answers := seen("tboxgate_answers_total", `flag="success"`)
			require.GreaterOrEqual(t, answers, float64(out.Acked))
			require.LessOrEqual(t, answers, float64(out.Acked+out.Interrupted))
			require.EqualValues(t, out.Rejected, seen("tboxgate_answers_total")-answers)
			require.Zero(t, seen("tboxgate_panics_total"))
			check(t, out, seen)
		})
	}
}
