package openapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
)

func content(t *testing.T, unit string) string {
	t.Helper()
	b, err := hex.DecodeString(unit)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(b)
}

// A data unit is held against the tables of the edition; the message names the field and never a value.
func TestCheckUnit(t *testing.T) {
	const query, set, control = 128, 129, 130
	for _, c := range []struct {
		edition codec.Edition
		command int
		unit    string
		want    string // "" for a good one
	}{
		{2016, query, "1a0b170b1e000102", ""},
		{2016, query, "1a0b170b1e000190", ""}, // an id of the maker
		{2016, query, "0102", "time: the data unit ends too early"},
		{2016, query, "1a0b170b1e00", "ids: the data unit ends too early"},
		{2016, query, "1a0b170b1e000202", "ids: the data unit ends too early"},
		{2016, query, "1a0b170b1e0000", "ids: none"},
		{2016, query, "1a0b170b1e00010200", "rest: bytes are left over at the end"},
		{2025, query, "1a0b170b1e00010200", "ids: it reads as parameters with their values; a query has a count and as many ids"},
		{2016, query, "1a0d170b1e000102", "time: no calendar has this time"},
		{2016, set, "1a0b170b1e00010909", ""},
		{2016, set, "1a0b170b1e0001f0aabb", ""}, // a parameter of the maker
		{2016, set, "1a0b170b1e0001f0aa", ""},
		{2016, set, "1a0b170b1e00010500", "params[0]: a parameter that the standard does not assign"},
		{2016, set, "1a0b170b1e00010200", "params[0]: the data unit ends too early"},
		{2016, set, "1a0b170b1e0002090902fffa", "params[1].reportPeriod: out of the standard's range"},
		{2025, set, "1a0b170b1e00010200", "params[0].reportPeriod: out of the standard's range"},
		{2016, set, "1a0b170b1e0001073132333435", "params[0].id: hardwareVersion can be queried, not set"},
		{2016, control, "1a0b170b1e0003", ""},
		{2016, control, "1a0b170b1e008001", ""},
		{2016, control, "1a0b170b1e0050", "control: out of the standard's range"},
		{2016, control, "1a0b170b1e000609", "level: out of the standard's range"},
		{2016, control, "1a0b170b1e0001010203", "upgradeForm: the data unit ends too early"},
		{2016, control, "1a0b170b1e00", "control: the data unit ends too early"},
	} {
		var log bytes.Buffer
		for _, check := range []openapi.CheckUnit{openapi.CheckStrict, openapi.CheckWarn, openapi.CheckOff} {
			log.Reset()
			a := newAPI(t, func(o *openapi.Options) {
				o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, CheckUnit: check})
				o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			})
			a.devices[testVIN] = session.Device{ProductKey: testProduct, ActivatedAt: now, Edition: c.edition}
			got := a.call(map[string]string{"MessageContent": content(t, c.unit), "ExtInfo": fmt.Sprintf(`{"commandType":%d}`, c.command)})
			what := fmt.Sprint(check, c, got.body)
			if check == openapi.CheckStrict && c.want != "" {
				require.Equal(t, "iot.common.InvalidFormattedParameter", got.json["Code"], what)
				require.Equal(t, fmt.Sprintf("MessageContent is not a data unit of command %#x in the %d edition: %s.", c.command, c.edition, c.want),
					got.json["ErrorMessage"], what)
				require.Zero(t, a.commands.sent)
				continue
			}
			require.Equal(t, true, got.json["Success"], what)
			unit, _ := hex.DecodeString(c.unit)
			require.Equal(t, unit, a.commands.last.Unit, "byte for byte")
			if check == openapi.CheckWarn && c.want != "" {
				require.Contains(t, log.String(), c.want)
			} else {
				require.Empty(t, log.String())
			}
		}
	}
}

func TestPrependTime(t *testing.T) {
	a := newAPI(t, func(o *openapi.Options) {
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, PrependTime: true, CheckUnit: openapi.CheckStrict})
	})
	require.Equal(t, true, a.call(map[string]string{"MessageContent": content(t, "0102")}).json["Success"])
	require.Equal(t, []byte{26, 11, 23, 11, 32, 30, 1, 2}, a.commands.last.Unit, "Beijing time")
	got := a.call(map[string]string{"MessageContent": content(t, "1a0b170b1e000102")})
	require.Contains(t, got.json["ErrorMessage"], "The gateway puts the time before it (prependTime).")
	long := bytes.Repeat([]byte{0}, codec.MaxUnitSize-5)
	got = a.call(map[string]string{"MessageContent": base64.StdEncoding.EncodeToString(long)})
	require.Equal(t, "iot.common.InvalidFormattedParameter", got.json["Code"])
	require.Contains(t, got.json["ErrorMessage"], "with the time before it a data unit has at most 65531")
}

// topics stands in for the broker.
type topics struct {
	last openapi.TopicMessage
	err  error
}

func (b *topics) Deliver(_ context.Context, m openapi.TopicMessage) (int64, error) {
	b.last = m
	return 77, b.err
}

func (b *topics) Device(productKey, name string) (openapi.Device, bool) {
	for d := range b.Devices(productKey) {
		if d.DeviceName == name {
			return d, true
		}
	}
	return openapi.Device{}, false
}

func (b *topics) Devices(productKey string) iter.Seq[openapi.Device] {
	return func(yield func(openapi.Device) bool) {
		for _, name := range []string{"meter-1", "meter-2", "meter-3"} {
			if !yield(openapi.Device{ProductKey: productKey, DeviceName: name, RegisteredAt: now, ActivatedAt: now, LastOnlineAt: now, Online: name == "meter-1", Remote: "192.0.2.9"}) {
				return
			}
		}
	}
}

