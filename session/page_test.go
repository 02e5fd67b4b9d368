package session

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// Pages by skipping and by the VIN before are those of the sorted list.
func TestPage(t *testing.T) {
	r := openRegistry(t, memkv.New(), RegistryOptions{})
	defer closeRegistry(t, r)
	var vins []string
	for i := range 5000 {
		vins = append(vins, fmt.Sprintf("V%04d", i*7%5000))
	}
	mustRegister(t, r, vins...)
	_, err := r.Register(t.Context(), "other", []string{"V0001x"})
	require.NoError(t, err)
	slices.Sort(vins)
	names := func(page []Device, total int) []string {
		require.Equal(t, 5000, total)
		var names []string
		for _, d := range page {
			require.Equal(t, "p", d.ProductKey)
			names = append(names, d.VIN.String())
		}
		return names
	}
	require.Equal(t, vins[:10], names(r.Page("p", codec.VIN{}, 0, 10)))
	require.Equal(t, vins[100:150], names(r.Page("p", codec.VIN{}, 100, 50)))
	require.Equal(t, vins[101:111], names(r.Page("p", vin(t, vins[100]), 0, 10)))
	require.Equal(t, vins[4990:], names(r.Page("p", vin(t, vins[4989]), 0, 50)))
	require.Empty(t, names(r.Page("p", codec.VIN{}, 6000, 50)))
	require.Empty(t, names(r.Page("p", vin(t, vins[4999]), 0, 50)))
	page, total := r.Page("nope", codec.VIN{}, 0, 10)
	require.Empty(t, page)
	require.Zero(t, total)
}
