package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkBytewise is the definition of the check byte.
func checkBytewise(b []byte) byte {
	var c byte
	for _, v := range b {
		c ^= v
	}
	return c
}

func TestCheckEqualsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 400)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	for from := range 9 {
		for to := from; to <= len(b); to++ {
			require.Equal(t, checkBytewise(b[from:to]), Check(b[from:to]), "bytes %d to %d", from, to)
		}
	}
}
