//go:build consumers

// Package consumers runs the examples against a gateway: `make consumers`.
package consumers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = time.Minute

// gateway starts a gateway whose records NATS clients can read, and lets vehicles drive until count records are stored.
func gateway(t *testing.T, program, config string) (nats string, count int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tbc") // short: a socket's path is limited
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	data, file := filepath.Join(dir, "d"), filepath.Join(dir, "c.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	cmd := exec.Command(program, "serve", "--dev", "--data-dir", data, "--config", file, "--listen", "127.0.0.1:0",
		"--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait())
	})
	var status struct {
		Addresses struct {
			Vehicles []string
			NATS     string
		}
	}
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(data, "run.json"))
		return err == nil && json.Unmarshal(text, &status) == nil
	}, patience, 20*time.Millisecond)
	out, err := exec.Command(program, "simulate", "--addr", status.Addresses.Vehicles[0], "--vehicles", "3", "--reports", "50", "--period", "20ms", "--ramp", "0s").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return status.Addresses.NATS, 3 * (1 + 50 + 1)
}

// TestConsumers: all examples print the same records, each once, and go on where they were.
func TestConsumers(t *testing.T) {
	bin := t.TempDir()
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		require.NoError(t, err, "%s %v: %s", name, args, out)
		return string(out)
	}
	run("go", "build", "-o", bin, "../../cmd/tboxgate", "./go")
	run("javac", "-d", bin, "java/Consumer.java")
	for _, tt := range []struct{ name, config, stream string }{
		{"json", "sinks: [{type: nats}]\n", "GBT32960"},
		{"raw", "sinks: [{type: nats, payload: raw}]\n", "GBT32960"},
		{"batched", "sinks: [{type: nats, batch: {maxFrames: 64}}]\n", "GBT32960_BATCH"},
		{"batched raw", "sinks: [{type: nats, payload: raw, batch: {maxFrames: 64}}]\n", "GBT32960_BATCH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, count := gateway(t, filepath.Join(bin, "tboxgate"), tt.config)
			consumers := map[string]func(n int) string{
				"go": func(n int) string {
					return run(filepath.Join(bin, "go"), "-url", "nats://"+addr, "-stream", tt.stream, "-durable", "go", "-count", strconv.Itoa(n))
				},
				"python": func(n int) string {
					return run("python3", "python/consumer.py", addr, "--stream", tt.stream, "--durable", "python", "--count", strconv.Itoa(n))
				},
				"java": func(n int) string {
					return run("java", "-cp", bin, "Consumer", addr, tt.stream, "java", strconv.Itoa(n))
				},
			}
			var want string
			for _, name := range []string{"go", "python", "java"} {
				got := consumers[name](20) // in two parts; a batch may bring a part beyond
				if left := count - strings.Count(got, "\n"); left > 0 {
					got += consumers[name](left)
				}
				require.Equal(t, count, strings.Count(got, "\n"), "%s: %s", name, got)
				require.Contains(t, got, "LTEST000000000001 20")
				if strings.Contains(tt.name, "raw") {
					require.Contains(t, got, " 0x02 ")
				} else {
					require.Contains(t, got, " realtime soc=")
				}
				if want == "" {
					want = got
				}
				require.Equal(t, want, got, name)
			}
		})
	}
}
