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
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestExamples runs the programs of docs/api.md: each sends a query and reads its answer. They need bash, openssl, curl,
// python3, node with the packages of node/, and a JDK.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	require.NoError(t, err)
	modules, err := filepath.Abs("node/node_modules")
	require.NoError(t, err)
	for _, e := range []struct{ language, file, program string }{
		{"bash", "call.sh", "bash"}, {"python", "call.py", "python3"}, {"js", "call.js", "node"}, {"java", "Call.java", "java"},
	} {
		t.Run(e.file, func(t *testing.T) {
			code := regexp.MustCompile("(?s)```" + e.language + "\n(.*?)```").FindSubmatch(text)
			require.NotNil(t, code, "no program in %s", e.language)
			file := filepath.Join(t.TempDir(), e.file)
			require.NoError(t, os.WriteFile(file, code[1], 0o600))
			g := newGateway(t)
			g.vehicle.answers(func(f codec.Frame) []byte {
				return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(f.TimeBytes(), 1, 2, 0, 10))
			})
			call := func(args ...string) (answer struct {
				Success   bool
				MessageID int64
				Data      struct{ State string }
			}) {
				cmd := exec.Command(e.program, append([]string{file}, args...)...)
				cmd.Env = append(os.Environ(), "ACCESS_KEY_ID="+keyID, "ACCESS_KEY_SECRET="+secret, "NODE_PATH="+modules, "TBOXGATE_API=http://"+g.server.Listener.Addr().String())
				var log strings.Builder
				cmd.Stderr = &log
				out, err := cmd.Output()
				require.NoError(t, err, "%s%s", out, log.String())
				require.NoError(t, json.Unmarshal(out, &answer), string(out))
				require.True(t, answer.Success, string(out))
				return answer
			}
			content := unit(2, 0x02, 0x09)
			sent := call("AsyncRRpc", "ProductKey="+product, "DeviceName="+vin, `ExtInfo={"commandType":128}`, "MessageContent="+base64.StdEncoding.EncodeToString(content))
			require.Equal(t, content, g.vehicle.received()[0].Unit())
			require.Equal(t, "answered", call("GetAsyncRRpcResult", "ProductKey="+product, fmt.Sprint("MessageId=", sent.MessageID)).Data.State)
		})
	}
}
