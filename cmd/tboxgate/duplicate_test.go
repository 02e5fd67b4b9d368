package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestDuplicates: a report that comes again is stored and marked, over connections and restarts, whatever the payload
// and the layout; other data of the same time is not.
func TestDuplicates(t *testing.T) {
	const vin = "LTEST000000000001"
	start := time.Now().Add(-time.Minute).Truncate(time.Second)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	batched := filepath.Join(t.TempDir(), "batched.yaml")
	require.NoError(t, os.WriteFile(batched, []byte("sinks: [{type: nats, payload: raw, batch: {maxFrames: 64, maxDelay: 2ms}}]\n"), 0o600))
	for name, args := range map[string][]string{
		"json": {"--payload", "json"}, "raw": {"--payload", "raw"}, "both": {"--payload", "both"}, "batched": {"--config", batched},
	} {
		t.Run(name, func(t *testing.T) {
			dir := dataDir(t)
			serveAgain := func() *gatewayProcess { return serve(t, dir, append([]string{"--dev"}, args...)...) }
			stop := func(g *gatewayProcess) {
				require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
				require.Zero(t, g.exit(t), g.stderr.String())
			}
			g := serveAgain()
			first, second := reportAt(t, vin, codec.CommandRealtime, at(0), 1), reportAt(t, vin, codec.CommandRealtime, at(10), 2)
			sendFrames(t, g.Addresses.Vehicles[0], vin, first, second, second, // one twice
				reportAt(t, vin, codec.CommandRealtime, at(10), 3), // a second frame of a split pack
				reportAt(t, vin, codec.CommandReissue, at(-3600), 4))
			sendFrames(t, g.Addresses.Vehicles[0], vin, first, // not answered, thought the vehicle
				reportAt(t, vin, codec.CommandReissue, at(10), 2), reportAt(t, vin, codec.CommandReissue, at(10), 5))
			stop(g)
			g = serveAgain()
			sendFrames(t, g.Addresses.Vehicles[0], vin, reportAt(t, vin, codec.CommandReissue, at(-3600), 4),
				reportAt(t, vin, codec.CommandReissue, at(10), 3), reportAt(t, vin, codec.CommandReissue, at(-1800), 6))
			stop(g)

			type seen struct {
				at        int
				data      string
				duplicate bool
			}
			var got []seen
			for _, line := range outputLines(ok(t, "tail", "--data-dir", dir, "--command", "realtime", "--command", "reissue")) {
				var f struct {
					Time      time.Time
					Duplicate bool
					Info      []struct{ Data string }
				}
				require.NoError(t, json.Unmarshal([]byte(line), &f), line)
				got = append(got, seen{int(f.Time.Sub(start).Seconds()), f.Info[0].Data, f.Duplicate})
			}
			require.Equal(t, []seen{
				{0, "01", false}, {10, "02", false}, {10, "02", true}, {10, "03", false}, {-3600, "04", false},
				{0, "01", true}, {10, "02", true}, {10, "05", false},
				{-3600, "04", true}, {10, "03", true}, {-1800, "06", false},
			}, got)
		})
	}
}
