package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
)

func asyncRRpc(name string, commandType int, unit []byte) *iot.AsyncRRpcRequest {
	r := iot.CreateAsyncRRpcRequest()
	r.ProductKey, r.DeviceName = product, name
	r.ExtInfo = fmt.Sprintf(`{"commandType":%d}`, commandType)
	r.MessageContent = base64.StdEncoding.EncodeToString(unit)
	return r
}

// result asks for a command's result as a caller of the SDK would: by a CommonRequest.
func result(t *testing.T, client *iot.Client, messageID int64) map[string]any {
	t.Helper()
	r := requests.NewCommonRequest()
	r.Domain, r.Version, r.ApiName, r.Method = client.Domain, "2018-01-20", "GetAsyncRRpcResult", "POST"
	r.QueryParams["ProductKey"], r.QueryParams["MessageId"] = product, fmt.Sprint(messageID)
	response, err := client.ProcessCommonRequest(r)
	require.NoError(t, err)
	var answer struct {
		Success bool
		Data    map[string]any
	}
	require.NoError(t, json.Unmarshal(response.GetHttpContentBytes(), &answer), response.GetHttpContentString())
	require.True(t, answer.Success)
	return answer.Data
}

// The whole way: the SDK sends a command, the vehicle gets the frame and answers, the SDK reads the answer.
func TestCommandAndAnswer(t *testing.T) {
	for commandType, c := range map[int]struct {
		name  string
		unit  []byte
		reply []byte
	}{
		128: {"paramQuery", unit(2, 0x02, 0x09), unit(2, 0x02, 0x00, 0x0A, 0x09, 0x3C)},
		129: {"paramSet", unit(1, 0x02, 0x00, 0x1E), unit()},
		130: {"control", unit(0x03), unit(0x03)},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			client := g.sdk(secret)
			sent, err := client.AsyncRRpc(asyncRRpc(vin, commandType, c.unit))
			require.NoError(t, err)
			require.True(t, sent.Success)
			require.Positive(t, sent.MessageId)
			require.Less(t, sent.MessageId, int64(1)<<53)
			require.Len(t, sent.RequestId, 36)
			require.Empty(t, sent.Code)

			frames := g.vehicle.received()
			require.Len(t, frames, 1)
			frame, err := codec.ParseFrame(frames[0])
			require.NoError(t, err)
			require.EqualValues(t, commandType, frame.Command())
			require.Equal(t, codec.FlagCommand, frame.Flag())
			require.Equal(t, vin, frame.VIN().String())
			require.Equal(t, c.unit, frame.Unit())

			data := result(t, client, sent.MessageId)
			require.Equal(t, "sent", data["State"])
			require.Equal(t, c.name, data["Command"])
			require.NotContains(t, data, "Flag")

			g.dispatcher.Answer(g.vehicle.session, codec.AppendAnswer(nil, frame, codec.FlagSuccess, c.reply))
			data = result(t, client, sent.MessageId)
			require.Equal(t, "answered", data["State"])
			require.Equal(t, "success", data["Flag"])
			for _, name := range []string{"SentTime", "AnsweredTime"} {
				at, err := time.Parse(time.RFC3339, data[name].(string))
				require.NoError(t, err)
				require.WithinDuration(t, time.Now(), at, time.Minute)
			}
			body := data["Body"].(map[string]any)
			require.Equal(t, c.name, body["command"])
			require.Equal(t, vin, body["vin"])
			if commandType == 128 {
				require.Equal(t, []any{
					map[string]any{"id": 2.0, "reportPeriod": 10.0}, map[string]any{"id": 9.0, "heartbeatPeriod": 60.0},
				}, body["params"])
			}
		})
	}
}

func TestRejectedByTheVehicle(t *testing.T) {
	g := newGateway(t)
	g.vehicle.answers(func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes()) })
	client := g.sdk(secret)
	sent, err := client.AsyncRRpc(asyncRRpc(vin, 129, unit(1, 0x02, 0xFF, 0x00)))
	require.NoError(t, err)
	require.True(t, sent.Success, "the command was sent; what the vehicle says is in the result")
	data := result(t, client, sent.MessageId)
	require.Equal(t, "rejected", data["State"])
	require.Equal(t, "error", data["Flag"])
}

func TestVehicleThatLeaves(t *testing.T) {
	g := newGateway(t)
	client := g.sdk(secret)
	sent, err := client.AsyncRRpc(asyncRRpc(vin, 130, unit(0x05)))
	require.NoError(t, err)
	require.True(t, g.table.Logout(g.vehicle.session, session.ReasonPeerClosed))
	g.dispatcher.Gone(g.vehicle.session, session.ReasonPeerClosed)
	data := result(t, client, sent.MessageId)
	require.Equal(t, "disconnected", data["State"])
	require.Equal(t, "peerClosed", data["Reason"])
}

