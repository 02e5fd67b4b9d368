package openapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// parked is a connection on which nothing happens.
type parked struct{ session.Link }

func (parked) Remote() netip.AddrPort { return netip.MustParseAddrPort("[::ffff:192.0.2.7]:40000") }

func vinOf(t *testing.T, name string) codec.VIN {
	t.Helper()
	vin, err := codec.ParseVIN(name)
	require.NoError(t, err)
	return vin
}

// fleetAPI is an API over a real registry: V1 online, V2 offline, V3 never online, V4 disabled, W1 of another product.
func fleetAPI(t *testing.T, change ...func(*openapi.Options)) (*api, *session.Registry) {
	t.Helper()
	registry, err := session.OpenRegistry(t.Context(), memkv.New(), session.RegistryOptions{Node: "n"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close(context.Background())) })
	_, err = registry.Register(t.Context(), testProduct, []string{"V1", "V2", "V3", "V4"})
	require.NoError(t, err)
	_, err = registry.Register(t.Context(), "otherProduct", []string{"W1"})
	require.NoError(t, err)
	require.NoError(t, registry.Disable(t.Context(), testProduct, vinOf(t, "V4"), true))
	table := session.NewTable(registry.Note, "n")
	for i, name := range []string{"V1", "V2"} {
		s := &session.Session{ID: uint64(i + 1), VIN: vinOf(t, name), ProductKey: testProduct, Edition: codec.Edition2016, Link: parked{}, LoginAt: now}
		table.Login(s)
		if name == "V2" {
			table.Logout(s, session.ReasonLogout)
		}
	}
	a := newAPI(t, append([]func(*openapi.Options){func(o *openapi.Options) { o.Devices, o.Sessions = registry, table }}, change...)...)
	return a, registry
}

// ask calls an operation with these parameters only.
func (a *api) ask(action string, params ...string) answer {
	a.t.Helper()
	return a.do(a.request(action, params...))
}

func (a *api) request(action string, params ...string) *http.Request {
	a.t.Helper()
	change := map[string]string{"Action": action, "DeviceName": "-", "ExtInfo": "-", "MessageContent": "-"}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		change[name] = value
	}
	return a.signed(change)
}

func code(got answer) string {
	s, _ := got.json["Code"].(string)
	return s
}

func TestGetDeviceStatus(t *testing.T) {
	a, registry := fleetAPI(t)
	for name, want := range map[string]string{"V1": "ONLINE", "V2": "OFFLINE", "V3": "UNACTIVE", "V4": "DISABLE"} {
		for _, by := range []string{"DeviceName=" + name, "IotId=" + testProduct + "." + name} {
			data := a.ask("GetDeviceStatus", by).json["Data"].(map[string]any)
			require.Equal(t, want, data["Status"], by)
			d, _ := registry.Lookup(vinOf(t, name))
			at := map[string]time.Time{"V1": d.LastOnlineAt, "V2": d.LastOfflineAt, "V3": d.RegisteredAt, "V4": d.RegisteredAt}[name]
			require.InDelta(t, at.UnixMilli(), data["Timestamp"], 0)
		}
	}
	require.Equal(t, "ONLINE", a.ask("GetDeviceStatus", "DeviceName=V2", "IotId="+testProduct+".V1").json["Data"].(map[string]any)["Status"], "IotId wins")
	for params, want := range map[string]string{
		"DeviceName=V9": "iot.device.NotExistedDevice", "DeviceName=W1": "iot.device.NotExistedDevice", "": "iot.device.NullDeviceName",
		"ProductKey= DeviceName=V1": "iot.prod.NullProductKey", "ProductKey=a.b DeviceName=V1": "iot.prod.InvalidFormattedProductkey",
		"ProductKey=nope DeviceName=V1": "iot.prod.NotExistedProduct", "DeviceName=V/1": "iot.device.InvalidFormattedDeviceName",
		"IotId=V1": "iot.device.NotExistedDevice", "IotId=nope.V1": "iot.prod.NotExistedProduct", "IotId=" + testProduct + ".W1": "iot.device.NotExistedDevice",
	} {
		require.Equal(t, want, code(a.ask("GetDeviceStatus", strings.Fields(params)...)), params)
	}
}

