package openapi_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

type link struct{}

func (*link) Send([]byte, func(error)) {}
func (*link) Close(session.Reason)     {}
func (*link) Remote() netip.AddrPort   { return netip.AddrPort{} }
func (*link) Platform() string         { return "" }

// oneDevice is an MQTT product with one device, which is connected.
type oneDevice struct{}

func (oneDevice) Deliver(context.Context, openapi.TopicMessage) (int64, error) { return 1, nil }
func (oneDevice) Devices(string) iter.Seq[openapi.Device]                      { return nil }
func (oneDevice) Device(_, name string) (openapi.Device, bool) {
	return openapi.Device{DeviceName: name, Online: true, Session: "00000000000000aa"}, true
}

// TestLogNamesTheSession: a call that is about a vehicle or device names its session, when it has one here.
func TestLogNamesTheSession(t *testing.T) {
	var log, unsigned bytes.Buffer
	table := session.NewTable(nil, "n1")
	a := newAPI(t, func(o *openapi.Options) {
		o.Sessions, o.Topics = table, oneDevice{}
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, CheckUnit: openapi.CheckWarn}, openapi.Product{Key: "mqttProduct", Protocol: openapi.MQTT})
		o.Logger, o.Unsigned = slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewTextHandler(&unsigned, nil))
	})
	line := func(b *bytes.Buffer) string { defer b.Reset(); return b.String() }

	a.commands.sendErr = command.ErrOffline
	a.call(nil)
	a.commands.sendErr = nil
	require.Regexp(t, `msg="api call" action=AsyncRRpc requestId=\S+ accessKeyId=testid status=200 code=iot.device.OfflineDevice productKey=`+testProduct+` vin=`+testVIN+` remote=`, line(&log))
	vin, err := codec.ParseVIN(testVIN)
	require.NoError(t, err)
	table.Login(&session.Session{ID: 0xabc, VIN: vin, ProductKey: testProduct, Link: &link{}})
	a.call(map[string]string{"MessageContent": content(t, "1a0b170b1e00010500")})
	text := line(&log)
	require.Regexp(t, `msg="api call" .* productKey=`+testProduct+` vin=`+testVIN+` session=0000000000000abc remote=`, text)
	require.Regexp(t, `msg="data unit does not follow .*" requestId=\S+ productKey=`+testProduct+` vin=`+testVIN+` session=0000000000000abc command=`, text)
	a.call(map[string]string{"ProductKey": "mqttProduct", "DeviceName": "D001", "TopicFullName": "/mqttProduct/D001/user/get"})
	require.Regexp(t, `productKey=mqttProduct deviceName=D001 session=00000000000000aa remote=`, line(&log))

	require.Empty(t, unsigned.String())
	a.call(map[string]string{"secret": "wrong"})
	require.Empty(t, line(&log), "whoever has not signed has a logger of their own, which may be limited")
	require.Regexp(t, `msg="api call" .* accessKeyId="" status=400 code=SignatureDoesNotMatch `, line(&unsigned))
}

// TestLogNamesTheSealKey: a call with a key that cannot be used is refused with the code of an unknown one. The answer says why, and
// the log what to do.
func TestLogNamesTheSealKey(t *testing.T) {
	kv := memkv.New()
	made, err := openKeys(t, kv, newBox(t, 1)).Create(t.Context(), openapi.NewKey{})
	require.NoError(t, err)
	var load, unsigned bytes.Buffer
	keys, err := openapi.OpenKeys(t.Context(), kv, newBox(t, 2), nil, slog.New(slog.NewTextHandler(&load, nil)))
	require.NoError(t, err)
	defer keys.Close()
	const says = `level=ERROR msg="an access key does not work: its secret was sealed with another seal key" accessKeyId=`
	require.Regexp(t, says+made.ID+` remedy="put that key back .*, or delete the access key and create it again"\n`, load.String())
	a := newAPI(t, func(o *openapi.Options) {
		o.Keys, o.Unsigned = keys, slog.New(slog.NewTextHandler(&unsigned, nil))
	})
	for id, message := range map[string]string{
		made.ID:   "Specified access key cannot be used: its secret was sealed with another seal key than the gateway has. Ask the gateway's operator; the gateway's log says what to do.",
		"unknown": "Specified access key is not found.",
	} {
		got := a.call(map[string]string{"AccessKeyId": id, "secret": made.Secret})
		require.Equal(t, http.StatusNotFound, got.status)
		require.Equal(t, "InvalidAccessKeyId.NotFound", got.json["Code"])
		require.Equal(t, message, got.json["Message"])
	}
	require.Regexp(t, says+made.ID+` remote=\S+ remedy="put `, unsigned.String())
	require.Equal(t, 1, bytes.Count(unsigned.Bytes(), []byte("another seal key")))
	require.NotContains(t, unsigned.String(), made.Secret)
}
