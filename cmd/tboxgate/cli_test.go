package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestMistakes: what goes wrong is said on standard error in one go, with exit status 1, or 2 for a mistake on the
// command line.
func TestMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("bad.yaml", []byte("node: a\nlistenrs: []\nsinks: []\n"), 0o600))
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"serv", 2, "tboxgate: unknown command \"serv\" (did you mean \"serve\"?)\nSee: tboxgate --help\n"},
		{"bogus", 2, "tboxgate: unknown command \"bogus\"\nSee: tboxgate --help\n"},
		{"--dev", 2, "tboxgate: unknown flag --dev\nSee: tboxgate --help\n"},
		{"keys", 2, "tboxgate keys: a command is missing: create, list, disable, enable, delete\nSee: tboxgate keys --help\n"},
		{"keys crate", 2, "tboxgate keys: unknown command \"crate\" (did you mean \"create\"?)\nSee: tboxgate keys --help\n"},
		{"serve --lisen x", 2, "tboxgate serve: unknown flag --lisen (did you mean \"--listen\"?)\nSee: tboxgate serve --help\n"},
		{"serve --listen", 2, "tboxgate serve: flag --listen needs a value\nSee: tboxgate serve --help\n"},
		{"serve now", 2, "tboxgate serve: unexpected argument \"now\"\nSee: tboxgate serve --help\n"},
		{"serve --config none.yaml", 1, "tboxgate: config: open none.yaml: no such file or directory\n"},
		{"serve --config bad.yaml", 1, "tboxgate: bad.yaml:2: unknown key \"listenrs\" (did you mean \"listeners\"?)\n"},
		{"serve --api-listen x --listen y", 2,
			"tboxgate serve: --api-listen: \"x\" is not HOST:PORT (and 1 more, see tboxgate config check)\nSee: tboxgate serve --help\n"},
		{"serve --dev --listen 0.0.0.0:1", 2,
			"tboxgate serve: --listen: \"0.0.0.0:1\" is not loopback, and --dev lets anybody in; use 127.0.0.1, [::1] or localhost\nSee: tboxgate serve --help\n"},
		{"config print --log-level loud", 2,
			"tboxgate config print: --log-level: \"loud\" is not allowed; one of debug, info, warn, error\nSee: tboxgate config print --help\n"},
		{"config check --config bad.yaml --log-level loud", 1,
			"bad.yaml:2: unknown key \"listenrs\" (did you mean \"listeners\"?)\n--log-level: \"loud\" is not allowed; one of debug, info, warn, error\n"},
		{"config print --config bad.yaml", 1, "tboxgate: bad.yaml:2: unknown key \"listenrs\" (did you mean \"listeners\"?)\n"},
		{"decode frames.bin --pretty", 2, "tboxgate decode: flags go before the arguments: --pretty\nSee: tboxgate decode --help\n"},
		{"decode none.bin", 1, "tboxgate: decode: \"none.bin\" is neither a file (no such file or directory) nor a frame in hex (not hex: 'n')\n"},
		{"decode 0x232307fe4c54455354343433373233303434363035010000a4", 1,
			"tboxgate: decode: \"0x232307fe4c5445535434343337323330343436\"… is neither a file (no such file or directory) nor a frame in hex (not hex: 'x')\n"},
		{"decode abcd", 1, "tboxgate: decode: \"abcd\" is neither a file (no such file or directory) nor a frame in hex (it begins with 2323 or 2424)\n"},
		{"encode none.json", 1, "tboxgate: open none.json: no such file or directory\n"},
		{"completion", 2, "tboxgate completion: an argument is missing: bash|zsh\nSee: tboxgate completion --help\n"},
		{"completion fish", 2, "tboxgate completion: no completion for \"fish\"; bash or zsh\nSee: tboxgate completion --help\n"},
		{"sessions list", 1, "tboxgate: no gateway is running on data directory ./tboxgate-data: start tboxgate serve there, or choose another with --data-dir\n"},
		{"sessions show", 2, "tboxgate sessions show: an argument is missing: VIN\nSee: tboxgate sessions show --help\n"},
		{"sessions kick 123456789012345678", 1, "tboxgate: no gateway is running on data directory ./tboxgate-data: start tboxgate serve there, or choose another with --data-dir\n"},
		{"sessions list --addr 127.0.0.1:1", 2, "tboxgate sessions list: --addr needs --token\nSee: tboxgate sessions list --help\n"},
		{"vehicles list", 1, "tboxgate: there is no data directory ./tboxgate-data: choose one with --data-dir\n"},
		{"keys delete", 2, "tboxgate keys delete: an argument is missing: ID...\nSee: tboxgate keys delete --help\n"},
		{"platforms create --code C", 2, "tboxgate platforms create: --code and --user are needed\nSee: tboxgate platforms create --help\n"},
		{"platforms create --code C --user U", 2,
			"tboxgate platforms create: a password is needed: --password, TBOXGATE_PLATFORM_PASSWORD or standard input\nSee: tboxgate platforms create --help\n"},
		{"send query --params 1", 2, "tboxgate send query: --vin is needed\nSee: tboxgate send query --help\n"},
		{"send query --vin V", 2, "tboxgate send query: what to send is missing: --params, --json or --hex\nSee: tboxgate send query --help\n"},
		{"send set --vin V", 2, "tboxgate send set: what to send is missing: --set, --json or --hex\nSee: tboxgate send set --help\n"},
		{"send query --vin V --params 1 --hex 00", 2, "tboxgate send query: --params, --json and --hex: only one of them can say what to send\nSee: tboxgate send query --help\n"},
		{"send control reset --vin V --hex 00", 2, "tboxgate send control reset: the command's own flags, --json and --hex: only one of them can say what to send\nSee: tboxgate send control reset --help\n"},
		{"fleet silent --for 1x", 2, "tboxgate fleet silent: --for: \"1x\" is no duration such as 90s or 1h30m\nSee: tboxgate fleet silent --help\n"},
		{"simulate -n many", 2, "tboxgate simulate: -n: \"many\" is no whole number\nSee: tboxgate simulate --help\n"},
		{"simulate --pace fast", 2, "tboxgate simulate: --pace: \"fast\" is no number\nSee: tboxgate simulate --help\n"},
		{"trace --vin V --dump=perhaps", 2, "tboxgate trace: --dump: \"perhaps\" is neither true nor false\nSee: tboxgate trace --help\n"},
		{"send query --vin V --params 1,reportPeriode", 2,
			"tboxgate send query: --params: \"reportPeriode\" is neither an id from 1 to 254 nor a name (did you mean \"reportPeriod\"?)\nSee: tboxgate send query --help\n"},
		{"send set --vin V --set reportPeriod", 2, "tboxgate send set: --set reportPeriod: NAME=VALUE is wanted\nSee: tboxgate send set --help\n"},
		{"send set --vin V --set reportPeriod=soon", 2, "tboxgate send set: reportPeriod: \"soon\" is neither a number of s nor a duration such as 10s\nSee: tboxgate send set --help\n"},
		{"send set --vin V --set reportPeriod=601", 2, "tboxgate send set: reportPeriod: 601 is out of range; 1 to 600 s in the 2016 edition\nSee: tboxgate send set --help\n"},
		{"send set --vin V --set reportPeriod=31 --edition 2025", 2, "tboxgate send set: reportPeriod: 31 is out of range; 1 to 30 s in the 2025 edition\nSee: tboxgate send set --help\n"},
		{"send set --vin V --set firmwareVersion=1", 2, "tboxgate send set: firmwareVersion: it can be queried, not set\nSee: tboxgate send set --help\n"},
		{"send set --vin V --set reportPeriode=1", 2, "tboxgate send set: --set: unknown parameter \"reportPeriode\" (did you mean \"reportPeriod\"?)\nSee: tboxgate send set --help\n"},
		{"send control --vin V restart", 2, "tboxgate send control: unknown command \"restart\"\nSee: tboxgate send control --help\n"},
		{"send control --vin V", 2, "tboxgate send control: a command is missing: upgrade, shutdown, reset, factoryReset, disconnect, alarm, sampling\nSee: tboxgate send control --help\n"},
		{"send control --vin V --id 9", 2, "tboxgate send control: control: 9 is not assigned; 1 to 7, or 128 to 254 for those of the maker\nSee: tboxgate send control --help\n"},
		{"send control --vin V --id 1", 2, "tboxgate send control: --id: 1 has arguments of its own: send control upgrade\nSee: tboxgate send control --help\n"},
		{"send control alarm --vin V --level 4 --edition 2016", 2, "tboxgate send control alarm: level: 4 is out of range; 0 to 3 in the 2016 edition, or 255 for invalid\nSee: tboxgate send control alarm --help\n"},
		{"send control alarm --vin V", 2, "tboxgate send control alarm: --level is needed\nSee: tboxgate send control alarm --help\n"},
		{"send control upgrade --vin V", 2, "tboxgate send control upgrade: url: it is empty; the address of the new firmware is needed\nSee: tboxgate send control upgrade --help\n"},
		{"send control upgrade --vin V --url x --time-limit 60001", 2, "tboxgate send control upgrade: --time-limit: 60001 is out of range; 0 to 60000 min\nSee: tboxgate send control upgrade --help\n"},
		{"send control upgrade --vin V --url x --firmware-version 1234567", 2, "tboxgate send control upgrade: firmwareVersion: \"1234567\" has 7 bytes; at most 5\nSee: tboxgate send control upgrade --help\n"},
		{"send control reset --vin V --output yaml", 2, "tboxgate send control reset: --output: \"yaml\" is neither text nor json\nSee: tboxgate send control reset --help\n"},
		{"send", 2, "tboxgate send: a command is missing: query, set, control\nSee: tboxgate send --help\n"},
		{"send query --vin V --params 1 --edition 2020", 2, "tboxgate send query: --edition is 2016 or 2025\nSee: tboxgate send query --help\n"},
		{"send query --vin V --params 1", 1, "tboxgate: no gateway is running on data directory ./tboxgate-data: start tboxgate serve there, or choose another with --data-dir\n"},
		{"send query --vin V --params 1 --api http://127.0.0.1:1", 2,
			"tboxgate send query: --api needs --access-key: an access key is written ID:SECRET\nSee: tboxgate send query --help\n"},
		{"simulate --platform 123456789012345678", 2,
			"tboxgate simulate: vehicle: the platform's code \"123456789012345678\" has 18 bytes, 1 to 17 are wanted\nSee: tboxgate simulate --help\n"},
		{"simulate --vehicles 0", 2, "tboxgate simulate: --vehicles is 1 or more\nSee: tboxgate simulate --help\n"},
		{"simulate --vin LTEST99 --vehicles 2", 2, "tboxgate simulate: --vin LTEST99: the number at its end has no room for 2 vehicles\nSee: tboxgate simulate --help\n"},
		{"simulate --answer time,rude", 2, "tboxgate simulate: --answer: vehicle: unknown answer style \"rude\" (want time, replyTime, echo, echoRequest, controlId, " +
			"empty, flagFE, error, silent, late or leave)\nSee: tboxgate simulate --help\n"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, stdout, stderr := tboxgate(t, "", strings.Fields(tt.args)...)
			require.Equal(t, tt.want, stderr)
			require.Equal(t, tt.code, code)
			require.Empty(t, stdout)
		})
	}
	require.NoDirExists(t, "tboxgate-data", "a mistake leaves nothing behind")
}