func TestBatchGetDeviceState(t *testing.T) {
	a, _ := fleetAPI(t)
	states := func(got answer) (text string) {
		require.Equal(t, true, got.json["Success"], got.body)
		for _, s := range got.json["DeviceStatusList"].(map[string]any)["DeviceStatus"].([]any) {
			m := s.(map[string]any)
			text += fmt.Sprint(m["DeviceName"], " ", m["Status"], " ", m["AsAddress"], " ", m["IotId"], ";")
		}
		return text
	}
	want := "V1 ONLINE 192.0.2.7 " + testProduct + ".V1;V3 UNACTIVE  " + testProduct + ".V3;"
	require.Equal(t, want, states(a.ask("BatchGetDeviceState", "DeviceName.1=V1", "DeviceName.2=V9", "DeviceName.3=V3", "DeviceName.4=W1")))
	require.Equal(t, want, states(a.ask("BatchGetDeviceState", "ProductKey=-", "IotId.1="+testProduct+".V1", "IotId.2="+testProduct+".V3", "IotId.3=junk")))
	require.Empty(t, states(a.ask("BatchGetDeviceState", "DeviceName.1=V9")))
	require.Regexp(t, `"DeviceStatus":\[\]`, a.ask("BatchGetDeviceState", "DeviceName.1=V9").body)
	require.Equal(t, "iot.device.NullDeviceName", code(a.ask("BatchGetDeviceState")))
	require.Equal(t, "iot.prod.NullProductKey", code(a.ask("BatchGetDeviceState", "ProductKey=-", "DeviceName.1=V1")))
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("DeviceName.%d=V1", i+1))
	}
	require.Equal(t, true, a.ask("BatchGetDeviceState", many[:50]...).json["Success"])
	require.Equal(t, "iot.common.InvalidFormattedParameter", code(a.ask("BatchGetDeviceState", many...)))
	xml := a.ask("BatchGetDeviceState", "DeviceName.1=V1", "DeviceName.2=V3", "Format=XML").body
	require.Regexp(t, `<DeviceStatusList><DeviceStatus><DeviceId></DeviceId><DeviceName>V1</DeviceName>.*</DeviceStatus><DeviceStatus>.*<DeviceName>V3</DeviceName>.*</DeviceStatus></DeviceStatusList>`, xml)
}

func TestQueryDeviceDetail(t *testing.T) {
	a, registry := fleetAPI(t, func(o *openapi.Options) {
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, Name: "Cars", InstanceID: "iot-1"})
	})
	require.Equal(t, "iot.system.InstanceNotFound", code(a.ask("QueryDeviceDetail", "DeviceName=V1")))
	require.Equal(t, "iot.system.InstanceNotFound", code(a.ask("QueryDeviceDetail", "DeviceName=V1", "IotInstanceId=iot-2")))
	data := a.ask("QueryDeviceDetail", "DeviceName=V1", "IotInstanceId=iot-1").json["Data"].(map[string]any)
	d, _ := registry.Lookup(vinOf(t, "V1"))
	require.Equal(t, map[string]any{
		"IotId": testProduct + ".V1", "ProductKey": testProduct, "ProductName": "Cars", "DeviceName": "V1", "DeviceSecret": "", "Status": "ONLINE",
		"NodeType": 0.0, "Region": "cn-shanghai", "IpAddress": "192.0.2.7", "Nickname": "", "FirmwareVersion": "", "Owner": true,
		"GmtCreate": d.RegisteredAt.In(codec.Beijing).Format(time.DateTime), "UtcCreate": d.RegisteredAt.Format("2006-01-02T15:04:05.000Z"),
		"GmtActive": d.ActivatedAt.In(codec.Beijing).Format(time.DateTime), "UtcActive": d.ActivatedAt.Format("2006-01-02T15:04:05.000Z"),
		"GmtOnline": d.LastOnlineAt.In(codec.Beijing).Format(time.DateTime), "UtcOnline": d.LastOnlineAt.Format("2006-01-02T15:04:05.000Z"),
	}, data)
	never := a.ask("QueryDeviceDetail", "DeviceName=V3", "IotInstanceId=iot-1").json["Data"].(map[string]any)
	require.Equal(t, "", never["UtcOnline"])
	require.Equal(t, "", never["IpAddress"])

	vehicle := a.ask("QueryVehicleDevice", "DeviceName=V1", "IotInstanceId=iot-1").json["Data"].(map[string]any)
	require.Equal(t, "GB32960", vehicle["Protocol"])
	require.InDelta(t, d.RegisteredAt.UnixMilli(), vehicle["CreateTime"], 0)
}

