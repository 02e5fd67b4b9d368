package openapi

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session/memkv"
)

func TestNonces(t *testing.T) {
	const window = 15 * time.Minute
	now := time.Date(2026, 11, 23, 3, 30, 0, 0, time.UTC)
	n := newNonces(10)

	require.Equal(t, nonceFresh, n.use("k", "a", now, now, window))
	require.Equal(t, nonceUsed, n.use("k", "a", now, now, window))
	require.Equal(t, nonceFresh, n.use("other key", "a", now, now, window))
	require.Equal(t, nonceFresh, n.use("k", "b", now.Add(-10*time.Minute), now, window))
	require.Equal(t, nonceUsed, n.use("k", "a", now, now.Add(14*time.Minute), window), "remembered as long as the window")

	later := now.Add(40 * time.Minute)
	require.Equal(t, nonceFresh, n.use("k", "c", later, later, window))
	require.Equal(t, 1, n.count, "what left the window is forgotten")
	require.Equal(t, nonceForgotten, n.use("k", "a", now, now, window), "and refused when the clock steps back")
}

func TestNoncesAreBounded(t *testing.T) {
	const window = 15 * time.Minute
	now := time.Date(2026, 11, 23, 3, 30, 0, 0, time.UTC)
	n := newNonces(10)
	old := now.Add(-5 * time.Minute)
	for i := range 4 {
		require.Equal(t, nonceFresh, n.use("k", fmt.Sprint("old", i), old, now, window))
	}
	for i := range 10 {
		require.Equal(t, nonceFresh, n.use("k", fmt.Sprint("new", i), now, now, window))
		require.LessOrEqual(t, n.count, 10)
	}
	require.Equal(t, nonceForgotten, n.use("k", "old0", old, now, window), "dropped for lack of memory, but not accepted again")
	require.Equal(t, nonceFull, n.use("k", "one more", now, now, window))
	require.Equal(t, nonceUsed, n.use("k", "new3", now, now, window))
}

// TestActs: of every operation it is decided whether it does something.
func TestActs(t *testing.T) {
	h, err := New(Options{Trusted: true, Devices: nodevices{}, Commands: nocommands{}, Products: Products{}, SharedNonces: memkv.New()})
	require.NoError(t, err)
	var does, tells []string
	for _, action := range slices.Sorted(maps.Keys(h.operations)) {
		if acts(action) {
			does = append(does, action)
		} else {
			tells = append(tells, action)
		}
	}
	require.Equal(t, []string{"AsyncRRpc", "BatchImportVehicleDevice", "DeleteDevice", "RRpc"}, does)
	require.Equal(t, []string{
		"BatchCheckVehicleDevice", "BatchGetDeviceState", "GetAsyncRRpcResult", "GetDeviceStatus", "QueryDevice", "QueryDeviceDetail", "QueryVehicleDevice",
	}, tells)
}

type (
	nodevices  struct{ Devices }
	nocommands struct{ Commands }
)
