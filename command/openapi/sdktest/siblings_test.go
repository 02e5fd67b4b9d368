package sdktest

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// The sibling operations by the typed calls of the SDK: its structs take the answers.
func TestSiblings(t *testing.T) {
	g := newGateway(t)
	client := g.sdk(secret)

	status := iot.CreateGetDeviceStatusRequest()
	status.ProductKey, status.DeviceName = product, vin
	one, err := client.GetDeviceStatus(status)
	require.NoError(t, err)
	require.True(t, one.Success)
	require.Equal(t, "ONLINE", one.Data.Status)
	require.Positive(t, one.Data.Timestamp)
	status.DeviceName = "LTEST000000000009"
	one, err = client.GetDeviceStatus(status)
	require.NoError(t, err)
	require.False(t, one.Success)
	require.Equal(t, "iot.device.NotExistedDevice", one.Code)

	states := iot.CreateBatchGetDeviceStateRequest()
	states.ProductKey, states.DeviceName = product, &[]string{vin, vinOff, vinNew}
	many, err := client.BatchGetDeviceState(states)
	require.NoError(t, err)
	require.True(t, many.Success)
	var got []string
	for _, s := range many.DeviceStatusList.DeviceStatus {
		got = append(got, s.DeviceName+" "+s.Status)
	}
	require.Equal(t, []string{vin + " ONLINE", vinOff + " OFFLINE", vinNew + " UNACTIVE"}, got)
	states = iot.CreateBatchGetDeviceStateRequest()
	states.IotId = &[]string{many.DeviceStatusList.DeviceStatus[1].IotId}
	many, err = client.BatchGetDeviceState(states)
	require.NoError(t, err)
	require.Equal(t, vinOff, many.DeviceStatusList.DeviceStatus[0].DeviceName)

	detail := iot.CreateQueryDeviceDetailRequest()
	detail.ProductKey, detail.DeviceName = product, vin
	device, err := client.QueryDeviceDetail(detail)
	require.NoError(t, err)
	require.True(t, device.Success)
	require.Equal(t, vin, device.Data.DeviceName)
	require.Equal(t, "ONLINE", device.Data.Status)
	require.NotEmpty(t, device.Data.UtcOnline)
	require.Equal(t, "cn-shanghai", device.Data.Region)

	var vins []string
	page := iot.CreateQueryDeviceRequest()
	page.ProductKey, page.PageSize = product, requests.NewInteger(2)
	for {
		answer, err := client.QueryDevice(page)
		require.NoError(t, err)
		require.True(t, answer.Success)
		require.Equal(t, 3, answer.Total)
		require.Equal(t, 2, answer.PageCount)
		for _, d := range answer.Data.DeviceInfo {
			vins = append(vins, d.DeviceName)
		}
		if answer.NextToken == "" {
			break
		}
		page.NextToken = answer.NextToken
	}
	require.Equal(t, []string{vin, vinOff, vinNew}, vins)

	vehicle := iot.CreateQueryVehicleDeviceRequest()
	vehicle.ProductKey, vehicle.DeviceName = product, vin
	answer, err := client.QueryVehicleDevice(vehicle)
	require.NoError(t, err)
	require.Equal(t, "GB32960", answer.Data.Protocol)
	require.Positive(t, answer.Data.CreateTime)
}

// Vehicles are registered and deleted by the typed calls.
func TestImport(t *testing.T) {
	g := newGateway(t)
	client := g.sdk(secret)
	check := iot.CreateBatchCheckVehicleDeviceRequest()
	check.ProductKey = product
	check.DeviceList = &[]iot.BatchCheckVehicleDeviceDeviceList{{DeviceName: "LTEST000000000010"}, {DeviceName: vin}, {DeviceName: "much-too-long-for-a-vin"}}
	checked, err := client.BatchCheckVehicleDevice(check)
	require.NoError(t, err)
	require.True(t, checked.Success)
	require.Equal(t, []string{vin}, checked.Data.RepeatedDeviceNameList)
	require.Equal(t, []string{"much-too-long-for-a-vin"}, checked.Data.InvalidDeviceNameList)
	require.Equal(t, "much-too-long-for-a-vin", checked.Data.InvalidDetailList[0].DeviceName)

	register := iot.CreateBatchImportVehicleDeviceRequest()
	register.ProductKey = product
	var list []iot.BatchImportVehicleDeviceDeviceList
	for i := range 1000 {
		list = append(list, iot.BatchImportVehicleDeviceDeviceList{DeviceName: fmt.Sprintf("LTEST%012d", 100+i)})
	}
	register.DeviceList = &list
	registered, err := client.BatchImportVehicleDevice(register)
	require.NoError(t, err)
	require.True(t, registered.Success)
	require.Positive(t, registered.Data.ApplyId)
	require.Equal(t, 1003, g.registry.Len())

	remove := iot.CreateDeleteDeviceRequest()
	remove.ProductKey, remove.DeviceName = product, "LTEST000000000100"
	removed, err := client.DeleteDevice(remove)
	require.NoError(t, err)
	require.True(t, removed.Success)
	require.Equal(t, 1002, g.registry.Len())

	register = iot.CreateBatchImportVehicleDeviceRequest()
	register.ProductKey = product
	register.DeviceList = &[]iot.BatchImportVehicleDeviceDeviceList{{DeviceName: vin}, {DeviceName: "much-too-long-for-a-vin"}}
	registered, err = client.BatchImportVehicleDevice(register)
	require.NoError(t, err)
	require.True(t, registered.Success)
	require.Contains(t, registered.GetHttpContentString(), `"RepeatedDeviceNameList":{"RepeatedDeviceNameList":["`+vin+`"]}`)
	require.Equal(t, "much-too-long-for-a-vin", registered.Data.InvalidDetailList[0].DeviceName)
}

// RRpc waits for the vehicle.
func TestRRpc(t *testing.T) {
	g := newGateway(t)
	g.vehicle.answers(func(f codec.Frame) []byte {
		return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(f.TimeBytes(), 1, 2, 0, 10))
	})
	client := g.sdk(secret)
	r := iot.CreateRRpcRequest()
	r.ProductKey, r.DeviceName, r.Topic, r.Timeout = product, vin, "/query", requests.NewInteger(8000)
	r.RequestBase64Byte = base64.StdEncoding.EncodeToString(unit(1, 0x02))
	answer, err := client.RRpc(r)
	require.NoError(t, err)
	require.True(t, answer.Success, answer.GetHttpContentString())
	require.Equal(t, "SUCCESS", answer.RrpcCode)
	require.Positive(t, answer.MessageId)
	payload, err := base64.StdEncoding.DecodeString(answer.PayloadBase64Byte)
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2, 0, 10}, payload[codec.TimeSize:])
	g.vehicle.answers(func(codec.Frame) []byte { return nil })
	r.Timeout = requests.NewInteger(1000)
	answer, err = client.RRpc(r)
	require.NoError(t, err)
	require.Equal(t, "TIMEOUT", answer.RrpcCode)
	r.DeviceName = vinOff
	answer, err = client.RRpc(r)
	require.NoError(t, err)
	require.True(t, answer.Success)
	require.Equal(t, "OFFLINE", answer.RrpcCode)
}
