//go:build !race

package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session/memkv"
)

// The race detector has pools forget on purpose, so this is for ordinary builds.
func TestGateDoesNotAllocate(t *testing.T) {
	r := openRegistry(t, memkv.New(), RegistryOptions{})
	defer closeRegistry(t, r)
	mustRegister(t, r, "A")
	p := openPlatforms(t, memkv.New())
	defer p.Close()
	require.NoError(t, p.Create(t.Context(), "P1", "user", "password", false))
	gate := &Gate{Registry: r, Platforms: p}
	a, b := vin(t, "A"), vin(t, "B")
	code, user, password, wrong := padded("P1", 17), padded("user", 12), padded("password", 20), padded("x", 20)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, refusal := gate.Vehicle(a, ""); refusal != nil {
			t.Error(refusal)
		}
		if _, refusal := gate.Vehicle(b, ""); refusal == nil {
			t.Error("let in")
		}
		if refusal := gate.Platform(code, user, password); refusal != nil {
			t.Error(refusal)
		}
		if gate.Platform(code, user, wrong) == nil {
			t.Error("let in")
		}
	}))
}
