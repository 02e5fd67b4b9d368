//go:build !race

package seal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The race detector has pools forget on purpose, so this is for ordinary builds.
func TestMACDoesNotAllocate(t *testing.T) {
	box := testBox(t, 1)
	salt, secret := []byte("salt"), []byte("secret")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		var sum [MACSize]byte
		box.MAC(sum[:0], salt, secret, secret)
	}))
}