func TestHelp(t *testing.T) {
	code, stdout, stderr := tboxgate(t, "")
	require.Zero(t, code)
	require.Empty(t, stderr)
	for _, name := range []string{"serve", "decode", "encode", "simulate", "probe", "send", "keys", "vehicles", "platforms", "sessions", "config", "completion"} {
		require.Contains(t, stdout, "   "+name+" ")
		code, help, _ := tboxgate(t, "", name, "--help")
		require.Zero(t, code)
		require.Contains(t, help, "tboxgate "+name)
	}
	code, stdout, _ = tboxgate(t, "", "--version")
	require.Zero(t, code)
	require.Regexp(t, `^tboxgate version \S+ .*go1\.`, stdout)

	for _, shell := range []string{"bash", "zsh"} {
		code, stdout, _ = tboxgate(t, "", "completion", shell)
		require.Zero(t, code)
		require.Contains(t, stdout, "--generate-bash-completion")
	}
}

func TestConfigCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("t.yaml", []byte("node: edge\napi: {address: \"127.0.0.1:1\"}\n"), 0o600))
	t.Setenv("TBOXGATE_CONFIG", "t.yaml")
	t.Setenv("TBOXGATE_API_LISTEN", "127.0.0.1:2")
	code, stdout, stderr := tboxgate(t, "", "config", "check")
	require.Zero(t, code, stderr)
	require.Equal(t, "ok\n", stdout)
	code, stdout, stderr = tboxgate(t, "", "config", "print", "--admin-listen", "127.0.0.1:3")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "node: edge\n")
	require.Contains(t, stdout, "api:\n  address: 127.0.0.1:2\n")
	require.Contains(t, stdout, "admin:\n  address: 127.0.0.1:3\n")
}

