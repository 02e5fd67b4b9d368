package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
)

// TestServeDev is the first five minutes: start, simulate, look, send, stop.
func TestServeDev(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev", "--nats-listen", "127.0.0.1:0")
	out := g.stdout.String()
	require.Regexp(t, `(?m)^  access key     \S+\n  access secret  \S+\n`, out)
	require.Contains(t, out, "  tboxgate simulate --addr "+g.Addresses.Vehicles[0]+" --vin LTEST000000000001\n")
	require.Contains(t, out, "  tboxgate send query --data-dir "+g.DataDir+" --vin LTEST000000000001 --params 1,2\n")
	require.True(t, g.Dev)
	require.Equal(t, "gbt32960", g.ProductKey)
	for _, a := range append(g.Addresses.Vehicles, g.Addresses.API, g.Addresses.Admin, g.Addresses.NATS) {
		require.Regexp(t, `^127\.0\.0\.1:[1-9]\d*$`, a)
	}
	status, body := get(t, "http://"+g.Addresses.Admin+"/readyz")
	require.Equal(t, 200, status, body)
	require.Equal(t, `{"ready":true}`+"\n", body)
	status, _ = get(t, "http://"+g.Addresses.Admin+"/healthz")
	require.Equal(t, 200, status)

	sim := start(t, "simulate", "--addr", g.Addresses.Vehicles[0], "--vehicles", "3", "--period", "100ms", "--ramp", "0s")
	waitSessions(t, dir, 3)

	require.Contains(t, ok(t, "sessions", "list", "--data-dir", dir), "\nLTEST00000000000")
	require.Contains(t, ok(t, "sessions", "show", "--data-dir", dir, "LTEST000000000002"), `"vin": "LTEST000000000002"`)
	require.Regexp(t, `(?m)^LTEST000000000003 .* online$`, ok(t, "vehicles", "list", "--data-dir", dir), "registered by its login")
	testSend(t, g, dir, key(t, out))
	testFleet(t, g, dir)

	status, body = get(t, "http://"+g.Addresses.Admin+"/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, body, "\ntboxgate_sessions 3\n")
	require.Contains(t, body, "\ntboxgate_devices 3\n")
	require.Contains(t, body, "\ntboxgate_store_healthy 1\n")
	require.Contains(t, body, `tboxgate_commands_total{command="query",result="answered"} 2`)
	require.Contains(t, body, `tboxgate_api_calls_total{action="AsyncRRpc",code=""}`)
	require.Contains(t, body, `tboxgate_logins_total{kind="vehicle",result="accepted"} 3`)

	require.NoError(t, sim.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, sim.exit(t), sim.stderr.String())
	var sum summary
	require.NoError(t, json.Unmarshal([]byte(sim.stdout.String()), &sum))
	require.Equal(t, 3, sum.Vehicles)
	require.Equal(t, sum.Sent, sum.Acked)
	require.NotContains(t, sim.stderr.String(), "\x1b", "no table in a pipe")
	waitSessions(t, dir, 0)

	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
	require.NoFileExists(t, filepath.Join(dir, runFile))
	require.NoFileExists(t, filepath.Join(dir, admin.SocketName))

	// What was registered and created is still there, and the secret is not shown again.
	require.Contains(t, ok(t, "vehicles", "list", "--data-dir", dir), "offline: logout")
	g = serve(t, dir, "--dev")
	require.NotContains(t, g.stdout.String(), "access secret")
	require.Contains(t, g.stdout.String(), "  access keys    there are some already; another: tboxgate keys create --data-dir "+g.DataDir+"\n")
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// testSend sends commands to a simulated vehicle, over the socket and signed to the API's address.
func testSend(t *testing.T, g *gatewayProcess, dir, accessKey string) {
	t.Helper()
	const vin = "LTEST000000000001"
	var a struct {
		State, Flag string
		MessageID   int64
		Answer      struct {
			Command string
			Params  []map[string]any
		}
	}
	read := func(text string) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(text), &a), text)
	}
	read(ok(t, "send", "query", "--output", "json", "--data-dir", dir, "--vin", vin, "--params", "1,reportPeriod"))
	require.Equal(t, "answered", a.State)
	require.Equal(t, "paramQuery", a.Answer.Command)
	require.Len(t, a.Answer.Params, 2)
	require.Contains(t, a.Answer.Params[1], "reportPeriod")

	read(ok(t, "send", "set", "--output", "json", "--data-dir", dir, "--vin", vin, "--set", "heartbeatPeriod=77"))
	require.Equal(t, "answered", a.State)
	read(ok(t, "send", "query", "--output", "json", "--api", "http://"+g.Addresses.API, "--access-key", accessKey, "--vin", vin, "--params", "9"))
	require.Equal(t, "answered", a.State)
	require.InDelta(t, 77, a.Answer.Params[0]["heartbeatPeriod"], 0)

	read(ok(t, "send", "control", "--output", "json", "--data-dir", dir, "--vin", vin, "--id", "0x80", "--data", "01 02", "--no-wait"))
	require.Positive(t, a.MessageID)

	code, _, stderr := tboxgate(t, "", "send", "query", "--data-dir", dir, "--vin", "LTEST000000000009", "--params", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "iot.Device.NotExistedDevice")
	code, _, stderr = tboxgate(t, "", "send", "query", "--api", "http://"+g.Addresses.API, "--access-key", "none:of-these-keys", "--vin", vin, "--params", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "InvalidAccessKeyId.NotFound")
}

