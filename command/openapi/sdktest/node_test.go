//go:build node

package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/openapi"
)

// nodeSDKs are the generic clients; iot20180120 has typed calls and no AsyncRRpc.
var nodeSDKs = []string{"pop-core", "pop-core-get", "openapi-client", "openapi-core"}

// nodeResult is what an SDK made of an answer: either of the two.
type nodeResult struct {
	Answer map[string]any
	Error  *struct{ Code, Message string }
}

// node calls the API with a Node SDK. make nodetest installs them.
func (g *gateway) node(sdk, action string, params map[string]string, env ...string) nodeResult {
	g.t.Helper()
	text, err := json.Marshal(params)
	require.NoError(g.t, err)
	cmd := exec.Command("node", "node/call.js", sdk, action, string(text))
	cmd.Env = append(os.Environ(), "TBOXGATE_API="+g.server.Listener.Addr().String(), "ACCESS_KEY_ID="+keyID, "ACCESS_KEY_SECRET="+secret)
	cmd.Env = append(cmd.Env, env...)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	require.NoError(g.t, err, log.String())
	var r nodeResult
	require.NoError(g.t, json.Unmarshal(out, &r), string(out))
	return r
}

func nodeCommand(name string, commandType int, unit []byte) map[string]string {
	return map[string]string{
		"ProductKey": product, "DeviceName": name, "ExtInfo": fmt.Sprintf(`{"commandType":%d}`, commandType),
		"MessageContent": base64.StdEncoding.EncodeToString(unit),
	}
}

// Each SDK sends a command, the vehicle gets the frame and answers, the SDK reads the answer.
func TestNodeCommandAndAnswer(t *testing.T) {
	for _, sdk := range nodeSDKs {
		t.Run(sdk, func(t *testing.T) {
			g := newGateway(t)
			g.vehicle.answers(func(f codec.Frame) []byte {
				return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(f.TimeBytes(), 1, 2, 0, 10))
			})
			content := unit(1, 0x02)
			sent := g.node(sdk, "AsyncRRpc", nodeCommand(vin, 128, content))
			require.Nil(t, sent.Error)
			require.Equal(t, true, sent.Answer["Success"])
			require.Len(t, sent.Answer["RequestId"], 36)
			id := sent.Answer["MessageId"].(float64)
			require.Len(t, g.vehicle.received(), 1)
			require.Equal(t, content, g.vehicle.received()[0].Unit())

			got := g.node(sdk, "GetAsyncRRpcResult", map[string]string{"ProductKey": product, "MessageId": fmt.Sprintf("%.0f", id)})
			require.Nil(t, got.Error)
			data := got.Answer["Data"].(map[string]any)
			require.Equal(t, "answered", data["State"])
			require.Equal(t, []any{map[string]any{"id": 2.0, "reportPeriod": 10.0}}, data["Body"].(map[string]any)["params"])
		})
	}
}

// Failures read well in each SDK: pop-core throws what the others return, and the front end's all throw.
func TestNodeErrors(t *testing.T) {
	g := newGateway(t)
	for _, sdk := range nodeSDKs {
		throws := strings.HasPrefix(sdk, "pop-core")
		got := g.node(sdk, "AsyncRRpc", nodeCommand(vinOff, 128, unit(1, 0x02)))
		if throws {
			require.NotNil(t, got.Error, sdk)
			require.Equal(t, "iot.device.OfflineDevice", got.Error.Code)
			require.Contains(t, got.Error.Message, "The device is offline.")
			require.NotContains(t, got.Error.Message, "undefined")
		} else {
			require.Nil(t, got.Error, sdk)
			require.Equal(t, false, got.Answer["Success"])
			require.Equal(t, "iot.device.OfflineDevice", got.Answer["Code"])
			require.Equal(t, "The device is offline.", got.Answer["ErrorMessage"])
		}
		for _, c := range []struct{ action, env, code, text string }{
			{"AsyncRRpc", "ACCESS_KEY_SECRET=guess", "SignatureDoesNotMatch", "not matched"},
			{"AsyncRRpc", "ACCESS_KEY_ID=nobody", "InvalidAccessKeyId.NotFound", "access key is not found"},
			{"AsyncRRpc", "SECURITY_TOKEN=token", "InvalidSecurityToken.NotSupported", "no security token"},
			{"NoSuchAction", "X=", "InvalidAction.NotFound", "Specified api is not found"},
		} {
			got := g.node(sdk, c.action, nodeCommand(vin, 128, unit(1, 0x02)), c.env)
			require.NotNil(t, got.Error, "%s %v: %v", sdk, c, got.Answer)
			require.Equal(t, c.code, got.Error.Code, sdk)
			require.Contains(t, got.Error.Message, c.text, sdk)
		}
	}
	require.Empty(t, g.vehicle.received())
}

// A temporary key with its token, as STS gives them.
func TestNodeSecurityToken(t *testing.T) {
	sts := openapi.Key{ID: "STS.test", Secret: secret, SecurityToken: "token-of-the-gateway", ExpiresAt: time.Now().Add(time.Hour)}
	g := newGateway(t, func(o *openapi.Options) { o.Keys = oneKey(sts) })
	for _, sdk := range nodeSDKs {
		got := g.node(sdk, "QueryDevice", map[string]string{"ProductKey": product}, "ACCESS_KEY_ID=STS.test", "SECURITY_TOKEN=token-of-the-gateway")
		require.Nil(t, got.Error, sdk)
		require.InDelta(t, 3, got.Answer["Total"], 0, sdk)
	}
}

// The product's own package and its typed calls.
func TestNodeTyped(t *testing.T) {
	g := newGateway(t)
	g.vehicle.answers(func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes()) })
	call := func(action string, params map[string]string) map[string]any {
		got := g.node("iot20180120", action, params)
		require.Nil(t, got.Error, action)
		require.Equal(t, true, got.Answer["Success"], "%s: %v", action, got.Answer)
		return got.Answer
	}
	device := map[string]string{"ProductKey": product, "DeviceName": vin}
	require.Equal(t, "ONLINE", call("GetDeviceStatus", device)["Data"].(map[string]any)["Status"])
	require.Equal(t, vin, call("QueryDeviceDetail", device)["Data"].(map[string]any)["DeviceName"])
	require.Len(t, call("QueryDevice", map[string]string{"ProductKey": product})["Data"].(map[string]any)["DeviceInfo"], 3)
	answer := call("RRpc", map[string]string{
		"ProductKey": product, "DeviceName": vin, "Topic": "/query", "Timeout": "5000", "RequestBase64Byte": base64.StdEncoding.EncodeToString(unit(1, 0x02)),
	})
	require.Equal(t, "SUCCESS", answer["RrpcCode"])
	require.Equal(t, base64.StdEncoding.EncodeToString(g.vehicle.received()[0].TimeBytes()), answer["PayloadBase64Byte"])
}
