package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/datadir"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
)

// registeredAt are the registered vehicles and when they were.
func registeredAt(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(ok(t, "vehicles", "list", "--json", "--data-dir", dir)) {
		var d registered
		require.NoError(t, json.Unmarshal([]byte(line), &d))
		all[d.VIN] = d.RegisteredAt.String()
	}
	return all
}

// TestBackupOfARunningGateway takes a backup under load, and another one of the stopped gateway; what was
// answered before each is in the store that is restored from it, with vehicles and access keys.
func TestBackupOfARunningGateway(t *testing.T) {
	dir, files := dataDir(t), t.TempDir()
	g := serve(t, dir, "--dev", "--config", writeFile(t, "t.yaml", crashSinks[1]))
	fleet := crashFleet{pace: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	wait := fleet.driveUntil(ctx, g.Addresses.Vehicles[0])
	require.Eventually(t, func() bool { return fleet.answeredFrames() > 2000 }, patience, time.Millisecond)
	before := time.Now()
	ok(t, "backup", "--data-dir", dir, filepath.Join(files, "running.tar"))
	cancel()
	wait()
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
	stopped := ok(t, "backup", "--data-dir", dir, "-")
	require.NoError(t, os.WriteFile(filepath.Join(files, "stopped.tar"), []byte(stopped), 0o600))
	vehicles, keys := registeredAt(t, dir), ok(t, "keys", "list", "--data-dir", dir)
	require.Len(t, vehicles, crashVehicles)
	require.NotEmpty(t, keys)

	for file, answered := range map[string]time.Time{"running.tar": before, "stopped.tar": time.Now()} {
		again := dataDir(t)
		code, _, stderr := tboxgate(t, "", "restore", "--data-dir", again, filepath.Join(files, file))
		require.Zero(t, code, stderr)
		require.Contains(t, stderr, "copy seal.key of the old data directory to "+again)
		seal, err := os.ReadFile(filepath.Join(dir, "seal.key"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(again, "seal.key"), seal, 0o600))
		require.Equal(t, vehicles, registeredAt(t, again))
		require.Equal(t, keys, ok(t, "keys", "list", "--data-dir", again))
		g := serve(t, again, "--dev", "--nats-listen", "127.0.0.1:0")
		require.Zero(t, fleet.missing(storedFrames(t, g.Addresses.NATS), answered), file)
		require.NoError(t, g.cmd.Process.Kill())
		<-g.ended
		code, _, stderr = tboxgate(t, "", "restore", "--data-dir", again, filepath.Join(files, file))
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "holds a store already: choose another one with --data-dir")
	}
}

// TestRestoreRefuses gives restore what is no backup, and one of a newer program.
func TestRestoreRefuses(t *testing.T) {
	dir := dataDir(t)
	ok(t, "vehicles", "list", "--data-dir", filepath.Dir(dir)) // makes a store beside
	whole := ok(t, "backup", "--data-dir", filepath.Dir(dir), "-")
	for _, tt := range []struct{ in, problem string }{
		{"hello", "tboxgate: restore: not a whole backup"},
		{whole[:len(whole)/2], ": not a whole backup"}, // within a stream or between two
		{strings.Replace(whole, `"format":2`, `"format":9`, 1), "tboxgate: restore: backup - is of format 9, this tboxgate knows up to 2"},
	} {
		code, _, stderr := tboxgate(t, tt.in, "restore", "--data-dir", dir, "-")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, tt.problem)
		require.NoDirExists(t, filepath.Join(dir, "jetstream"))
	}
	_, _, err := nats.CheckBackup(strings.NewReader(whole[:len(whole)-2048]))
	require.ErrorIs(t, err, nats.ErrBackup)
	require.Equal(t, 2, datadir.Format, "and the test above")
}

// TestEraseVehicle erases one of three vehicles of a running gateway, and one more when it has stopped.
func TestEraseVehicle(t *testing.T) {
	dir := dataDir(t)
	vins := []string{"LTEST000000000001", "LTEST000000000002", "LTEST000000000003"}
	code, _, stderr := tboxgate(t, strings.Join(vins, "\n"), "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	config := writeFile(t, "t.yaml", crashSinks[1])
	g := serve(t, dir, "--config", config, "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	for _, vin := range vins {
		ok(t, "simulate", "--addr", g.Addresses.Vehicles[0], "--vin", vin, "--reports", "2", "--period", "100ms")
	}
	of := func(g *gatewayProcess) map[string]int {
		n := map[string]int{}
		for f := range storedFrames(t, g.Addresses.NATS) {
			n[codec.Frame(f).VIN().String()]++
		}
		return n
	}
	require.Len(t, of(g), 3)
	require.Eventually(t, func() bool { // the room left is shown
		_, text := get(t, "http://"+g.Addresses.Admin+"/metrics")
		return strings.Contains(text, `tboxgate_store_max_bytes{stream="GBT32960_BATCH"}`) && strings.Contains(text, "tboxgate_store_disk_free_bytes ")
	}, patience, 20*time.Millisecond)
	out := ok(t, "vehicles", "erase", "--data-dir", dir, vins[0])
	require.Regexp(t, `^LTEST000000000001: [1-9][0-9]* frames, [1-9][0-9]* events, [1-9][0-9]* entries erased\n$`, out)
	left := of(g)
	require.NotContains(t, left, vins[0])
	require.Len(t, left, 2)
	require.NotContains(t, registeredAt(t, dir), vins[0])
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())

	ok(t, "vehicles", "erase", "--data-dir", dir, vins[1])
	require.Equal(t, "LTEST000000000009: 0 frames, 0 events, 0 entries erased\n", ok(t, "vehicles", "erase", "--data-dir", dir, "LTEST000000000009"))
	g = serve(t, dir, "--nats-listen", "127.0.0.1:0")
	left = of(g)
	require.Len(t, left, 1)
	require.Positive(t, left[vins[2]])
	require.Len(t, registeredAt(t, dir), 1)
}
