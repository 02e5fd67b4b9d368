package main

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream/flat"
)

// outputLines splits what a command printed.
func outputLines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// TestReading: what vehicles sent is read again, from the gateway, over its admin address, and from its directory when
// it has stopped.
func TestReading(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev", "--admin-token", "0123456789abcdef")
	code, _, stderr := tboxgate(t, "", "simulate", "--addr", g.Addresses.Vehicles[0], "--vehicles", "2", "--period", "20ms", "--reports", "5", "--ramp", "0s")
	require.Zero(t, code, stderr)

	at := []string{"--data-dir", dir}
	all := outputLines(ok(t, append([]string{"tail"}, at...)...))
	require.Len(t, all, 2*(1+5+1), "login, reports, logout of each")
	var commands []string
	for _, line := range all {
		var f struct{ VIN, Command, ReceivedAt string }
		require.NoError(t, json.Unmarshal([]byte(line), &f), line)
		if f.VIN == "LTEST000000000001" {
			commands = append(commands, f.Command)
		}
	}
	require.Equal(t, []string{"vehicleLogin", "realtime", "realtime", "realtime", "realtime", "realtime", "vehicleLogout"}, commands)

	for _, line := range outputLines(ok(t, append([]string{"tail", "--raw", "--vin", "LTEST000000000002", "--command", "realtime"}, at...)...)) {
		b, err := hex.DecodeString(line)
		require.NoError(t, err)
		f, err := codec.ParseFrame(b)
		require.NoError(t, err)
		require.Equal(t, "LTEST000000000002", f.VIN().String())
		require.Equal(t, codec.CommandRealtime, f.Command())
	}
	remote := []string{"--addr", g.Addresses.Admin, "--token", "0123456789abcdef"}
	require.Equal(t, all, outputLines(ok(t, append([]string{"tail"}, remote...)...)))
	require.Empty(t, ok(t, append([]string{"tail", "--since", "0s"}, at...)...))
	require.Equal(t, all, outputLines(ok(t, append([]string{"export"}, at...)...)))

	follower := start(t, append([]string{"tail", "--follow", "--since", "1h", "--command", "vehicleLogin"}, at...)...)
	followed := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Count(follower.stdout.String(), "\n") == n }, patience, 10*time.Millisecond, "%s", &follower.stderr)
	}
	followed(2)
	code, _, stderr = tboxgate(t, "", "simulate", "--addr", g.Addresses.Vehicles[0], "--vin", "LTEST000000000003", "--period", "20ms", "--reports", "1")
	require.Zero(t, code, stderr)
	followed(3)
	require.Contains(t, outputLines(follower.stdout.String())[2], "LTEST000000000003")
	require.NoError(t, follower.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, follower.exit(t), follower.stderr.String())
	require.Empty(t, follower.stderr.String())

	// The end of the gateway is the end of those who follow, and does not wait for them.
	follower = start(t, append([]string{"tail", "--follow", "--since", "1h"}, at...)...)
	followed(len(all) + 3)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
	require.Equal(t, 1, follower.exit(t))
	require.Equal(t, "tboxgate: the gateway is stopping\n", follower.stderr.String())

	require.Len(t, outputLines(ok(t, append([]string{"tail"}, at...)...)), len(all)+3, "from the directory")
	for _, vin := range []string{"LTEST000000000001", "LTEST000000000003"} { // the last one drove for a moment before the end
		var known struct {
			VIN     string
			Vehicle struct{ SOC int }
			Frame   struct{ Command string }
			Login   struct{ Command string }
			Logout  struct{ Command string }
		}
		require.NoError(t, json.Unmarshal([]byte(ok(t, append([]string{"last", "--vin", vin}, at...)...)), &known))
		require.Equal(t, []string{vin, "realtime", "vehicleLogin", "vehicleLogout"}, []string{known.VIN, known.Frame.Command, known.Login.Command, known.Logout.Command})
		require.Positive(t, known.Vehicle.SOC)
	}
	code, _, stderr = tboxgate(t, "", append([]string{"last", "--vin", "LTEST000000000009"}, at...)...)
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: nothing was stored of vehicle LTEST000000000009\n", stderr)
	code, _, stderr = tboxgate(t, "", append([]string{"tail", "--follow"}, at...)...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no gateway is running")
	testExport(t, dir, len(all)+3)
}