// The SDK in its four ways of asking.
func TestMethodsAndFormats(t *testing.T) {
	for _, method := range []string{requests.GET, requests.POST} {
		for _, format := range []string{"JSON", "XML"} {
			t.Run(method+" "+format, func(t *testing.T) {
				g := newGateway(t)
				g.vehicle.answers(func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, nil) })
				r := asyncRRpc(vin, 128, unit(1, 0x02))
				r.Method, r.AcceptFormat = method, format
				response, err := g.sdk(secret).AsyncRRpc(r)
				require.NoError(t, err)
				require.True(t, response.Success, response.GetHttpContentString())
				require.Positive(t, response.MessageId)
				require.Len(t, response.RequestId, 36)
				want := "application/json;charset=utf-8"
				if format == "XML" {
					want = "text/xml;charset=utf-8"
				}
				require.Equal(t, []string{want}, response.GetHttpHeaders()["Content-Type"])
				require.Len(t, g.vehicle.received(), 1)
			})
		}
	}
}

// Every code of the AsyncRRpc page and of docs/decisions.md, as the SDK's caller sees it.
func TestBusinessErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*iot.AsyncRRpcRequest)
		code    string
		message string
	}{
		"no product key":     {func(r *iot.AsyncRRpcRequest) { r.ProductKey = "" }, "iot.prod.NullProductKey", "The ProductKey is empty."},
		"product key format": {func(r *iot.AsyncRRpcRequest) { r.ProductKey = "gbt-32960" }, "iot.prod.InvalidFormattedProductkey", "The ProductKey format is incorrect."},
		"no device name":     {func(r *iot.AsyncRRpcRequest) { r.DeviceName = "" }, "iot.device.NullDeviceName", "The deviceName is empty."},
		"device name format": {func(r *iot.AsyncRRpcRequest) { r.DeviceName = "LTEST 1" }, "iot.device.InvalidFormattedDeviceName", "The deviceName format is incorrect."},
		"never connected":    {func(r *iot.AsyncRRpcRequest) { r.DeviceName = vinNew }, "iot.device.InactiveDevice", "The device is inactive."},
		"offline":            {func(r *iot.AsyncRRpcRequest) { r.DeviceName = vinOff }, "iot.device.OfflineDevice", "The device is offline."},
		"not registered":     {func(r *iot.AsyncRRpcRequest) { r.DeviceName = "LTEST000000000009" }, "iot.Device.NotExistedDevice", "This device does not exist."},
		"unknown product":    {func(r *iot.AsyncRRpcRequest) { r.ProductKey = "other" }, "iot.prod.NotExistedProduct", "The product does not exist."},
		"no content":         {func(r *iot.AsyncRRpcRequest) { r.MessageContent = "" }, "iot.messagebroker.NullMessageContent", "Message content cannot be empty."},
		"not base64":         {func(r *iot.AsyncRRpcRequest) { r.MessageContent = "##" }, "iot.messagebroker.MessageContentIsNotBase64Encode", "The message content is not base64 encoded."},
		"no ExtInfo":         {func(r *iot.AsyncRRpcRequest) { r.ExtInfo = "" }, "iot.common.InvalidFormattedParameter", ""},
		"commandType":        {func(r *iot.AsyncRRpcRequest) { r.ExtInfo = `{"commandType":1}` }, "iot.common.InvalidFormattedParameter", ""},
	} {
		for _, format := range []string{"JSON", "XML"} {
			t.Run(name+" "+format, func(t *testing.T) {
				g := newGateway(t)
				r := asyncRRpc(vin, 128, unit(1, 0x02))
				r.AcceptFormat = format
				c.change(r)
				response, err := g.sdk(secret).AsyncRRpc(r)
				require.NoError(t, err, "HTTP 200: an answer, not an error")
				require.False(t, response.Success)
				require.Equal(t, c.code, response.Code)
				if c.message != "" {
					require.Equal(t, c.message, response.ErrorMessage)
				}
				require.NotEmpty(t, response.ErrorMessage)
				require.Empty(t, g.vehicle.received())
			})
		}
	}
}