// TestQueryDevice: all pages together are the product, in order, by number and by token.
func TestQueryDevice(t *testing.T) {
	a, registry := fleetAPI(t)
	var more []string
	for i := range 3000 {
		more = append(more, fmt.Sprintf("L%04d", i))
	}
	_, err := registry.Register(t.Context(), testProduct, more)
	require.NoError(t, err)
	names := func(got answer) (list []string) {
		require.Equal(t, true, got.json["Success"], got.body)
		require.InDelta(t, 3004, got.json["Total"], 0)
		for _, d := range got.json["Data"].(map[string]any)["DeviceInfo"].([]any) {
			list = append(list, d.(map[string]any)["DeviceName"].(string))
		}
		return list
	}
	all := append(more, "V1", "V2", "V3", "V4")
	var got []string
	for page, token := 1, ""; ; page++ {
		byToken := a.ask("QueryDevice", "PageSize=50", "NextToken="+token)
		byNumber := a.ask("QueryDevice", "PageSize=50", fmt.Sprint("CurrentPage=", page))
		require.Equal(t, names(byNumber), names(byToken))
		require.InDelta(t, 61, byNumber.json["PageCount"], 0)
		require.InDelta(t, page, byNumber.json["Page"], 0)
		got = append(got, names(byToken)...)
		next, ok := byToken.json["NextToken"].(string)
		if !ok {
			break
		}
		token = next
	}
	require.Equal(t, all, got)
	require.Equal(t, all[:10], names(a.ask("QueryDevice")))
	require.Empty(t, names(a.ask("QueryDevice", "CurrentPage=999")))
	for _, bad := range []string{"PageSize=51", "PageSize=0", "PageSize=x", "CurrentPage=0", "NextToken=*", "NextToken=" + strings.Repeat("QUFB", 10)} {
		require.Equal(t, "iot.common.InvalidFormattedParameter", code(a.ask("QueryDevice", bad)), bad)
	}
}