// testExport writes the three formats from a directory.
func testExport(t *testing.T, dir string, n int) {
	t.Helper()
	out := t.TempDir()
	export := func(format string) []byte {
		file := filepath.Join(out, "x."+format)
		_, _, stderr := tboxgate(t, "", "export", "--data-dir", dir, "--format", format, "--output", file)
		require.Equal(t, fmt.Sprintf("%d frames exported, 0 left out\n", n), stderr)
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		return b
	}
	lines := outputLines(string(export("jsonl")))
	require.Len(t, lines, n)
	table, err := csv.NewReader(bytes.NewReader(export("csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, n+1)
	binary := export("parquet")
	rows, err := parquet.Read[flat.Row](bytes.NewReader(binary), int64(len(binary)))
	require.NoError(t, err)
	require.Len(t, rows, n)
	for i, line := range lines {
		require.Equal(t, line, rows[i].JSON)
		require.Equal(t, line, table[i+1][len(table[0])-1])
	}
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Len(t, left, 3, "no temporary file is left")
}

// TestReadingRaw: frames stored as bytes are printed as JSON, and merged.
func TestReadingRaw(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev", "--payload", "raw")
	frames, err := os.ReadFile("../../codec/testdata/frames/2016.jsonl")
	require.NoError(t, err)
	var pack [][]byte
	for line := range strings.Lines(string(frames)) {
		var s struct{ Hex string }
		require.NoError(t, json.Unmarshal([]byte(line), &s))
		b, err := hex.DecodeString(s.Hex)
		require.NoError(t, err)
		if f, err := codec.ParseFrame(b); err == nil && f.VIN().String() == "LTEST911888860607" && f.Command() == codec.CommandRealtime {
			if at, ok := f.Time(); ok && at.Year() == 2017 && at.Second() == 49 {
				pack = append(pack, b)
			}
		}
	}
	require.Len(t, pack, 2)
	sendFrames(t, g.Addresses.Vehicles[0], "LTEST911888860607", pack...)

	at := []string{"--data-dir", dir, "--command", "realtime"}
	raw := outputLines(ok(t, append([]string{"tail", "--raw"}, at...)...))
	require.Equal(t, []string{hex.EncodeToString(pack[0]), hex.EncodeToString(pack[1])}, raw)
	require.Len(t, outputLines(ok(t, append([]string{"tail"}, at...)...)), 2)
	merged := outputLines(ok(t, append([]string{"export", "--merge-split"}, at...)...))
	require.Len(t, merged, 1)
	require.Contains(t, merged[0], `"merged":2}`)
	require.Contains(t, merged[0], `"receivedAt":"20`)
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// TestReadingMistakes: what cannot be read is said, with the flag or the reason.
func TestReadingMistakes(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"tail", "--since", "yesterday"}, `--since "yesterday": a time is wanted: RFC 3339, or a duration before now such as 90s, 15m, 24h, 7d`},
		{[]string{"tail", "--since", "-5m"}, `--since "-5m": a time is wanted`},
		{[]string{"tail", "--command", "realtme"}, `--command "realtme" is neither a name such as realtime nor an id such as 0xC1`},
		{[]string{"tail", "--vin", strings.Repeat("X", 18)}, "18 bytes, want 1 to 17"},
		{[]string{"tail", "--raw", "--merge-split"}, "a merged pack is no frame"},
		{[]string{"export", "--format", "xml"}, `--format "xml": jsonl, csv and parquet are possible`},
		{[]string{"export", "--since", "1h", "--until", "2d"}, "--since is not before --until"},
		{[]string{"gaps"}, "--vin is needed"},
		{[]string{"gaps", "--vin", "A", "--period", "1ms"}, "--period 1ms: at least a second"},
		{[]string{"last"}, "--vin is needed"},
	} {
		code, _, stderr := tboxgate(t, "", tt.args...)
		require.Equal(t, 2, code, tt.args)
		require.Contains(t, stderr, tt.want)
	}
	dir := dataDir(t)
	g := serve(t, dir, "--dev", "--sink", "discard")
	for _, args := range [][]string{{"tail"}, {"export"}, {"gaps", "--vin", "A"}, {"last", "--vin", "A"}} {
		code, _, stderr := tboxgate(t, "", append(args, "--data-dir", dir)...)
		require.Equal(t, 1, code)
		require.Equal(t, "tboxgate: frames are not kept here: the gateway's sink is discard; tail, export, gaps and last need the sink nats\n", stderr)
	}
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// TestGapsCommand: a vehicle reports, is silent, and sends later what it had kept.
func TestGapsCommand(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	start := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	var frames [][]byte
	for _, s := range []struct {
		command codec.Command
		at      int
	}{{0x02, 0}, {0x02, 30}, {0x02, 120}, {0x03, 60}, {0x03, 90}, {0x02, 300}} {
		frames = append(frames, reportAt(t, "LTEST000000000001", s.command, start.Add(time.Duration(s.at)*time.Second)))
	}
	sendFrames(t, g.Addresses.Vehicles[0], "LTEST000000000001", frames...)
	clock := func(s int) string {
		return start.Add(time.Duration(s) * time.Second).In(codec.Beijing).Format(time.RFC3339)
	}
	args := []string{"gaps", "--data-dir", dir, "--vin", "LTEST000000000001"}
	require.Equal(t, []string{
		"FROM                       TO                         LENGTH      REISSUED  FILLED  PARKED",
		clock(30) + "  " + clock(120) + "  1m30s       2         yes     no",
		clock(120) + "  " + clock(300) + "  3m0s        0         no      no",
	}, outputLines(ok(t, args...)))
	require.Len(t, outputLines(ok(t, append(args, "--json", "--since", start.Add(100*time.Second).Format(time.RFC3339))...)), 1)
	_, stdout, stderr := tboxgate(t, "", append(args, "--period", "5m")...)
	require.Empty(t, stdout)
	require.Equal(t, "no gaps\n", stderr)
	code, _, stderr := tboxgate(t, "", "gaps", "--data-dir", dir, "--vin", "LTEST000000000002")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: no realtime report is stored of vehicle LTEST000000000002\n", stderr)
	_, stdout, stderr = tboxgate(t, "", "tail", "--data-dir", dir, "--vin", "LTEST000000000002")
	require.Empty(t, stdout)
	require.Equal(t, "no such frame in the last 10m0s; --since looks further back\n", stderr)
	// It has no admin.token, so nobody can command it from another machine.
	code, _, stderr = tboxgate(t, "", "sessions", "list", "--addr", g.Addresses.Admin, "--token", "0123456789abcdef")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, g.Addresses.Admin+" is no admin address that takes commands: admin.token must be set there")
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}