// TestServeClosed: without --dev only what is registered gets in, and the operator's commands reach the gateway.
func TestServeClosed(t *testing.T) {
	dir := dataDir(t)
	// Prepared without a gateway.
	code, stdout, stderr := tboxgate(t, "deviceName,colour\nLTEST000000000001,red\n", "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	require.Equal(t, "1 registered, 0 already registered, 0 invalid, 0 of another product\n", stdout)

	g := serve(t, dir, "--admin-token", "0123456789abcdef", "--access-key", "mine:secret-secret", "--sink", "discard")
	require.Contains(t, g.stdout.String(), "  tboxgate vehicles import --data-dir "+g.DataDir+" VINS.csv\n")
	simulate := func(vin string, more ...string) (int, string) {
		code, _, stderr := tboxgate(t, "", append([]string{"simulate", "--addr", g.Addresses.Vehicles[0], "--vin", vin, "--reports", "1",
			"--period", "20ms"}, more...)...)
		return code, stderr
	}
	code, stderr = simulate("LTEST000000000001")
	require.Zero(t, code, stderr)
	code, stderr = simulate("LTEST000000000002")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "refused")

	// Another terminal, this gateway; then from another machine.
	code, stdout, stderr = tboxgate(t, "# fleet\nLTEST000000000002\n\nLTEST000000000001\nLTEST0000000000023\n", "vehicles", "import", "--data-dir", dir, "-")
	require.Equal(t, 1, code)
	require.Equal(t, "1 registered, 1 already registered, 1 invalid, 0 of another product\n", stdout)
	require.Equal(t, "tboxgate: standard input:5: \"LTEST0000000000023\": codec: bad VIN: \"LTEST0000000000023\" has 18 bytes, want 1 to 17\n", stderr)
	code, stderr = simulate("LTEST000000000002")
	require.Zero(t, code, stderr)
	remote := []string{"--addr", g.Addresses.Admin, "--token", "0123456789abcdef"}
	require.Contains(t, ok(t, append([]string{"vehicles", "list", "--json"}, remote...)...), `{"vin":"LTEST000000000002",`)
	code, _, stderr = tboxgate(t, "", "vehicles", "list", "--addr", g.Addresses.Admin, "--token", "wrong")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: the admin token is wanted: Authorization: Bearer TOKEN\n", stderr)
	ok(t, append([]string{"vehicles", "delete"}, append(remote, "LTEST000000000002")...)...)
	code, _, stderr = tboxgate(t, "", "vehicles", "delete", "--data-dir", dir, "LTEST000000000002", "LTEST000000000001")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: session: the vehicle is not registered: \"LTEST000000000002\" in product \"gbt32960\"\n", stderr)
	require.NotContains(t, ok(t, "vehicles", "list", "--data-dir", dir), "LTEST")

	// A product that there is not: no vehicle of it could log in.
	for _, args := range [][]string{{"import", "-"}, {"delete", "LTEST000000000001"}, {"list"}} {
		for _, where := range [][]string{{"--data-dir", dir}, remote} {
			args := append(append([]string{"vehicles", args[0], "--product-key", "nope"}, where...), args[1:]...)
			code, stdout, stderr = tboxgate(t, "LTEST000000000007\n", args...)
			require.Equal(t, 1, code, args)
			require.Empty(t, stdout, args)
			require.Equal(t, "tboxgate: unknown product \"nope\"; the gateway's products are: gbt32960\n", stderr, args)
		}
	}

	// A platform: password from standard input, never shown.
	code, stdout, stderr = tboxgate(t, "geheim\n", "platforms", "create", "--data-dir", dir, "--code", "PLATFORM1", "--user", "u1")
	require.Zero(t, code, stderr)
	require.Equal(t, "platform PLATFORM1 may log in\n", stdout)
	require.Regexp(t, `(?m)^PLATFORM1 +u1 `, ok(t, "platforms", "list", "--data-dir", dir))
	list := ok(t, "platforms", "list", "--data-dir", dir, "--json")
	require.NotContains(t, list, "geheim")
	require.Regexp(t, `"changedAt":"[^"]{19}\.\d{3}Z"`, list)
	code, _, stderr = tboxgate(t, "", "platforms", "create", "--data-dir", dir, "--code", "123456789012345678", "--user", "u", "--password", "p")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: session: bad platform: the code \"123456789012345678\" has 18 bytes, 1 to 17 are wanted\n", stderr)
	ok(t, "vehicles", "import", "--data-dir", dir, writeFile(t, "v.txt", "LTEST000000000005\nLTEST000000000006\n"))
	platform := []string{"--platform", "PLATFORM1", "--platform-user", "u1", "--vehicles", "2", "--platform-password"}
	code, stderr = simulate("LTEST000000000005", append(platform, "geheim")...)
	require.Zero(t, code, stderr)
	code, stderr = simulate("LTEST000000000005", append(platform, "falsch")...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "refused")
	ok(t, "platforms", "delete", "--data-dir", dir, "PLATFORM1")
	code, stderr = simulate("LTEST000000000005", append(platform, "geheim")...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "refused")

	// Keys: the static one works and cannot be deleted; a made one can.
	var made admin.Key
	require.NoError(t, json.Unmarshal([]byte(ok(t, "keys", "create", "--data-dir", dir, "--json")), &made))
	require.NotEmpty(t, made.Secret)
	list = ok(t, "keys", "list", "--data-dir", dir)
	require.Contains(t, list, made.ID)
	require.Contains(t, list, "mine")
	require.NotContains(t, list, made.Secret)
	require.NotContains(t, list, "secret-secret")
	code, _, stderr = tboxgate(t, "", "keys", "delete", "--data-dir", dir, "mine", made.ID)
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: access key \"mine\": the access key is given by a flag, the environment or the configuration, not stored\n", stderr)
	require.NotContains(t, ok(t, "keys", "list", "--data-dir", dir), made.ID)

	status, _ := get(t, "http://"+g.Addresses.Admin+"/metrics")
	require.Equal(t, 401, status)

	// Nothing secret has gone into the log.
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t))
	for _, secret := range []string{"geheim", "falsch", made.Secret, "secret-secret", "0123456789abcdef"} {
		require.NotContains(t, g.stderr.String()+g.stdout.String(), secret)
	}
	for line := range strings.Lines(g.stderr.String()) {
		require.True(t, json.Valid([]byte(line)), "the log in a pipe is JSON: %s", line)
	}
}