func TestImportVehicles(t *testing.T) {
	a, registry := fleetAPI(t)
	list := []string{"DeviceList.1.DeviceName=N1", "DeviceList.2.DeviceName=V1", "DeviceList.3.DeviceName=W1", "DeviceList.4.DeviceName=toolongforavehicle",
		"DeviceList.5.DeviceName=N1", "DeviceList.6.DeviceName=N2", "DeviceList.6.Manufacturer=m"}
	const details = `[{"DeviceName":"toolongforavehicle","ErrorMsg":"A DeviceName is a VIN: 1 to 17 of A-Z a-z 0-9 - _ @ . :"},` +
		`{"DeviceName":"W1","ErrorMsg":"The VIN belongs to another product."}]`
	got := a.ask("BatchCheckVehicleDevice", list...)
	require.Contains(t, got.body, `"Data":{"InvalidDeviceNameList":["toolongforavehicle","W1"],"RepeatedDeviceNameList":["V1","N1"],"InvalidDetailList":`+details+`}`)
	_, known := registry.Lookup(vinOf(t, "N1"))
	require.False(t, known, "a dry run")
	got = a.ask("BatchImportVehicleDevice", list...)
	require.Contains(t, got.body, `"InvalidDeviceNameList":{"InvalidDeviceNameList":["toolongforavehicle","W1"]},"RepeatedDeviceNameList":{"RepeatedDeviceNameList":["V1","N1"]},`+
		`"InvalidDetailList":`+details+`}`)
	params := map[string]string{"ProductKey": testProduct}
	for _, p := range list {
		name, value, _ := strings.Cut(p, "=")
		params[name] = value
	}
	require.Contains(t, a.call3(testKey, "", "BatchImportVehicleDevice", params).body, `"InvalidDetailList":{"InvalidDetailList":`+details+`}}`, "as the current SDKs want it")
	require.InDelta(t, now.UnixMilli(), got.json["Data"].(map[string]any)["ApplyId"], 0)
	for _, name := range []string{"N1", "N2"} {
		_, known := registry.Lookup(vinOf(t, name))
		require.True(t, known)
	}
	require.Equal(t, "iot.device.NullDeviceName", code(a.ask("BatchImportVehicleDevice")))

	require.Equal(t, true, a.ask("DeleteDevice", "DeviceName=N1").json["Success"])
	_, known = registry.Lookup(vinOf(t, "N1"))
	require.False(t, known)
	require.Equal(t, "iot.device.NotExistedDevice", code(a.ask("DeleteDevice", "DeviceName=N1")))

	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprintf("DeviceList.%d.DeviceName=M%d", i+1, i)
	}
	require.Equal(t, true, a.ask("BatchImportVehicleDevice", many[:10_000]...).json["Success"])
	require.Equal(t, "iot.common.InvalidFormattedParameter", code(a.ask("BatchImportVehicleDevice", many...)))

	away := newAPI(t) // whose registry does not store
	require.Equal(t, 503, away.ask("BatchImportVehicleDevice", "DeviceList.1.DeviceName=N1").status)
	require.Equal(t, 503, away.ask("DeleteDevice", "DeviceName="+testVIN).status)
}

// Rights hold for every operation.
func TestRightsOfOperations(t *testing.T) {
	a, _ := fleetAPI(t, withKeys(
		openapi.Key{ID: "reads", Grant: openapi.Grant{Allow: []openapi.Right{openapi.RightRead}}},
		openapi.Key{ID: "imports", Grant: openapi.Grant{Allow: []openapi.Right{openapi.RightImport}}},
		openapi.Key{ID: "other", Grant: openapi.Grant{Products: []string{"otherProduct"}}},
	))
	const denied = "iot.common.RamActionPermissionDeny"
	for action, params := range map[string][]string{
		"GetDeviceStatus": {"DeviceName=V1"}, "BatchGetDeviceState": {"DeviceName.1=V1"}, "QueryDeviceDetail": {"IotId=" + testProduct + ".V1"},
		"QueryDevice": nil, "QueryVehicleDevice": {"DeviceName=V1"}, "BatchCheckVehicleDevice": {"DeviceList.1.DeviceName=N1"},
		"BatchImportVehicleDevice": {"DeviceList.1.DeviceName=N1"}, "DeleteDevice": {"DeviceName=V2"},
	} {
		writes := strings.HasPrefix(action, "Delete") || strings.Contains(action, "Vehicle") && strings.HasPrefix(action, "Batch")
		for key, want := range map[string]bool{"reads": !writes, "imports": writes, "other": false} {
			got := a.ask(action, append([]string{"AccessKeyId=" + key}, params...)...)
			if want {
				require.Equal(t, true, got.json["Success"], "%s %s: %s", action, key, got.body)
			} else {
				require.Equal(t, denied, code(got), "%s %s: %s", action, key, got.body)
			}
		}
	}
}