func TestWholeFrameIsRefused(t *testing.T) {
	g := newGateway(t)
	frame, err := codec.AppendFrame(nil, codec.Header{
		Edition: codec.Edition2016, Command: codec.CommandParamQuery, Flag: codec.FlagCommand, VIN: g.vehicle.session.RawVIN, Encryption: codec.EncryptionNone,
	}, unit(1, 0x02))
	require.NoError(t, err)
	response, err := g.sdk(secret).AsyncRRpc(asyncRRpc(vin, 128, frame))
	require.NoError(t, err)
	require.Equal(t, "iot.common.InvalidFormattedParameter", response.Code)
	require.Contains(t, response.ErrorMessage, "data unit only")
}

func TestQueueFull(t *testing.T) {
	g := newGateway(t) // one may wait
	client := g.sdk(secret)
	for i, want := range []string{"", "", "iot.messagebroker.RateLimit"} {
		response, err := client.AsyncRRpc(asyncRRpc(vin, 128, unit(1, 0x02)))
		require.NoError(t, err)
		require.Equal(t, want, response.Code, "command %d", i+1)
	}
}

// With the switch the SDK's caller gets an error, and it still reads well.
func TestBusinessErrorsAs400(t *testing.T) {
	g := newGateway(t, func(o *openapi.Options) { o.BusinessErrorStatus = 400 })
	_, err := g.sdk(secret).AsyncRRpc(asyncRRpc(vinOff, 128, unit(1, 0x02)))
	var server *sdkerrors.ServerError
	require.True(t, errors.As(err, &server))
	require.Equal(t, 400, server.HttpStatus())
	require.Equal(t, "iot.device.OfflineDevice", server.ErrorCode())
	require.Equal(t, "The device is offline.", server.Message())
}

func TestFrontEndErrors(t *testing.T) {
	g := newGateway(t)
	for name, c := range map[string]struct {
		call   func() error
		status int
		code   string
	}{
		"wrong secret": {func() error {
			_, err := g.sdk("guess").AsyncRRpc(asyncRRpc(vin, 128, unit(1, 0x02)))
			return err
		}, 400, "SignatureDoesNotMatch"},
		"unknown key": {func() error {
			client, err := iot.NewClientWithAccessKey("cn-shanghai", "nobody", secret)
			require.NoError(t, err)
			client.Domain = g.server.Listener.Addr().String()
			_, err = client.AsyncRRpc(asyncRRpc(vin, 128, unit(1, 0x02)))
			return err
		}, 404, "InvalidAccessKeyId.NotFound"},
		"unknown action": {func() error {
			r := requests.NewCommonRequest()
			r.Domain, r.Version, r.ApiName, r.Method = g.server.Listener.Addr().String(), "2018-01-20", "NoSuchAction", "POST"
			_, err := g.sdk(secret).ProcessCommonRequest(r)
			return err
		}, 404, "InvalidAction.NotFound"},
		"STS token": {func() error {
			client, err := iot.NewClientWithStsToken("cn-shanghai", keyID, secret, "token")
			require.NoError(t, err)
			client.Domain = g.server.Listener.Addr().String()
			_, err = client.AsyncRRpc(asyncRRpc(vin, 128, unit(1, 0x02)))
			return err
		}, 400, "InvalidSecurityToken.NotSupported"},
	} {
		var server *sdkerrors.ServerError
		require.True(t, errors.As(c.call(), &server), name)
		require.Equal(t, c.status, server.HttpStatus(), name)
		require.Equal(t, c.code, server.ErrorCode(), name)
		require.NotEmpty(t, server.Message(), name)
		require.Len(t, server.RequestId(), 36, name)
		require.NotEmpty(t, server.Recommend(), name)
	}
	require.Empty(t, g.vehicle.received())
}

// With the echo on, the SDK itself finds out that the string to sign is right and so the secret must be wrong.
func TestEchoHelpsTheSDK(t *testing.T) {
	g := newGateway(t, func(o *openapi.Options) { o.EchoStringToSign = true })
	_, err := g.sdk("guess").AsyncRRpc(asyncRRpc(vin, 128, unit(1, 0x02)))
	require.ErrorContains(t, err, "InvalidAccessKeySecret")
}

func TestUnknownMessage(t *testing.T) {
	g := newGateway(t)
	client := g.sdk(secret)
	r := requests.NewCommonRequest()
	r.Domain, r.Version, r.ApiName, r.Method = client.Domain, "2018-01-20", "GetAsyncRRpcResult", "POST"
	r.QueryParams["ProductKey"], r.QueryParams["MessageId"] = product, "4711"
	response, err := client.ProcessCommonRequest(r)
	require.NoError(t, err)
	require.Contains(t, response.GetHttpContentString(), `"Success":false,"Code":"iot.messagebroker.NotExistedMessage"`)
}