// TestGoRun: what the go command builds for one run is called by it again; the paths are those of go 1.26.
func TestGoRun(t *testing.T) {
	for path, want := range map[string]bool{
		"/tmp/go-build2074894259/b001/exe/tboxgate":                                                            true,
		"/home/u/.cache/go-build/fc/fcd99ddb3e30db14610e07e0d0948a5b9a16df6ed8fee97c2b49cfbb69b11c-d/tboxgate": true,
		"/tmp/go-build2074894259/b001/tboxgate.test":                                                           false,
		"/usr/local/bin/tboxgate":                                                                              false,
		"/home/u/tboxgate/bin/tboxgate":                                                                        false,
	} {
		require.Equal(t, want, fromGoRun(path), path)
	}
}

// TestKick: the vehicle's connection is closed.
func TestKick(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	sim := start(t, "simulate", "--addr", g.Addresses.Vehicles[0], "--vin", "V1")
	waitSessions(t, dir, 1)
	require.Regexp(t, `^kicked V1, session [0-9a-f]{16}\n$`, ok(t, "sessions", "kick", "--data-dir", dir, "V1"))
	require.Equal(t, 1, sim.exit(t))
	require.Contains(t, sim.stderr.String(), "closed by the gateway")
	require.Contains(t, ok(t, "vehicles", "list", "--data-dir", dir), "offline: kicked")
	code, _, stderr := tboxgate(t, "", "sessions", "kick", "--data-dir", dir, "V1")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: vehicle V1 is offline\n", stderr)
}

