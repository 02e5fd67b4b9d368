//go:build examples

package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// examples are the programs of docs/api.md in a language, in their order.
func examples(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/api.md")
	require.NoError(t, err)
	var programs []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(text, -1) {
		programs = append(programs, string(m[1]))
	}
	require.NotEmpty(t, programs, "no program in %s", language)
	return programs
}

// runExample saves a program in a directory of its own and runs it there, or a Go program here, where its modules are.
func runExample(t *testing.T, g *gateway, code, file string, command ...string) string {
	t.Helper()
	modules, err := filepath.Abs("node/node_modules")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), file)
	require.NoError(t, os.WriteFile(path, []byte(code), 0o600))
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], "FILE", path)
	}
	cmd := exec.Command(command[0], command[1:]...)
	if command[0] != "go" {
		cmd.Dir = filepath.Dir(path)
	}
	cmd.Env = append(os.Environ(), "ACCESS_KEY_ID="+keyID, "ACCESS_KEY_SECRET="+secret, "NODE_PATH="+modules, "TBOXGATE_API=http://"+g.server.Listener.Addr().String())
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	require.NoError(t, err, "%s%s", out, log.String())
	return string(out)
}

// answered makes the vehicle answer queries: parameter 2 is 10.
func (g *gateway) answered() {
	g.vehicle.answers(func(f codec.Frame) []byte {
		return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(f.TimeBytes(), 1, 2, 0, 10))
	})
}

// answer is what the API says, as the programs print it.
type answer struct {
	Success   bool
	MessageID int64
	Data      struct{ State string }
}

func readAnswer(t *testing.T, line string) (a answer) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(line), &a), line)
	require.True(t, a.Success, line)
	return a
}

// TestExamples runs the programs of docs/api.md: each sends a query and reads its answer. They need bash, openssl, curl,
// python3, node with the packages of node/, a JDK, and Go.
func TestExamples(t *testing.T) {
	for _, e := range []struct {
		language, file string
		command        []string
	}{
		{"bash", "call.sh", []string{"bash", "FILE"}},
		{"python", "call.py", []string{"python3", "FILE"}},
		{"js", "call.js", []string{"node", "FILE"}},
		{"java", "Call.java", []string{"java", "FILE"}},
		{"go", "call.go", []string{"go", "run", "FILE"}},
	} {
		t.Run(e.file, func(t *testing.T) {
			code := examples(t, e.language)[0]
			g := newGateway(t)
			g.answered()
			call := func(args ...string) answer {
				return readAnswer(t, runExample(t, g, code, e.file, append(slices.Clone(e.command), args...)...))
			}
			content := unit(2, 0x02, 0x09)
			sent := call("AsyncRRpc", "ProductKey="+product, "DeviceName="+vin, `ExtInfo={"commandType":128}`, "MessageContent="+base64.StdEncoding.EncodeToString(content))
			require.Equal(t, content, g.vehicle.received()[0].Unit())
			require.Equal(t, "answered", call("GetAsyncRRpcResult", "ProductKey="+product, fmt.Sprint("MessageId=", sent.MessageID)).Data.State)
		})
	}
}

// TestExamplesShell types what docs/api.md shows below call.sh, with a key and a message id that exist.
func TestExamplesShell(t *testing.T) {
	programs := examples(t, "bash")
	require.Len(t, programs, 2)
	export, lines, ok := strings.Cut(programs[1], "\n")
	require.True(t, ok)
	require.Equal(t, "export ACCESS_KEY_ID=tbg... ACCESS_KEY_SECRET=...", export) // in the environment already
	send, ask, ok := strings.Cut(lines, "bash call.sh GetAsyncRRpcResult")
	require.True(t, ok)

	g := newGateway(t)
	g.answered()
	callSh := "cat > call.sh <<'END'\n" + programs[0] + "END\n"
	sent := readAnswer(t, runExample(t, g, callSh+send, "send.sh", "bash", "FILE"))
	require.Equal(t, []byte{2, 2, 9}, g.vehicle.received()[0].Unit()[6:])
	at, ok := codec.Time(g.vehicle.received()[0].Unit()[:6]).Time()
	require.True(t, ok)
	require.WithinDuration(t, time.Now(), at, time.Hour, "the time now in Beijing")
	ask = regexp.MustCompile(`MessageId=\d+`).ReplaceAllString("bash call.sh GetAsyncRRpcResult"+ask, fmt.Sprint("MessageId=", sent.MessageID))
	require.Equal(t, "answered", readAnswer(t, runExample(t, g, callSh+ask, "ask.sh", "bash", "FILE")).Data.State)
}

// TestExamplesClient runs the program with the client of this repository.
func TestExamplesClient(t *testing.T) {
	programs := examples(t, "go")
	require.Len(t, programs, 2)
	g := newGateway(t)
	g.answered()
	require.Equal(t, "reportPeriod 10 s\n", runExample(t, g, programs[1], "query.go", "go", "run", "FILE"))
	require.Equal(t, []byte{2, 2, 9}, g.vehicle.received()[0].Unit()[6:])
}
