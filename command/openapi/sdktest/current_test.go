package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	client "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	openapiutil "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// transport makes the current SDK use the connections that the test can close.
type transport struct{}

func (transport) Call(r *http.Request, _ *http.Transport) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}

// current calls an operation with the current generation of the Go SDK, as its typed clients do: what is in body goes into a
// form, the rest into the query. algorithm is "" for V3, "v2" for signature 1.
func (g *gateway) current(algorithm, secret, method, action string, query, body map[string]string) (map[string]any, error) {
	g.t.Helper()
	pointers := func(m map[string]string) map[string]*string {
		out := map[string]*string{}
		for name, value := range m {
			out[name] = tea.String(value)
		}
		return out
	}
	config := &openapiutil.Config{
		AccessKeyId: tea.String(keyID), AccessKeySecret: tea.String(secret), Endpoint: tea.String(g.server.Listener.Addr().String()), Protocol: tea.String("HTTP"),
		HttpClient: transport{},
	}
	if algorithm != "" {
		config.SignatureAlgorithm = tea.String(algorithm)
	}
	c, err := client.NewClient(config)
	require.NoError(g.t, err)
	answer, err := c.CallApi(&openapiutil.Params{
		Action: tea.String(action), Version: tea.String("2018-01-20"), Protocol: tea.String("HTTPS"), Pathname: tea.String("/"), Method: tea.String(method),
		AuthType: tea.String("AK"), Style: tea.String("RPC"), ReqBodyType: tea.String("formData"), BodyType: tea.String("json"),
	}, &openapiutil.OpenApiRequest{Query: pointers(query), Body: pointers(body)}, &dara.RuntimeOptions{})
	if err != nil {
		return nil, err
	}
	return answer["body"].(map[string]any), nil
}

func number(t *testing.T, v any) int64 {
	t.Helper()
	n, err := v.(json.Number).Int64()
	require.NoError(t, err)
	return n
}

// The current generation, V3 and signature 1, POST and GET: command, answer, result.
func TestCurrentSDK(t *testing.T) {
	for _, algorithm := range []string{"", "v2"} {
		for _, method := range []string{"POST", "GET"} {
			t.Run(method+algorithm, func(t *testing.T) {
				g := newGateway(t)
				g.vehicle.answers(func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes()) })
				content := unit(1, 0x02)
				query := map[string]string{"ProductKey": product, "DeviceName": vin, "ExtInfo": `{"commandType":128}`}
				sent, err := g.current(algorithm, secret, method, "AsyncRRpc", query, map[string]string{"MessageContent": base64.StdEncoding.EncodeToString(content)})
				require.NoError(t, err)
				require.Equal(t, true, sent["Success"])
				require.Equal(t, content, g.vehicle.received()[0].Unit())
				got, err := g.current(algorithm, secret, method, "GetAsyncRRpcResult", map[string]string{"ProductKey": product, "MessageId": fmt.Sprint(number(t, sent["MessageId"]))}, nil)
				require.NoError(t, err)
				require.Equal(t, "answered", got["Data"].(map[string]any)["State"])
			})
		}
	}
}

// What fails reads well: business errors are answers, the front end's are errors with code, message and status.
func TestCurrentSDKErrors(t *testing.T) {
	g := newGateway(t)
	content := map[string]string{"MessageContent": base64.StdEncoding.EncodeToString(unit(1, 0x02))}
	for _, algorithm := range []string{"", "v2"} {
		got, err := g.current(algorithm, secret, "POST", "AsyncRRpc", map[string]string{"ProductKey": product, "DeviceName": vinOff, "ExtInfo": `{"commandType":128}`}, content)
		require.NoError(t, err)
		require.Equal(t, "iot.device.OfflineDevice", got["Code"])
		require.Equal(t, "The device is offline.", got["ErrorMessage"])
		for _, c := range []struct{ secret, action, code string }{{"guess", "AsyncRRpc", "SignatureDoesNotMatch"}, {secret, "NoSuchAction", "InvalidAction.NotFound"}} {
			_, err := g.current(algorithm, c.secret, "POST", c.action, map[string]string{"ProductKey": product, "DeviceName": vin}, content)
			var sdkErr *tea.SDKError
			require.True(t, errors.As(err, &sdkErr), "%v", err)
			require.Equal(t, c.code, tea.StringValue(sdkErr.Code))
			require.NotContains(t, tea.StringValue(sdkErr.Message), "<nil>")
		}
	}
	require.Empty(t, g.vehicle.received())
}
