package openapi_test

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
	"github.com/tboxgate/tboxgate/session"
)

func TestAsyncRRpc(t *testing.T) {
	a := newAPI(t)
	got := a.call(nil)
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, "application/json;charset=utf-8", got.typ)
	require.Equal(t, true, got.json["Success"])
	require.Regexp(t, `^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`, got.json["RequestId"])
	require.Contains(t, got.body, `"MessageId":889455942125}`, "a number")
	require.Equal(t, command.Request{
		ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: []byte{0x1A, 0x0B, 0x17, 0x0B, 0x1E, 0x00, 0x01, 0x02},
		RequestID: got.json["RequestId"].(string), AccessKeyID: testKey,
	}, a.commands.last)
	require.Equal(t, []openapi.CallInfo{{Action: "AsyncRRpc", Status: 200}}, a.calls)

	for extInfo, want := range map[string]codec.Command{
		`{"commandType":129}`: codec.CommandParamSet, `{"commandType":130, "other": [1]}`: codec.CommandControl, `{"commandType":"128"}`: codec.CommandParamQuery,
	} {
		require.Equal(t, 200, a.call(map[string]string{"ExtInfo": extInfo}).status)
		require.Equal(t, want, a.commands.last.Command)
	}
	require.Equal(t, true, a.call(map[string]string{"IotInstanceId": "iot-v64xyz", "TopicFullName": "/x/user/get"}).json["Success"], "ignored")
}

func TestWhereParametersMayBe(t *testing.T) {
	form := func(r *http.Request) *http.Request {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		return r
	}
	a := newAPI(t)
	for name, r := range map[string]*http.Request{
		"GET, all in the query":   httptest.NewRequest(http.MethodGet, "/?"+encode(a.params("GET", nil)), nil),
		"POST, all in the body":   form(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(encode(a.params("POST", nil))))),
		"GET, all in the body":    form(httptest.NewRequest(http.MethodGet, "/", strings.NewReader(encode(a.params("GET", nil))))),
		"POST, all in the query":  httptest.NewRequest(http.MethodPost, "/?"+encode(a.params("POST", nil)), nil),
		"body of no content type": httptest.NewRequest(http.MethodPost, "/", strings.NewReader(encode(a.params("POST", nil)))),
		"chunked body":            form(httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(encode(a.params("POST", nil)))))),
	} {
		got := a.do(r)
		require.Equal(t, 200, got.status, "%s: %s", name, got.body)
		require.Equal(t, true, got.json["Success"], name)
	}
	got := a.call(map[string]string{"DeviceName": testVIN, "Extra": "a b+c*~%/\u8f66"})
	require.Equal(t, true, got.json["Success"], "every byte survives the signature")
}

