package admin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
)

func testDevices(t *testing.T, c *admin.Client) {
	ctx := t.Context()
	list := func() (states []string) {
		for d, err := range c.Devices(ctx, "p1") {
			require.NoError(t, err)
			states = append(states, d.DeviceName+" "+string(d.Status()))
		}
		return states
	}
	require.Empty(t, list())
	made, err := c.RegisterDevices(ctx, "p1", []admin.NewDevice{{DeviceName: "D002"}, {DeviceName: "D001", DeviceSecret: "0123456789abcdef"}, {DeviceName: "D001"}, {DeviceName: "x"}})
	require.NoError(t, err)
	require.Len(t, made[0].DeviceSecret, 32)
	require.Equal(t, admin.NewDevice{DeviceName: "D001", DeviceSecret: "0123456789abcdef"}, made[1])
	require.True(t, made[2].Exists)
	require.NotEmpty(t, made[3].Error)
	require.False(t, made[3].Exists)
	require.Equal(t, []string{"D001 UNACTIVE", "D002 UNACTIVE"}, list())

	require.NoError(t, c.DisableDevice(ctx, "p1", "D001", true))
	require.Equal(t, []string{"D001 DISABLE", "D002 UNACTIVE"}, list())
	require.NoError(t, c.DisableDevice(ctx, "p1", "D001", false))
	require.NoError(t, c.DeleteDevice(ctx, "p1", "D002"))
	require.ErrorIs(t, c.DeleteDevice(ctx, "p1", "D002"), admin.ErrNotFound)
	require.ErrorIs(t, c.DisableDevice(ctx, "p2", "D001", true), admin.ErrNotFound)
	require.Equal(t, []string{"D001 UNACTIVE"}, list())
	require.NoError(t, c.DeleteDevice(ctx, "p1", "D001"))
}