func TestRRpc(t *testing.T) {
	a, _ := fleetAPI(t)
	const body = `{"v":1,"edition":2016,"command":"paramQuery","flag":"success","vin":"V1","encryption":"none","time":"2026-11-23T11:30:00+08:00","params":[{"id":2,"reportPeriod":10}]}`
	result := command.Result{State: command.StateAnswered, Flag: "success", Body: []byte(body)}
	var late error
	var waited time.Duration
	a.commands.wait = func(ctx context.Context, id int64) (command.Result, error) {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		waited = time.Until(deadline).Round(time.Second)
		if errors.Is(late, context.DeadlineExceeded) {
			<-ctx.Done()
		}
		return result, late
	}
	call := func(params ...string) answer {
		return a.ask("RRpc", append([]string{"DeviceName=V1", "Timeout=3000", "RequestBase64Byte=GgsXCx4AAQI=", "Topic=/query"}, params...)...)
	}
	got := call()
	require.Regexp(t, `"Success":true,"RrpcCode":"SUCCESS","PayloadBase64Byte":"GgsXCx4AAQIACg==","MessageId":\d+,"Flag":"success"}`, got.body)
	require.Equal(t, 3*time.Second, waited)
	require.Equal(t, codec.CommandParamQuery, a.commands.last.Command)
	call("Topic=-", `ExtInfo={"commandType":130}`)
	require.Equal(t, codec.CommandControl, a.commands.last.Command)
	call("Topic=set")
	require.Equal(t, codec.CommandParamSet, a.commands.last.Command)

	for state, want := range map[command.State]string{
		command.StateRejected: "SUCCESS", command.StateTimedOut: "TIMEOUT", command.StateDisconnected: "HALFCONN", command.StateSuperseded: "HALFCONN",
	} {
		result = command.Result{State: state}
		require.Equal(t, want, call().json["RrpcCode"])
	}
	result, late = command.Result{State: command.StateSent}, context.DeadlineExceeded
	got = call("Timeout=1000")
	require.Equal(t, "TIMEOUT", got.json["RrpcCode"])
	require.NotZero(t, got.json["MessageId"])
	late = command.ErrStore
	got = call()
	require.Equal(t, 200, got.status, "never a 5xx once a frame was sent")
	require.Equal(t, "iot.system.SystemException", code(got))

	sent := a.commands.sent
	for params, want := range map[string]string{
		"Timeout=999": "iot.messagebroker.InvalidTimeoutValue", "Timeout=8001": "iot.messagebroker.InvalidTimeoutValue", "Timeout=-": "iot.messagebroker.InvalidTimeoutValue",
		"RequestBase64Byte=-": "iot.messagebroker.NullMessageContent", "RequestBase64Byte=*": "iot.messagebroker.MessageContentIsNotBase64Encode",
		"Topic=-": "iot.common.InvalidFormattedParameter", "DeviceName=V9": "iot.Device.NotExistedDevice", "DeviceName=V3": "iot.device.InactiveDevice",
		"DeviceName=V4": "iot.device.DisabledDevice",
	} {
		require.Equal(t, want, code(call(params)), params)
	}
	require.Equal(t, "OFFLINE", call("DeviceName=V2").json["RrpcCode"])
	require.Equal(t, sent, a.commands.sent)
}

// Calls under way are counted; one that is beyond is refused and may be repeated.
func TestConcurrentCalls(t *testing.T) {
	a, _ := fleetAPI(t, func(o *openapi.Options) { o.ConcurrentCalls = 1 })
	entered, leave := make(chan struct{}), make(chan struct{})
	a.commands.wait = func(context.Context, int64) (command.Result, error) {
		close(entered)
		<-leave
		return command.Result{State: command.StateTimedOut}, nil
	}
	waiting := a.request("RRpc", "DeviceName=V1", "Timeout=8000", "RequestBase64Byte=GgsXCx4AAQI=", "Topic=query")
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.handler.ServeHTTP(httptest.NewRecorder(), waiting)
	}()
	<-entered
	got := a.ask("GetDeviceStatus", "DeviceName=V1")
	require.Equal(t, 400, got.status)
	require.Equal(t, "Throttling.Api", code(got))
	close(leave)
	<-done
	require.Equal(t, true, a.ask("GetDeviceStatus", "DeviceName=V1").json["Success"])
}