// Failures before the operation is reached: their code, HTTP status, and shape.
func TestFrontEndErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change  map[string]string
		status  int
		code    string
		message string
	}{
		"unknown action":      {map[string]string{"Action": "Pub"}, 404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."},
		"no action":           {map[string]string{"Action": "-"}, 400, "MissingAction", "Action is mandatory for this action."},
		"other version":       {map[string]string{"Version": "2017-01-01"}, 400, "InvalidVersion", ""},
		"unknown key":         {map[string]string{"AccessKeyId": "nobody"}, 404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."},
		"disabled key":        {map[string]string{"AccessKeyId": "off"}, 400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled."},
		"no key":              {map[string]string{"AccessKeyId": "-"}, 400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action."},
		"no signature":        {map[string]string{"Signature": "-"}, 400, "MissingSignature", "Signature is mandatory for this action."},
		"no method":           {map[string]string{"SignatureMethod": "-"}, 400, "MissingSignatureMethod", ""},
		"no signatureVersion": {map[string]string{"SignatureVersion": "-"}, 400, "MissingSignatureVersion", ""},
		"no nonce":            {map[string]string{"SignatureNonce": ""}, 400, "MissingSignatureNonce", ""},
		"no timestamp":        {map[string]string{"Timestamp": "-"}, 400, "MissingTimestamp", ""},
		"other method":        {map[string]string{"SignatureMethod": "HMAC-SHA256"}, 400, "InvalidSignatureMethod", "Specified signature method is not valid."},
		"bearer":              {map[string]string{"SignatureType": "BEARERTOKEN"}, 400, "InvalidSignatureMethod", ""},
		"signature version":   {map[string]string{"SignatureVersion": "2.0"}, 400, "InvalidSignatureVersion", ""},
		"security token":      {map[string]string{"SecurityToken": "sts"}, 400, "InvalidSecurityToken.NotSupported", ""},
		"bad timestamp":       {map[string]string{"Timestamp": "2026-11-23 03:32:02"}, 400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."},
		"15 minutes ago":      {map[string]string{"Timestamp": now.Add(-15*time.Minute - time.Second).Format(signature.TimeFormat)}, 400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."},
		"15 minutes ahead":    {map[string]string{"Timestamp": now.Add(15*time.Minute + time.Second).Format(signature.TimeFormat)}, 400, "InvalidTimeStamp.Expired", ""},
		"wrong secret":        {map[string]string{"secret": "guess"}, 400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation."},
		"wrong signature":     {map[string]string{"Signature": "yYV5hIqUT2RJXtPCnss+9fZ0Wdc="}, 400, "SignatureDoesNotMatch", ""},
		"format":              {map[string]string{"Format": "YAML"}, 400, "InvalidParameter.Format", ""},
	} {
		a := newAPI(t)
		got := a.call(c.change)
		require.Equal(t, c.status, got.status, name)
		require.Zero(t, a.commands.sent, name)
		require.NotContains(t, got.body, testSecret, name)
		require.Equal(t, c.code, a.calls[0].Code, name)
		if c.code == "InvalidParameter.Format" {
			require.Equal(t, "text/xml;charset=utf-8", got.typ)
			continue
		}
		require.Equal(t, c.code, got.json["Code"], name)
		if c.message != "" {
			require.Equal(t, c.message, got.json["Message"], name)
		}
		require.Equal(t, "example.com", got.json["HostId"], name)
		require.Contains(t, got.json["Recommend"], "https://", name)
		require.Len(t, got.json, 5, name)
		require.Regexp(t, `^\{"RequestId":"`, got.body)
	}
	for _, edge := range []time.Duration{-15 * time.Minute, 15 * time.Minute} {
		got := newAPI(t).call(map[string]string{"Timestamp": now.Add(edge).Format(signature.TimeFormat)})
		require.Equal(t, true, got.json["Success"], "inside the window")
	}
}

func TestCallsPerSecond(t *testing.T) {
	clock := now
	a := newAPI(t, func(o *openapi.Options) { o.CallsPerSecond = 3; o.Now = func() time.Time { return clock } })
	for range 3 {
		require.Equal(t, 200, a.call(nil).status)
	}
	got := a.call(nil)
	require.Equal(t, 400, got.status)
	require.Equal(t, "Throttling.User", got.json["Code"])
	clock = clock.Add(time.Second)
	require.Equal(t, 200, a.call(nil).status)
}

func TestRequestsThatAreNotCalls(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		method, target, contentType, body string
		status                            int
		code                              string
	}{
		"method":           {"PUT", "/?Format=JSON&Action=AsyncRRpc", "", "", 404, "InvalidAction.NotFound"},
		"path":             {"GET", "/other?Format=JSON&Action=AsyncRRpc", "", "", 404, "InvalidAction.NotFound"},
		"nothing":          {"GET", "/?Format=json", "", "", 400, "MissingAction"},
		"JSON body":        {"POST", "/?Format=JSON", "application/json", "{}", 415, "UnsupportedContentType"},
		"twice":            {"POST", "/?Format=JSON&ProductKey=a", form, "ProductKey=b", 400, "InvalidParameter.Repeated"},
		"twice in a query": {"GET", "/?Format=JSON&ProductKey=a&ProductKey=a", "", "", 400, "InvalidParameter.Repeated"},
		"bad escape":       {"GET", "/?Format=JSON&ProductKey=%zz", "", "", 400, "InvalidParameter.Encoding"},
		"bad name":         {"POST", "/?Format=JSON", form, "%=1", 400, "InvalidParameter.Encoding"},
		"too large":        {"POST", "/?Format=JSON", form, "MessageContent=" + strings.Repeat("A", 1100<<10), 413, "RequestTooLarge"},
	} {
		a := newAPI(t)
		r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		got := a.do(r)
		require.Equal(t, c.status, got.status, name)
		require.Equal(t, c.code, got.json["Code"], name)
	}
	a := newAPI(t)
	r := httptest.NewRequest(http.MethodPost, "/?Format=JSON", iotestErrReader{})
	require.Equal(t, "IncompleteBody", a.do(r).json["Code"])
}

type iotestErrReader struct{}

func (iotestErrReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The longest data unit fits into a call.
func TestLongestUnit(t *testing.T) {
	a := newAPI(t)
	unit := make([]byte, codec.MaxUnitSize)
	for i := range unit {
		unit[i] = 0xFB // base64 all "+/", the worst for percent-encoding
	}
	got := a.call(map[string]string{"MessageContent": base64.StdEncoding.EncodeToString(unit)})
	require.Equal(t, true, got.json["Success"], got.body)
	require.Equal(t, unit, a.commands.last.Unit)
}

// Failures of the operation, in the order in which they are found.
func TestBusinessErrors(t *testing.T) {
	frame, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandParamQuery, Flag: codec.FlagCommand, Encryption: 1}, []byte{1, 2})
	require.NoError(t, err)
	frame2025, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2025, Command: codec.CommandParamQuery, Flag: codec.FlagCommand, Encryption: 1}, []byte{1, 2})
	require.NoError(t, err)
	frame2025[len(frame2025)-1] ^= 1
	b64 := base64.StdEncoding.EncodeToString
	const parameter = "iot.common.InvalidFormattedParameter"
	// Every row but the first few is wrong in all later ways too, which shows the order of the checks.
	for name, c := range map[string]struct {
		change  map[string]string
		sendErr error
		code    string
		message string
	}{
		"no product key":         {map[string]string{"ProductKey": "-", "DeviceName": "-", "MessageContent": "-", "ExtInfo": "-"}, nil, "iot.prod.NullProductKey", "The ProductKey is empty."},
		"empty product key":      {map[string]string{"ProductKey": "", "DeviceName": ""}, nil, "iot.prod.NullProductKey", "The ProductKey is empty."},
		"product key format":     {map[string]string{"ProductKey": "a1-b2", "DeviceName": ""}, nil, "iot.prod.InvalidFormattedProductkey", "The ProductKey format is incorrect."},
		"no device name":         {map[string]string{"DeviceName": "-", "MessageContent": "-", "ProductKey": "unknown"}, nil, "iot.device.NullDeviceName", "The deviceName is empty."},
		"device name format":     {map[string]string{"DeviceName": "LTEST 1", "MessageContent": "-"}, nil, "iot.device.InvalidFormattedDeviceName", "The deviceName format is incorrect."},
		"device name length":     {map[string]string{"DeviceName": testVIN + "2"}, nil, "iot.device.InvalidFormattedDeviceName", "The deviceName format is incorrect."},
		"no content":             {map[string]string{"MessageContent": "-", "ExtInfo": "-"}, nil, "iot.messagebroker.NullMessageContent", "Message content cannot be empty."},
		"empty content":          {map[string]string{"MessageContent": ""}, nil, "iot.messagebroker.NullMessageContent", "Message content cannot be empty."},
		"not base64":             {map[string]string{"MessageContent": "*", "ExtInfo": "-"}, nil, "iot.messagebroker.MessageContentIsNotBase64Encode", "The message content is not base64 encoded."},
		"a frame":                {map[string]string{"MessageContent": b64(frame), "ExtInfo": "-"}, nil, parameter, "MessageContent is a whole GB/T 32960 frame (it begins with \"##\"). Give the data unit only: the gateway builds the frame around it, with the command of ExtInfo and DeviceName as VIN."},
		"a frame, check wrong":   {map[string]string{"MessageContent": b64(frame2025)}, nil, parameter, ""},
		"no ExtInfo":             {map[string]string{"ExtInfo": "-", "ProductKey": "unknown"}, nil, parameter, `ExtInfo is empty. A GB/T 32960 device needs ExtInfo={"commandType":128|129|130}.`},
		"ExtInfo no JSON":        {map[string]string{"ExtInfo": "commandType=128"}, nil, parameter, `ExtInfo is not a JSON object such as {"commandType":128}.`},
		"ExtInfo a list":         {map[string]string{"ExtInfo": "[128]"}, nil, parameter, ""},
		"no commandType":         {map[string]string{"ExtInfo": "{}"}, nil, parameter, "ExtInfo has no commandType. It must be 128 (query), 129 (setting) or 130 (control)."},
		"commandType 127":        {map[string]string{"ExtInfo": `{"commandType":127}`}, nil, parameter, "The commandType of ExtInfo must be 128 (query), 129 (setting) or 130 (control)."},
		"commandType 128.0":      {map[string]string{"ExtInfo": `{"commandType":128.5}`}, nil, parameter, ""},
		"commandType null":       {map[string]string{"ExtInfo": `{"commandType":null}`}, nil, parameter, ""},
		"unknown product":        {map[string]string{"ProductKey": "unknown", "DeviceName": "LTEST000000000009"}, nil, "iot.prod.NotExistedProduct", ""},
		"unknown device":         {map[string]string{"DeviceName": "LTEST000000000009"}, nil, "iot.Device.NotExistedDevice", "This device does not exist."},
		"device of another":      {map[string]string{"DeviceName": "LTEST000000000004"}, nil, "iot.Device.NotExistedDevice", "This device does not exist."},
		"disabled device":        {map[string]string{"DeviceName": "LTEST000000000003"}, nil, "iot.device.DisabledDevice", "The device is disabled."},
		"never connected":        {map[string]string{"DeviceName": "LTEST000000000002"}, command.ErrOffline, "iot.device.InactiveDevice", "The device is inactive."},
		"offline":                {nil, &command.SendError{Err: command.ErrOffline}, "iot.device.OfflineDevice", "The device is offline."},
		"queue full":             {nil, &command.SendError{Err: command.ErrQueueFull}, "iot.messagebroker.RateLimit", ""},
		"data unit far too long": {nil, &command.SendError{Err: command.ErrUnitTooLong}, parameter, ""},
	} {
		for _, status := range []int{200, 400} {
			a := newAPI(t, func(o *openapi.Options) { o.BusinessErrorStatus = status })
			a.commands.sendErr = c.sendErr
			got := a.call(c.change)
			require.Equal(t, status, got.status, name)
			require.Equal(t, false, got.json["Success"], name)
			require.Equal(t, c.code, got.json["Code"], name)
			if c.message != "" {
				require.Equal(t, c.message, got.json["ErrorMessage"], name)
			}
			require.NotEmpty(t, got.json["ErrorMessage"], name)
			require.Equal(t, got.json["ErrorMessage"], got.json["Message"], name)
			require.Len(t, got.json, 5, name)
			require.Zero(t, a.commands.sent, name)
		}
	}
	a := newAPI(t)
	require.Equal(t, true, a.call(map[string]string{"DeviceName": "LTEST000000000002"}).json["Success"], "online for the first time")
}

// 5xx only when nothing was sent: SDKs repeat a call after it.
func TestServerErrors(t *testing.T) {
	for err, want := range map[error]int{
		command.ErrClosed: 503, fmt.Errorf("%w: down", command.ErrStore): 503, errors.New("a bug"): 500,
	} {
		a := newAPI(t)
		a.commands.sendErr = err
		got := a.call(nil)
		require.Equal(t, want, got.status)
		require.Equal(t, map[int]any{503: "ServiceUnavailable", 500: "InternalError"}[want], got.json["Code"])
		require.NotContains(t, got.body, "a bug")
	}
}

func TestGetAsyncRRpcResult(t *testing.T) {
	a := newAPI(t)
	sent := session.At(time.Date(2026, 11, 23, 3, 32, 1, 5e6, time.UTC))
	a.commands.results = map[int64]command.Result{
		4711: {
			MessageID: 4711, ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Edition: codec.Edition2016,
			State: command.StateAnswered, Flag: "success", SentAt: sent, AnsweredAt: session.At(sent.Add(time.Second)), Body: []byte(`{"v":1,"params":[{"id":2,"reportPeriod":10}]}`),
		},
		4712: {MessageID: 4712, ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandControl, Edition: codec.Edition2016, State: command.StateDisconnected, Reason: "peerClosed", SentAt: sent},
	}
	get := func(id string) map[string]string {
		return map[string]string{"Action": "GetAsyncRRpcResult", "MessageId": id, "MessageContent": "-", "ExtInfo": "-", "DeviceName": "-"}
	}
	got := a.call(get("4711"))
	require.Equal(t, 200, got.status, got.body)
	require.Regexp(t, `^\{"RequestId":"[^"]*","Success":true,"Data":\{"State":"answered","Flag":"success","Command":"paramQuery",`+
		`"SentTime":"2026-11-23T03:32:01\.005Z","AnsweredTime":"2026-11-23T03:32:02\.005Z","MessageId":4711,"DeviceName":"`+testVIN+`",`+
		`"Body":\{"v":1,"params":\[\{"id":2,"reportPeriod":10\}\]\}\}\}$`, got.body)
	data := a.call(get("4712")).json["Data"].(map[string]any)
	require.Equal(t, map[string]any{
		"State": "disconnected", "Reason": "peerClosed", "Command": "control", "SentTime": "2026-11-23T03:32:01.005Z", "MessageId": 4712.0, "DeviceName": testVIN,
	}, data)

	for _, id := range []string{"", "-", "0", "-5", "x", "4711.0", "99999999999999999999"} {
		require.Equal(t, "iot.common.InvalidFormattedParameter", a.call(get(id)).json["Code"], id)
	}
	require.Equal(t, "iot.messagebroker.NotExistedMessage", a.call(get("4713")).json["Code"])
	other := get("4711")
	other["ProductKey"] = "otherProduct"
	require.Equal(t, "iot.messagebroker.NotExistedMessage", a.call(other).json["Code"])
	other["ProductKey"] = "unknown"
	require.Equal(t, "iot.prod.NotExistedProduct", a.call(other).json["Code"])
	other["ProductKey"] = ""
	require.Equal(t, "iot.prod.NullProductKey", a.call(other).json["Code"])
	a.commands.readErr = command.ErrStore
	got = a.call(get("4711"))
	require.Equal(t, 200, got.status)
	require.Equal(t, "iot.system.SystemException", got.json["Code"])
}

func TestXML(t *testing.T) {
	a := newAPI(t)
	for _, format := range []string{"-", "", "XML", "xml"} {
		got := a.call(map[string]string{"Format": format})
		require.Equal(t, 200, got.status)
		require.Equal(t, "text/xml;charset=utf-8", got.typ)
		require.Regexp(t, `^<\?xml version="1\.0" encoding="UTF-8"\?><AsyncRRpcResponse><RequestId>[0-9A-F-]{36}</RequestId><Success>true</Success>`+
			`<MessageId>\d+</MessageId></AsyncRRpcResponse>$`, got.body)
	}
	got := a.call(map[string]string{"Format": "XML", "DeviceName": ""})
	require.Regexp(t, `<AsyncRRpcResponse><RequestId>[^<]*</RequestId><Success>false</Success><Code>iot\.device\.NullDeviceName</Code>`+
		`<ErrorMessage>The deviceName is empty\.</ErrorMessage><Message>The deviceName is empty\.</Message></AsyncRRpcResponse>$`, got.body)

	p := a.params("GET", map[string]string{"Format": "XML", "AccessKeyId": "nobody"})
	r := httptest.NewRequest(http.MethodGet, "/?"+encode(p), nil)
	r.Host = "a<b>&c"
	got = a.do(r)
	require.Equal(t, 404, got.status)
	require.Equal(t, "text/xml;charset=utf-8", got.typ)
	var parsed struct {
		XMLName                  xml.Name `xml:"Error"`
		RequestID                string   `xml:"RequestId"`
		HostID                   string   `xml:"HostId"`
		Code, Message, Recommend string
	}
	require.NoError(t, xml.Unmarshal([]byte(got.body), &parsed))
	require.Equal(t, "InvalidAccessKeyId.NotFound", parsed.Code)
	require.Equal(t, "Specified access key is not found.", parsed.Message)
	require.Equal(t, "a<b>&c", parsed.HostID)

	a.commands.results = map[int64]command.Result{1: {MessageID: 1, ProductKey: testProduct, State: command.StateAnswered, Body: []byte(`{"a":"<&>"}`)}}
	got = a.call(map[string]string{"Format": "XML", "Action": "GetAsyncRRpcResult", "MessageId": "1"})
	require.Contains(t, got.body, `<Body>{&#34;a&#34;:&#34;&lt;&amp;&gt;&#34;}</Body></Data></GetAsyncRRpcResultResponse>`)
}

// The trusted handler takes calls without a signature, as the CLI makes them over the admin socket.
func TestTrusted(t *testing.T) {
	a := newAPI(t, func(o *openapi.Options) { o.Trusted = true; o.Keys = nil })
	got := a.do(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(encode(map[string]string{
		"Action": "AsyncRRpc", "ProductKey": testProduct, "DeviceName": testVIN, "MessageContent": "AQI=", "ExtInfo": `{"commandType":130}`,
	}))))
	require.Equal(t, true, got.json["Success"], got.body)
	require.Equal(t, "local", a.commands.last.AccessKeyID)
	require.Equal(t, codec.CommandControl, a.commands.last.Command)
}

func TestOptions(t *testing.T) {
	good := openapi.Options{Devices: devices{}, Commands: &commands{}, Keys: keyring{}, Products: openapi.NewProducts()}
	_, err := openapi.New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*openapi.Options){
		"devices":  func(o *openapi.Options) { o.Devices = nil },
		"commands": func(o *openapi.Options) { o.Commands = nil },
		"keys":     func(o *openapi.Options) { o.Keys = nil },
		"products": func(o *openapi.Options) { o.Products = nil },
		"status":   func(o *openapi.Options) { o.BusinessErrorStatus = 500 },
	} {
		o := good
		change(&o)
		_, err := openapi.New(o)
		require.Error(t, err, name)
	}
}
