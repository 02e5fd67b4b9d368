package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// loginVehicle connects and logs in, and returns when the gateway has answered.
func loginVehicle(t *testing.T, address, vin string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	unit := append(codec.AppendTime(nil, time.Now()), "\x00\x0189860000000000000001\x00\x00"...)
	id, err := codec.ParseVIN(vin)
	require.NoError(t, err)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandVehicleLogin, Flag: codec.FlagCommand,
		VIN: id, Encryption: codec.EncryptionNone}, unit)
	require.NoError(t, err)
	_, err = c.Write(f)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(c, make([]byte, codec.MinFrameSize+codec.TimeSize))
	require.NoError(t, err)
	return c
}

// TestSendEndings: a command that is not answered with success says why on standard error, with an exit status for
// each kind of end, and its JSON is there all the same.
func TestSendEndings(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	// The times of the JSON have three decimals, whatever they are.
	const times = `"sentAt":"[^"]{19}\.\d{3}Z"(,"answeredAt":"[^"]{19}\.\d{3}Z")?`
	for i, tt := range []struct {
		name   string
		do     func(vin string, c net.Conn, command codec.Frame)
		args   []string
		state  string
		stderr string
		exit   int
	}{
		{name: "rejected", exit: 3, state: "rejected", stderr: "rejected: the vehicle answered with the flag error", do: func(_ string, c net.Conn, f codec.Frame) {
			_, err := c.Write(codec.AppendAnswer(nil, f, codec.FlagError, f.Unit()[:codec.TimeSize]))
			require.NoError(t, err)
		}},
		{name: "disconnected", exit: 5, state: "disconnected", stderr: "disconnected: the vehicle's session ended before an answer came (peerClosed)",
			do: func(_ string, c net.Conn, _ codec.Frame) { require.NoError(t, c.Close()) }},
		{name: "superseded", exit: 5, state: "superseded", stderr: "superseded: the vehicle logged in over another connection before an answer came (takeover)",
			do: func(vin string, _ net.Conn, _ codec.Frame) { loginVehicle(t, g.Addresses.Vehicles[0], vin) }},
		{name: "no answer in time", exit: 4, state: "sent", stderr: "no answer within 200ms; it goes on, and GetAsyncRRpcResult tells what becomes of it",
			args: []string{"--timeout", "200ms"}, do: func(string, net.Conn, codec.Frame) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vin := fmt.Sprintf("LTEST00000000010%d", i)
			c := loginVehicle(t, g.Addresses.Vehicles[0], vin)
			send := start(t, append([]string{"send", "query", "--output", "json", "--data-dir", dir, "--vin", vin, "--params", "1"}, tt.args...)...)
			f, err := codec.NewReader(c, 0).ReadFrame()
			require.NoError(t, err)
			require.Equal(t, codec.CommandParamQuery, f.Command())
			tt.do(vin, c, f)
			require.Equal(t, tt.exit, send.exit(t), send.stderr.String())
			require.Regexp(t, `^\{"messageId":\d+,"vin":"`+vin+`","state":"`+tt.state+`",.*`+times, send.stdout.String())
			var a struct{ MessageID int64 }
			require.NoError(t, json.Unmarshal([]byte(send.stdout.String()), &a))
			require.Equal(t, fmt.Sprintf("tboxgate: command %d to %s: %s\n", a.MessageID, vin, tt.stderr), send.stderr.String())
		})
	}

	loginVehicle(t, g.Addresses.Vehicles[0], "LTEST000000000103")
	require.Regexp(t, `"loginAt": "[^"]{19}\.\d{3}Z",\n  "lastSeenAt": "[^"]{19}\.\d{3}Z"`, ok(t, "sessions", "show", "--data-dir", dir, "LTEST000000000103"))
}

// TestSendTyped: every way to say what is to be sent makes the same frame, in the edition of the vehicle's login, and the
// answer is printed for people.
func TestSendTyped(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	const vin = "LTEST000000000201"
	c := loginVehicle(t, g.Addresses.Vehicles[0], vin)
	frames := codec.NewReader(c, 0)
	for _, tt := range []struct {
		name   string
		stdin  string
		args   []string
		unit   string // what follows the time, in hex
		answer string // of the vehicle, after the time; none: the time alone
		stdout string
	}{
		{name: "a query's parameters", args: []string{"query", "--vin", vin, "--params", "2,9"}, unit: "020209", answer: "0202000a09fe",
			stdout: "LTEST000000000201 answered paramQuery with success after 0ms (command 0)\n" +
				"  reportPeriod          10 s              normal report period\n" +
				"  heartbeatPeriod       -                 heartbeat period\n"},
		{name: "set", args: []string{"set", "--vin", vin, "--set", "reportPeriod=10", "--set", "heartbeatPeriod=2m"}, unit: "0202000a0978",
			stdout: "LTEST000000000201 answered paramSet with success after 0ms (command 0)\n"},
		{name: "set a domain", args: []string{"set", "--vin", vin, "--set", "platformDomain=ab.cn"}, unit: "02040505" + "61622e636e"},
		{name: "flags above the command", args: []string{"--vin", vin, "control", "--timeout", "1m", "reset"}, unit: "03",
			stdout: "LTEST000000000201 answered control with success after 0ms (command 0)\n"},
		{name: "alarm", args: []string{"control", "--vin", vin, "alarm", "--level", "2", "--message", "停车"}, unit: "0602cda3b3b5"},
		{name: "upgrade", args: []string{"control", "--vin", vin, "upgrade", "--url", "ftp://h/f", "--server", "10.0.0.1", "--port", "21",
			"--firmware-version", "V2", "--time-limit", "5"}, unit: "01" + "3b3b3b" + "00000a0000013b" + "00153b" + "3b3b" + "56323b" + "6674703a2f2f682f663b" + "0005"},
		{name: "control of the maker", args: []string{"control", "--vin", vin, "--id", "0x80", "--data", "0102"}, unit: "800102"},
		{name: "a whole frame's JSON", args: []string{"--json", "-"}, unit: "03",
			stdin: `{"v":1,"edition":2016,"command":"control","flag":"command","vin":"` + vin + `","encryption":"none","time":"2026-03-04T05:06:07+08:00","control":3}`},
		{name: "JSON in short", args: []string{"set", "--vin", vin, "--json", "-"}, stdin: `{"params":[{"id":2,"reportPeriod":10}]}`, unit: "0102000a"},
		{name: "hex", args: []string{"control", "--vin", vin, "--hex", "1a0304050607" + "04"}, unit: "04"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], append([]string{"send", "--data-dir", dir}, tt.args...)...)
			cmd.Stdin = strings.NewReader(tt.stdin)
			send := startCommand(t, cmd)
			f, err := frames.ReadFrame()
			require.NoError(t, err, send.stderr.String())
			require.Equal(t, tt.unit, hex.EncodeToString(f.Unit()[codec.TimeSize:]))
			answer, err := hex.DecodeString(tt.answer)
			require.NoError(t, err)
			_, err = c.Write(codec.AppendAnswer(nil, f, codec.FlagSuccess, append(slices.Clone(f.Unit()[:codec.TimeSize]), answer...)))
			require.NoError(t, err)
			require.Zero(t, send.exit(t), send.stderr.String())
			if tt.stdout != "" {
				text := regexp.MustCompile(`after \S+ \(command \d+\)`).ReplaceAllString(send.stdout.String(), "after 0ms (command 0)")
				require.Equal(t, tt.stdout, text)
			}
		})
	}
}
