package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// TestDevices: the operations about devices, against the gateway's own registry.
func TestDevices(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	registry, err := session.OpenRegistry(ctx, memkv.New(), session.RegistryOptions{Node: "n1"})
	require.NoError(t, err)
	defer func() { require.NoError(t, registry.Close(ctx)) }()
	table := session.NewTable(registry.Note, "n1")
	d, err := command.NewDispatcher(ctx, command.Options{Sessions: table, KV: memkv.New(), Publish: func(codec.VIN, string, []byte) {}})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close(ctx)) }()
	h, err := openapi.New(openapi.Options{
		Devices: registry, Commands: d, Keys: keyring{}, Products: openapi.NewProducts(openapi.Product{Key: product, Name: "Cars"}),
	})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c := newClient(t, server.URL)

	vins := make([]string, 120)
	for i := range vins {
		vins[i] = fmt.Sprintf("LTEST%012d", i)
	}
	result, err := c.Register(ctx, product, slices.Concat(vins, []string{vins[7], "not a VIN"})...)
	require.NoError(t, err)
	require.Equal(t, []string{vins[7]}, result.Repeated)
	require.Len(t, result.Invalid, 1)
	require.NotEmpty(t, result.Invalid["not a VIN"])

	var listed []string
	for d, err := range c.Devices(ctx, product) {
		require.NoError(t, err)
		require.Equal(t, client.StatusUnactive, d.DeviceStatus)
		listed = append(listed, d.DeviceName)
	}
	require.Equal(t, vins, listed)
	for _, err := range c.Devices(ctx, "unknown") {
		require.ErrorIs(t, err, client.ErrNoProduct)
	}

	id, err := codec.ParseVIN(vins[0])
	require.NoError(t, err)
	table.Login(&session.Session{VIN: id, RawVIN: id, ProductKey: product, Edition: codec.Edition2016, Link: &vehicle{}})
	status, since, err := c.Status(ctx, product, vins[0])
	require.NoError(t, err)
	require.Equal(t, client.StatusOnline, status)
	require.WithinDuration(t, time.Now(), since, time.Minute)
	states, err := c.States(ctx, product, vins[0], vins[1], "LTESTnone")
	require.NoError(t, err)
	require.Len(t, states, 2)
	require.Equal(t, client.StatusUnactive, states[1].Status)
	detail, err := c.Detail(ctx, product, vins[0])
	require.NoError(t, err)
	require.Equal(t, "Cars", detail.ProductName)
	require.WithinDuration(t, time.Now(), detail.Active, time.Minute)
	require.WithinDuration(t, time.Now(), detail.Created, time.Minute)

	require.NoError(t, registry.Disable(ctx, product, id, true))
	status, _, err = c.Status(ctx, product, vins[0])
	require.NoError(t, err)
	require.Equal(t, client.StatusDisable, status)
	_, err = c.Query(ctx, client.Device{ProductKey: product, DeviceName: vins[0]}, "reportPeriod")
	require.ErrorIs(t, err, client.ErrDisabled)

	require.NoError(t, c.Delete(ctx, product, vins[1]))
	_, _, err = c.Status(ctx, product, vins[1])
	require.ErrorIs(t, err, client.ErrNoDevice)
	_, err = c.Publish(ctx, client.Message{ProductKey: product, DeviceName: vins[2], Topic: "/x/y/z", Payload: []byte("x")})
	require.ErrorIs(t, err, client.ErrParameter, "a vehicle has no topics, and the call has no ExtInfo")
}
