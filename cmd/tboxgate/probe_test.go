package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/probe"
)

// TestProbeOurselves: our own gateway, where vehicles and platforms must be registered, passes every case.
func TestProbeOurselves(t *testing.T) {
	dir := dataDir(t)
	code, _, stderr := tboxgate(t, "LTEST000000000001\nLTEST000000000002\nLTEST000000000003\nLTEST000000000004\n", "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	ok(t, "platforms", "create", "--data-dir", dir, "--code", "TESTPLATFORM00001", "--user", "user", "--password", "secret")
	config := writeFile(t, "t.yaml", "listeners: [{address: \"127.0.0.1:0\", idleTimeout: 4s, loginTimeout: 2s}]\n"+
		"commands: {queryInterval: 1s, controlInterval: 1s}\n")
	g := untilRunning(t, dir, start(t, "serve", "--data-dir", dir, "--config", config, "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--access-key", "probe:probe-secret"))
	t.Setenv("TBOXGATE_PLATFORM_PASSWORD", "secret")
	args := []string{"probe", "--vins", "4", "--platform", "TESTPLATFORM00001", "--user", "user", "--timeout", "60s", "--quiet", "100ms"}
	slow := []string{"--api", "http://" + g.Addresses.API, "--access-key-file", writeFile(t, "key", "probe:probe-secret\n"), "--resend", "1s", "--resend-control", "1s",
		"--idle", "4s", "--login-deadline", "2s"}
	code, stdout, stderr := tboxgate(t, "", append(append(args, slow...), "--format", "json", g.Addresses.Vehicles[0])...)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.NotContains(t, stdout, "736563726574", "the password in hex")
	require.NotContains(t, stdout, "probe-secret")
	var out struct {
		Count   map[probe.Outcome]int
		Results []struct {
			Case, Seen string
			Edition    int
			Outcome    probe.Outcome
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &out))
	require.Len(t, out.Results, 131)
	for _, r := range out.Results {
		if r.Case == "answer.timeSync" && r.Outcome == probe.Warn {
			continue // the machine has stood still for seconds
		}
		require.Equal(t, probe.Pass, r.Outcome, "%s %d: %s", r.Case, r.Edition, r.Seen)
		switch r.Case {
		case "command.query", "command.set", "command.answerEcho", "command.answerFlagFE":
			require.Contains(t, r.Seen, "was taken as its answer")
		case "command.otherVIN":
			require.Equal(t, "it was passed over, and the vehicle's own was taken", r.Seen)
		case "command.resend", "command.resendControl":
			require.Regexp(t, "^3 sends, again after .*, again after .*, then no more$", r.Seen)
		}
	}
	// What nobody can read is stored all the same, with its bytes.
	stored := ok(t, "export", "--data-dir", dir, "--format", "jsonl")
	for _, method := range []string{"rsa", "aes", "sm2", "sm4"} {
		require.Contains(t, stored, `"encryption":"`+method+`"`)
	}
	require.Contains(t, stored, `"signature":`)

	// Without being told, and with somebody who is asked and does not send.
	code, stdout, stderr = tboxgate(t, "", append(args, "--case", "idle.*", "--case", "command.set", "--commands", "200ms", g.Addresses.Vehicles[0])...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "----  2016  command.set                   not run: no paramSet came within 200ms\n")
	require.Contains(t, stdout, "8 cases: 0 passed, 0 warnings, 0 failed, 0 not applicable, 8 not run\n")
	require.Contains(t, stderr, "tboxgate: send a setting (0x81) of the 2025 edition to LTEST00000000000")
	person := start(t, append(append([]string{}, args...), "--edition", "2025", "--case", "command.query", "--commands", "60s", g.Addresses.Vehicles[0])...)
	prompt := regexp.MustCompile(`^tboxgate: send a query \(0x80\) of the 2025 edition to (\S+) now; 1m0s for it\n$`)
	require.Eventually(t, func() bool { return prompt.MatchString(person.stderr.String()) }, patience, 10*time.Millisecond)
	ok(t, "send", "query", "--data-dir", dir, "--vin", prompt.FindStringSubmatch(person.stderr.String())[1], "--params", "all")
	require.Zero(t, person.exit(t), person.stdout.String())
	require.Contains(t, person.stdout.String(), "pass  2025  command.query                 the paramQuery is in order; the answer (the parameters) was itself not answered. "+
		"Whether it was taken cannot be asked\n")
	t.Setenv("TBOXGATE_ACCESS_KEY", "probe:another-secret")
	code, stdout, _ = tboxgate(t, "", append(args, "--case", "command.set", "--api", "http://"+g.Addresses.API, g.Addresses.Vehicles[0])...)
	require.Zero(t, code)
	require.Contains(t, stdout, "not run: the gateway was not made to send a command: ")
	require.NotContains(t, stdout, "another-secret")

	code, stdout, stderr = tboxgate(t, "", append(args, "--edition", "2025", "--case", "session.takeover", "--case", "activation.*", "--case", "answer.heartbeat",
		"-v", g.Addresses.Vehicles[0])...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "pass  2025  session.takeover              the older connection was closed, the newer one works\n")
	require.Contains(t, stdout, "5 cases: 5 passed")
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
		"--api http://127.0.0.1:1 --commands 1m x:1":   "--api or --commands: either the API sends the commands, or somebody does",
		"--access-key a:b x:1":                         "--access-key needs --api",
		"--api http://127.0.0.1:1 x:1":                 "--api needs --access-key: an access key is written ID:SECRET",
		"--idle 10ms x:1":                              "--idle 10ms: at least 1s",
		"--resend -1s x:1":                             "--resend -1s: a duration is not below zero",
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
