package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	simulated "github.com/tboxgate/tboxgate/gateway/vehicle"
)

// TestEndToEnd is the main job in one piece: the program as users build it, a vehicle on its socket,
// and Alibaba's own SDK on its API. The vehicle gets each command and its answer can be read.
func TestEndToEnd(t *testing.T) {
	const vin = "LTEST000000000042"
	dir := t.TempDir()
	program := filepath.Join(dir, "tboxgate")
	build := exec.Command("go", "build", "-o", program, "./cmd/tboxgate")
	build.Dir = "../../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	data := filepath.Join(dir, "data")
	var log bytes.Buffer
	serve := exec.Command(program, "serve", "--dev", "--data-dir", data, "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0",
		"--admin-listen", "127.0.0.1:0", "--access-key", keyID+":"+secret)
	serve.Stderr = &log
	require.NoError(t, serve.Start())
	t.Cleanup(func() {
		require.NoError(t, serve.Process.Signal(os.Interrupt))
		require.NoError(t, serve.Wait(), log.String())
	})
	var status struct {
		ProductKey string
		Addresses  struct {
			Vehicles []string
			API      string
		}
	}
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(data, "run.json"))
		return err == nil && json.Unmarshal(text, &status) == nil
	}, 30*time.Second, 10*time.Millisecond, "the gateway does not start")

	car, err := simulated.New(simulated.Config{Addr: status.Addresses.Vehicles[0], VIN: vin, Period: 100 * time.Millisecond})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	drive := make(chan error, 1)
	go func() { drive <- car.Run(ctx) }()

	client, err := iot.NewClientWithAccessKey("cn-shanghai", keyID, secret)
	require.NoError(t, err)
	client.Domain = status.Addresses.API
	client.SetTransport(http.DefaultTransport) // so that the test can close its connections
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	require.Equal(t, product, status.ProductKey)

	now := codec.AppendTime(nil, time.Now())
	for _, c := range []struct {
		name        string
		commandType int
		unit        []byte
		command     string
		check       func(body map[string]any)
	}{
		{"query", 128, []byte{2, 0x02, 0x09}, "paramQuery", func(body map[string]any) {
			params := body["params"].([]any)
			require.Len(t, params, 2)
			require.Contains(t, params[0], "reportPeriod")
			require.Contains(t, params[1], "heartbeatPeriod")
		}},
		{"set", 129, []byte{1, 0x02, 0x00, 0x14}, "paramSet", nil},
		{"query what was set", 128, []byte{1, 0x02}, "paramQuery", func(body map[string]any) {
			require.InDelta(t, 20, body["params"].([]any)[0].(map[string]any)["reportPeriod"], 0)
		}},
		{"control", 130, []byte{0x06, 0x01}, "control", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := asyncRRpc(vin, c.commandType, append(append([]byte(nil), now...), c.unit...))
			var answer *iot.AsyncRRpcResponse
			require.Eventually(t, func() bool { // until the vehicle has logged in
				answer, err = client.AsyncRRpc(r)
				require.NoError(t, err)
				return answer.Success || !strings.HasPrefix(answer.Code, "iot.device.") && !strings.HasPrefix(answer.Code, "iot.Device.")
			}, 20*time.Second, 20*time.Millisecond)
			require.True(t, answer.Success, "%s %s", answer.Code, answer.ErrorMessage)
			require.Positive(t, answer.MessageId)
			require.Less(t, answer.MessageId, int64(1)<<53)

			var got map[string]any
			require.Eventually(t, func() bool {
				got = result(t, client, answer.MessageId)
				return got["State"] == "answered"
			}, 20*time.Second, 20*time.Millisecond, "%v", got)
			require.Equal(t, "success", got["Flag"])
			body, ok := got["Body"].(map[string]any)
			require.True(t, ok, "%v", got)
			require.Equal(t, c.command, body["command"])
			require.Equal(t, vin, body["vin"])
			if c.check != nil {
				c.check(body)
			}
		})
	}
	stop()
	require.NoError(t, <-drive)
	require.Positive(t, car.Stats().Acked)
}
