package openapi_test

import (
	"encoding/xml"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command"
)

// The Java SDK of the old generation asks for XML and reads it into paths: a leaf gives its text; children that all have one
// name are a list, path.Length and path[0], path[1], …; an only child is read both ways. Its typed answers then take the paths
// below. Maven being out of reach of this repository's tests, the reader's rules are written down here once more.

type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

func javaPaths(t *testing.T, answer, root string) map[string]string {
	t.Helper()
	var top element
	require.NoError(t, xml.Unmarshal([]byte(answer), &top), answer)
	require.Equal(t, root, top.XMLName.Local)
	paths := map[string]string{}
	var read func(e element, path string)
	asList := func(list []element, path string) {
		paths[path+".Length"] = fmt.Sprint(len(list))
		for i, e := range list {
			read(e, fmt.Sprintf("%s[%d]", path, i))
		}
	}
	read = func(e element, path string) {
		same := 0
		for _, c := range e.Children {
			if c.XMLName == e.Children[0].XMLName {
				same++
			}
		}
		switch {
		case len(e.Children) == 0:
			paths[path] = e.Text
		case same > 1 && same == len(e.Children):
			asList(e.Children, path)
		case same == 1 && len(e.Children) == 1:
			asList(e.Children, path)
			read(e.Children[0], path+"."+e.Children[0].XMLName.Local)
		default:
			for _, c := range e.Children {
				read(c, path+"."+c.XMLName.Local)
			}
		}
	}
	read(top, root)
	return paths
}

var uuid = regexp.MustCompile(`[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}`)

// TestXMLGolden is the form of answers, byte for byte.
func TestXMLGolden(t *testing.T) {
	a, _ := fleetAPI(t)
	const declaration, content = `<?xml version="1.0" encoding="UTF-8"?>`, "MessageContent=GgsXCx4AAQI="
	for _, c := range []struct {
		action string
		params []string
		status int
		want   string
	}{
		{"AsyncRRpc", []string{"DeviceName=V1", `ExtInfo={"commandType":128}`, content}, 200,
			`<AsyncRRpcResponse><RequestId>ID</RequestId><Success>true</Success><MessageId>889455942125</MessageId></AsyncRRpcResponse>`},
		{"AsyncRRpc", []string{"DeviceName=V2", `ExtInfo={"commandType":128}`, content}, 200,
			`<AsyncRRpcResponse><RequestId>ID</RequestId><Success>false</Success><Code>iot.device.OfflineDevice</Code>` +
				`<ErrorMessage>The device is offline.</ErrorMessage><Message>The device is offline.</Message></AsyncRRpcResponse>`},
		{"AsyncRRpc", []string{"DeviceName=V1", `ExtInfo=<&>`, content}, 200,
			`<AsyncRRpcResponse><RequestId>ID</RequestId><Success>false</Success><Code>iot.common.InvalidFormattedParameter</Code>` +
				`<ErrorMessage>ExtInfo is not a JSON object such as {&#34;commandType&#34;:128}.</ErrorMessage>` +
				`<Message>ExtInfo is not a JSON object such as {&#34;commandType&#34;:128}.</Message></AsyncRRpcResponse>`},
		{"Pub", nil, 404,
			`<Error><RequestId>ID</RequestId><HostId>example.com</HostId><Code>InvalidAction.NotFound</Code>` +
				`<Message>Specified api is not found, please check your url and method.</Message>` +
				`<Recommend>https://github.com/tboxgate/tboxgate/blob/main/docs/api.md?q=InvalidAction.NotFound#front-end-errors</Recommend></Error>`},
	} {
		got := a.ask(c.action, append(c.params, "Format=XML")...)
		require.Equal(t, "text/xml;charset=utf-8", got.typ)
		require.Equal(t, c.status, got.status)
		require.Equal(t, declaration+c.want, uuid.ReplaceAllString(got.body, "ID"))
		withoutFormat := a.ask(c.action, append(c.params, "Format=-")...)
		require.Equal(t, "text/xml;charset=utf-8", withoutFormat.typ, "the default of signature 1")
	}
}

func TestJavaReadsXML(t *testing.T) {
	a, _ := fleetAPI(t)
	a.commands.results = map[int64]command.Result{1: {MessageID: 1, ProductKey: testProduct, State: command.StateSent}}
	read := func(action string, params ...string) map[string]string {
		got := a.ask(action, append(params, "Format=XML")...)
		require.Equal(t, 200, got.status, got.body)
		return javaPaths(t, got.body, action+"Response")
	}
	p := read("GetDeviceStatus", "DeviceName=V1")
	require.Equal(t, "true", p["GetDeviceStatusResponse.Success"])
	require.Equal(t, "ONLINE", p["GetDeviceStatusResponse.Data.Status"])
	require.NotEmpty(t, p["GetDeviceStatusResponse.Data.Timestamp"])
	p = read("BatchGetDeviceState", "DeviceName.1=V1", "DeviceName.2=V3")
	require.Equal(t, "2", p["BatchGetDeviceStateResponse.DeviceStatusList.Length"])
	require.Equal(t, "V3", p["BatchGetDeviceStateResponse.DeviceStatusList[1].DeviceName"])
	p = read("BatchGetDeviceState", "DeviceName.1=V1")
	require.Equal(t, "1", p["BatchGetDeviceStateResponse.DeviceStatusList.Length"], "one is a list too")
	require.Equal(t, "V1", p["BatchGetDeviceStateResponse.DeviceStatusList[0].DeviceName"])
	p = read("QueryDevice")
	require.Equal(t, "4", p["QueryDeviceResponse.Data.Length"])
	require.Equal(t, "V2", p["QueryDeviceResponse.Data[1].DeviceName"])
	require.Equal(t, "4", p["QueryDeviceResponse.Total"])
	for _, action := range []string{"BatchCheckVehicleDevice", "BatchImportVehicleDevice"} {
		p = read(action, "DeviceList.1.DeviceName=V1", "DeviceList.2.DeviceName=V2", "DeviceList.3.DeviceName=V/3")
		root := action + "Response.Data."
		require.Equal(t, "2", p[root+"RepeatedDeviceNameList.Length"], "%v", slices.Sorted(maps.Keys(p)))
		require.Equal(t, "V2", p[root+"RepeatedDeviceNameList[1]"])
		require.Equal(t, "V/3", p[root+"InvalidDeviceNameList[0]"])
		require.Equal(t, "V/3", p[root+"InvalidDetailList[0].DeviceName"])
	}
	p = read("GetAsyncRRpcResult", "MessageId=1")
	require.Equal(t, "sent", p["GetAsyncRRpcResultResponse.Data.State"])
}