// TestServeRefuses: what cannot work is one line on standard error and exit status 1.
func TestServeRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	address := busy.Addr().String()
	dir := dataDir(t)
	file := writeFile(t, "file", "")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"vehicle port in use", []string{"--listen", address}, "vehicle listener " + address + ": bind: address already in use: another process has it (ss -ltnp shows which)"},
		{"API port in use", []string{"--api-listen", address}, "API address " + address + ": bind: address already in use: another process has it (ss -ltnp shows which)"},
		{"admin port in use", []string{"--admin-listen", address}, "admin address " + address + ": bind: address already in use: another process has it (ss -ltnp shows which)"},
		{"data directory is a file", []string{"--data-dir", file}, "data directory " + file + " "},
		{"bad access key", []string{"--access-key", "id:short"}, "an access key id has 1 to 64"},
		{"address of another machine", []string{"--listen", "203.0.113.9:0"}, "vehicle listener 203.0.113.9:0: bind: cannot assign requested address: this machine does not have it"},
		{"no address", []string{"--listen", "256.0.0.1:0"}, "vehicle listener 256.0.0.1:0: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, append([]string{"serve", "--log-level", "error", "--data-dir", dir, "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0",
				"--admin-listen", "127.0.0.1:0"}, tt.args...)...)
			require.Equal(t, 1, p.exit(t))
			require.Equal(t, 1, strings.Count(p.stderr.String(), "\n"), p.stderr.String())
			require.Contains(t, p.stderr.String(), "tboxgate: ")
			require.Contains(t, p.stderr.String(), tt.want)
			require.Empty(t, p.stdout.String())
			require.NoFileExists(t, filepath.Join(dir, admin.SocketName))
		})
	}

	// And one that runs keeps its directory for itself.
	g := serve(t, dir)
	p := start(t, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 1, p.exit(t))
	require.Equal(t, fmt.Sprintf("tboxgate: data directory %s is in use by process %d; stop it, or choose another directory with --data-dir\n",
		dir, g.PID), p.stderr.String())
	require.FileExists(t, filepath.Join(dir, admin.SocketName))
}