// AsyncRRpc reaches the devices of MQTT products by their topics.
func TestTopics(t *testing.T) {
	broker := &topics{}
	a := newAPI(t, withKeys(openapi.Key{ID: "asks", Grant: openapi.Grant{Allow: []openapi.Right{openapi.RightQuery}}}), func(o *openapi.Options) {
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, Protocol: openapi.MQTT})
		o.Topics = broker
	})
	const name, topic = "meter-1-with-a-name-of-32-bytes.", "/a1b2c3d4e5f/meter-1/user/update"
	call := func(change ...string) answer {
		params := map[string]string{"DeviceName": name, "TopicFullName": topic, "ExtInfo": "-", "MessageContent": "IyMjIw=="}
		for i := 0; i < len(change); i += 2 {
			params[change[i]] = change[i+1]
		}
		return a.call(params)
	}
	got := call()
	require.InDelta(t, 77, got.json["MessageId"], 0, got.body)
	require.Equal(t, openapi.TopicMessage{
		ProductKey: testProduct, DeviceName: name, Topic: topic, Payload: []byte("####"), RequestID: got.json["RequestId"].(string), AccessKeyID: testKey,
	}, broker.last)
	long := make([]byte, codec.MaxUnitSize+1) // the broker says what is too long
	require.Empty(t, code(call("MessageContent", base64.StdEncoding.EncodeToString(long))))
	require.Equal(t, long, broker.last.Payload)
	for change, want := range map[[2]string]string{
		{"TopicFullName", "-"}:                 "iot.common.InvalidFormattedParameter",
		{"DeviceName", name + "x"}:             "iot.device.InvalidFormattedDeviceName",
		{"AccessKeyId", "asks"}:                "iot.common.RamActionPermissionDeny",
		{"MessageContent", "-"}:                "iot.messagebroker.NullMessageContent",
		{"Action", "RRpc"}:                     "iot.messagebroker.NullMessageContent",
		{"Action", "BatchImportVehicleDevice"}: "iot.common.APINotSupportedInInstance",
	} {
		require.Equal(t, want, code(call(change[0], change[1])), change)
	}
	for err, want := range map[error]string{
		openapi.ErrTopicDevice: "iot.Device.NotExistedDevice", openapi.ErrTopicDisabled: "iot.device.DisabledDevice",
		openapi.ErrTopicInactive: "iot.device.InactiveDevice", openapi.ErrTopicOffline: "iot.device.OfflineDevice",
		openapi.ErrTopicFormat: "iot.common.InvalidFormattedParameter", openapi.ErrTopicPermission: "iot.common.AuthActionPermissionDeny",
		openapi.ErrTopicSubscriber: "iot.messagebroker.NotSubscribed", openapi.ErrTopicBusy: "iot.messagebroker.RateLimit",
		openapi.ErrTopicTooLong: "iot.common.InvalidFormattedParameter",
	} {
		broker.err = fmt.Errorf("deliver: %w", err)
		require.Equal(t, want, code(call()), err)
	}
	broker.err = errors.New("broken")
	require.Equal(t, 500, call().status)

	require.Equal(t, "ONLINE", a.ask("GetDeviceStatus", "DeviceName=meter-1").json["Data"].(map[string]any)["Status"])
	page := a.ask("QueryDevice", "PageSize=2")
	require.InDelta(t, 3, page.json["Total"], 0)
	page = a.ask("QueryDevice", "PageSize=2", "NextToken="+page.json["NextToken"].(string))
	require.Contains(t, page.body, `"DeviceName":"meter-3"`)
	require.NotContains(t, page.body, `"DeviceName":"meter-2"`)

	none := newAPI(t, func(o *openapi.Options) {
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, Protocol: openapi.MQTT})
	})
	require.Equal(t, "iot.common.APINotSupportedInInstance", code(none.call(map[string]string{"TopicFullName": topic})))
	require.Equal(t, "iot.device.NotExistedDevice", code(none.ask("GetDeviceStatus", "DeviceName=meter-1")))
}

// A product with an instance id wants it in every call.
func TestInstanceID(t *testing.T) {
	a := newAPI(t, func(o *openapi.Options) {
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, InstanceID: "iot-v64abc"})
	})
	require.Equal(t, true, a.call(map[string]string{"IotInstanceId": "iot-v64abc"}).json["Success"])
	for _, id := range []string{"-", "", "iot-other"} {
		require.Equal(t, "iot.system.InstanceNotFound", code(a.call(map[string]string{"IotInstanceId": id})), id)
	}
	require.Equal(t, true, newAPI(t).call(map[string]string{"IotInstanceId": "whatever"}).json["Success"], "ignored without one")
}

// Nothing answers 5xx once a frame was handed over, not even a fault of ours.
func TestNever5xxAfterSending(t *testing.T) {
	a := newAPI(t)
	a.commands.wait = func(context.Context, int64) (command.Result, error) { panic("a fault") }
	got := a.ask("RRpc", "DeviceName="+testVIN, "Timeout=3000", "RequestBase64Byte=GgsXCx4AAQI=", "Topic=query")
	require.Equal(t, 1, a.commands.sent)
	require.Equal(t, 200, got.status)
	require.Equal(t, "iot.system.SystemException", code(got))
	a.commands.sendErr = errors.New("a fault before it was sent")
	require.Equal(t, 500, a.call(nil).status)
}