func TestDecode(t *testing.T) {
	code, stdout, stderr := tboxgate(t, "", "decode", "testdata/decode.jsonl")
	golden(t, "testdata/decode.golden", []byte(stdout))
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: decode: 5 bad, 5 good\n", stderr)

	code, stdout, _ = tboxgate(t, "", "decode", "--pretty", "testdata/decode.jsonl")
	golden(t, "testdata/decode-pretty.golden", []byte(stdout))
	require.Equal(t, 1, code)
}

// TestDecodeForms: the same frames in every form of input give the same output.
func TestDecodeForms(t *testing.T) {
	text, err := os.ReadFile("testdata/decode.jsonl")
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	var jsonl, hexLines, wrapped string
	var binary []byte
	var args []string
	for _, line := range append(lines[:3:3], lines[4], lines[5]) { // the good ones
		digits := strings.Split(line, `"`)[3]
		jsonl += line + "\n"
		hexLines += digits + "\r\n\r\n"
		wrapped += strings.ToUpper(digits[:20]) + "\n" + digits[20:30] + " " + digits[30:40] + "\t" + digits[40:] + "\n"
		raw, err := hex.DecodeString(digits)
		require.NoError(t, err)
		binary = append(binary, raw...)
		args = append(args, digits)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "frames")
	require.NoError(t, os.WriteFile(file, binary, 0o600))

	code, want, stderr := tboxgate(t, jsonl, "decode")
	require.Zero(t, code, stderr)
	require.Equal(t, 5, strings.Count(want, "\n"))
	for name, in := range map[string]struct {
		stdin string
		args  []string
	}{
		"mark":      {stdin: "\xEF\xBB\xBF" + jsonl},
		"hex":       {stdin: hexLines},
		"wrapped":   {stdin: wrapped},
		"one line":  {stdin: strings.Join(args, "")},
		"binary":    {stdin: string(binary)},
		"dash":      {stdin: string(binary), args: []string{"-"}},
		"file":      {args: []string{file}},
		"arguments": {args: args},
	} {
		code, stdout, stderr := tboxgate(t, in.stdin, append([]string{"decode"}, in.args...)...)
		require.Zero(t, code, "%s: %s", name, stderr)
		require.Equal(t, want, stdout, name)
	}

	// And back again.
	code, stdout, stderr := tboxgate(t, want, "encode")
	require.Zero(t, code, stderr)
	require.Equal(t, strings.Join(args, "\n")+"\n", stdout)
	code, stdout, stderr = tboxgate(t, want, "encode", "--binary", "-")
	require.Zero(t, code, stderr)
	require.Equal(t, string(binary), stdout)
}

