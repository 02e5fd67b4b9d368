package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/probe"
)

// TestProbeOurselves: our own gateway, where vehicles and platforms must be registered, passes every case.
func TestProbeOurselves(t *testing.T) {
	dir := dataDir(t)
	code, _, stderr := tboxgate(t, "LTEST000000000001\nLTEST000000000002\nLTEST000000000003\nLTEST000000000004\n", "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	ok(t, "platforms", "create", "--data-dir", dir, "--code", "TESTPLATFORM00001", "--user", "user", "--password", "secret")
	g := serve(t, dir)
	t.Setenv("TBOXGATE_PLATFORM_PASSWORD", "secret")
	args := []string{"probe", "--vins", "4", "--platform", "TESTPLATFORM00001", "--user", "user", "--timeout", "60s", "--quiet", "100ms"}
	code, stdout, stderr := tboxgate(t, "", append(args, "--format", "json", g.Addresses.Vehicles[0])...)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.NotContains(t, stdout, "736563726574", "the password in hex")
	var out struct {
		Count   map[probe.Outcome]int
		Results []struct {
			Case, Seen string
			Edition    int
			Outcome    probe.Outcome
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &out))
	require.Greater(t, len(out.Results), 90)
	for _, r := range out.Results {
		if r.Case == "answer.timeSync" && r.Outcome == probe.Warn {
			continue // the machine has stood still for seconds
		}
		require.Equal(t, probe.Pass, r.Outcome, "%s %d: %s", r.Case, r.Edition, r.Seen)
	}

	code, stdout, stderr = tboxgate(t, "", append(args, "--edition", "2025", "--case", "session.takeover", "--case", "activation.*", "--case", "answer.heartbeat",
		"-v", g.Addresses.Vehicles[0])...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "pass  2025  session.takeover              the older connection was closed, the newer one works\n")
	require.Contains(t, stdout, "6 cases: 6 passed")
	require.Contains(t, stdout, "心跳")
	code, stdout, stderr = tboxgate(t, "", append(args, "--case", "answer.heartbeat", "--format", "junit", g.Addresses.Vehicles[0])...)
	require.Zero(t, code, stderr)
	require.True(t, strings.HasPrefix(stdout, `<?xml version="1.0" encoding="UTF-8"?>`+"\n<testsuites tests=\"2\" failures=\"0\" skipped=\"0\">\n"), stdout)

	code, _, stderr = tboxgate(t, "", append(args, "--vin", "LTEST000000000099", "--vins", "1", "--case", "answer.heartbeat", g.Addresses.Vehicles[0])...)
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: probe: 2 of 2 cases failed\n", stderr, "it is not registered")
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
}

func TestProbeMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "an argument is missing: HOST:PORT",
		"--tls 127.0.0.1:1 --insecure": "flags go before the arguments: --insecure",
		"--edition 2011 127.0.0.1:1":   "--edition is 2016, 2025 or both",
		"--format xml 127.0.0.1:1":     "--format is table, json or junit",
		"--case answer 127.0.0.1:1":    "--case: probe: no such case: \"answer\" (see --list)",
		"--unknown-vin 123456789012345678 127.0.0.1:1": "probe: codec: bad VIN: \"123456789012345678\" has 18 bytes, want 1 to 17",
		"127.0.0.1:1 --format xml":                     "--format is table, json or junit",
		"127.0.0.1:1 --edition 2016 x":                 "unexpected argument \"127.0.0.1:1\"",
		"--key a.key 127.0.0.1:1":                      "--key needs --tls",
	} {
		code, stdout, stderr := tboxgate(t, "", append([]string{"probe"}, strings.Fields(args)...)...)
		require.Equal(t, 2, code)
		require.Empty(t, stdout)
		require.Equal(t, "tboxgate probe: "+want+"\nSee: tboxgate probe --help\n", stderr)
	}
}

func TestProbeList(t *testing.T) {
	out := ok(t, "probe", "--list")
	for _, c := range probe.Cases() {
		require.Contains(t, out, c.Name+" ")
		require.Contains(t, out, c.Expect)
	}
}

// TestProbeDoc keeps the table of docs/probe.md what the cases say.
func TestProbeDoc(t *testing.T) {
	const file, begin, end = "../../docs/probe.md", "<!-- begin cases -->\n", "<!-- end cases -->\n"
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, found := strings.Cut(string(page), begin)
	require.True(t, found)
	_, tail, found := strings.Cut(rest, end)
	require.True(t, found)
	var b strings.Builder
	b.WriteString("| case | a conforming gateway | 2016 | 2025 |\n|---|---|---|---|\n")
	for _, c := range probe.Cases() {
		b.WriteString("| `" + c.Name + "` | " + c.Expect + " | " + c.Clause2016 + " | " + c.Clause2025 + " |\n")
	}
	golden(t, file, []byte(head+begin+b.String()+end+tail))
}