// TestSignals: the first drains, and /readyz says so; the second stops at once.
func TestSignals(t *testing.T) {
	dir := dataDir(t)
	config := writeFile(t, "t.yaml", "drain: {window: 1h, timeout: 1h}\n")
	g := serve(t, dir, "--dev", "--config", config)
	// With two connections an hour's window keeps the drain busy for half an hour.
	for range 2 {
		c, err := net.Dial("tcp", g.Addresses.Vehicles[0])
		require.NoError(t, err)
		defer c.Close()
	}
	require.Eventually(t, func() bool {
		_, body := get(t, "http://"+g.Addresses.Admin+"/metrics")
		return strings.Contains(body, "\ntboxgate_connections 2\n")
	}, patience, 10*time.Millisecond)

	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		status, body := get(t, "http://"+g.Addresses.Admin+"/readyz")
		return status == 503 && body == `{"ready":false,"reasons":["draining"]}`+"\n"
	}, patience, 10*time.Millisecond)
	status, _ := get(t, "http://"+g.Addresses.Admin+"/healthz")
	require.Equal(t, 200, status)
	require.NoFileExists(t, filepath.Join(dir, runFile))

	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, g.exit(t))
	require.Contains(t, g.stderr.String(), "tboxgate: terminated: stopping at once\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, runFile), []byte("{}"), 0o600), "as after a kill -9")

	// What it left behind, a socket among it, does not keep the next one from starting.
	g = serve(t, dir, "--dev")
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// TestDescriptorsRunOut: a gateway without descriptors left goes on serving those it has, and takes new ones when it can.
func TestDescriptorsRunOut(t *testing.T) {
	const descriptors = 150
	dir := dataDir(t)
	cmd := exec.Command("/bin/sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, descriptors), os.Args[0]}, serveArgs(dir, "--dev")...)...)
	g := untilRunning(t, dir, startCommand(t, cmd))
	heartbeat := func(c net.Conn) error {
		_, err := c.Write([]byte("##\x07\xfeLTEST000000000001\x01\x00\x00"))
		if err == nil {
			f := []byte("\x07\xfeLTEST000000000001\x01\x00\x00")
			_, err = c.Write([]byte{codec.Check(f)})
		}
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, err = io.ReadFull(c, make([]byte, codec.MinFrameSize))
		}
		return err
	}
	login := func() net.Conn { return loginVehicle(t, g.Addresses.Vehicles[0], "LTEST000000000001") }
	first := login()
	var many []net.Conn
	for range 2 * descriptors { // the kernel takes them, the gateway cannot
		c, err := net.Dial("tcp", g.Addresses.Vehicles[0])
		require.NoError(t, err)
		many = append(many, c)
	}
	require.Eventually(t, func() bool { return strings.Contains(g.stderr.String(), "too many open files") }, patience, 5*time.Millisecond)
	require.NoError(t, heartbeat(first))
	for _, c := range many {
		_ = c.Close()
	}
	second := login()
	require.NoError(t, heartbeat(second))
	_, _ = first.Close(), second.Close() // so that the drain need not wait for them
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// TestReload: SIGHUP takes over what can be, names what needs a restart, and survives a mistake in the file.
func TestReload(t *testing.T) {
	config := writeFile(t, "t.yaml", "log: {level: info}\n")
	g := serve(t, dataDir(t), "--dev", "--config", config)
	hup := func(content, want string) {
		t.Helper()
		require.NoError(t, os.WriteFile(config, []byte(content), 0o600))
		require.NoError(t, g.cmd.Process.Signal(syscall.SIGHUP))
		require.Eventually(t, func() bool { return strings.Contains(g.stderr.String(), want) }, patience, 5*time.Millisecond)
	}
	hup("log: {level: debug}\nlimits: {window: 7}\nlisteners: [{address: \"127.0.0.1:1\"}]\n", `"settings":"limits.window"`)
	require.Contains(t, g.stderr.String(), `"taken":"certificates log.level"`)
	hup("log: {level: loud}\n", "nothing of it is taken over")
	require.NoError(t, os.WriteFile(config, []byte("log: {level: info}\nnode: another\n"), 0o600)) // without a signal
	require.Eventually(t, func() bool { return strings.Contains(g.stderr.String(), `"settings":"node"`) }, patience, 5*time.Millisecond)
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// TestDevDirectory: without --data-dir everything is in a temporary directory, which goes with the gateway.
func TestDevDirectory(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Dir(dataDir(t)))
	p := start(t, "serve", "--dev", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	var dir string
	require.Eventually(t, func() bool {
		m := regexp.MustCompile(`(?m)^  data      (\S+)$`).FindStringSubmatch(p.stdout.String())
		if m != nil {
			dir = m[1]
		}
		return m != nil
	}, patience, 10*time.Millisecond)
	require.DirExists(t, dir)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.exit(t), p.stderr.String())
	require.NoDirExists(t, dir)

	t.Setenv("TBOXGATE_DEV", "true")
	code, _, stderr := tboxgate(t, "", "sessions", "list")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--data-dir is needed: serve --dev works on a temporary directory, which it prints")
}