// TestDecodeDamage: bytes between frames are reported with their place and do not hide what follows.
func TestDecodeDamage(t *testing.T) {
	heartbeat, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandHeartbeat, Flag: codec.FlagCommand,
		VIN: [17]byte([]byte("LTEST000000000001")), Encryption: codec.EncryptionNone}, nil)
	require.NoError(t, err)

	stream := bytes.Join([][]byte{heartbeat, []byte("\x00\x01garbage"), heartbeat, heartbeat[:10]}, nil)
	code, stdout, stderr := tboxgate(t, string(stream), "decode")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: decode: 2 bad, 2 good\n", stderr)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, `{"error":"no start mark","offset":25,"hex":"000167617262616765"}`, lines[1])
	require.Equal(t, lines[0], lines[2])
	require.Equal(t, `{"error":"frame cut short: 10 bytes of 25","offset":59,"hex":"232307fe4c5445535430"}`, lines[3])

	// Binary that does not begin with a mark is binary all the same.
	code, stdout, _ = tboxgate(t, "\x00\x01"+string(heartbeat), "decode")
	require.Equal(t, 1, code)
	require.Equal(t, `{"error":"no start mark","offset":0,"hex":"0001"}`+"\n"+lines[0]+"\n", stdout)

	code, stdout, stderr = tboxgate(t, "", "decode")
	require.Zero(t, code, stderr)
	require.Empty(t, stdout)
}

// TestCompletion asks as the shell's script does. urfave/cli looks at the process's own arguments, so it takes a process.
func TestCompletion(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"keys"}, []string{"create", "list", "disable", "enable", "delete"}},
		{[]string{"completion"}, []string{"bash", "zsh"}},
		{[]string{"decode", "-"}, []string{"--pretty", "--dissect", "--pcap", "--port", "--help", "-h"}},
	} {
		p := start(t, append(tt.args, "--generate-bash-completion")...)
		require.Zero(t, p.exit(t), p.stderr.String())
		var words []string
		s := bufio.NewScanner(strings.NewReader(p.stdout.String()))
		for s.Scan() {
			word, _, _ := strings.Cut(s.Text(), ":") // a shell may show what follows
			words = append(words, word)
		}
		require.Equal(t, tt.want, words)
	}
}

// TestBrokenPipe: a reader that goes away ends a list without a word.
func TestBrokenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	p := exec.Command(os.Args[0], "completion", "bash")
	p.Env = append(os.Environ(), runMain+"=1")
	p.Stdout = w
	err = p.Run()
	require.NoError(t, w.Close())
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit))
	require.Equal(t, syscall.SIGPIPE, exit.Sys().(syscall.WaitStatus).Signal())
}
