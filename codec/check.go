package codec

import "encoding/binary"

// Check returns the XOR of all bytes of b. Over a frame's bytes from the command to the end of
// the data unit it is the check byte (BCC).
//
// It takes 32 bytes a turn in four independent words: the check byte is what every frame pays
// for, decoded or not.
func Check(b []byte) byte {
	var x0, x1, x2, x3 uint64
	for len(b) >= 32 {
		x0 ^= binary.LittleEndian.Uint64(b)
		x1 ^= binary.LittleEndian.Uint64(b[8:16])
		x2 ^= binary.LittleEndian.Uint64(b[16:24])
		x3 ^= binary.LittleEndian.Uint64(b[24:32])
		b = b[32:]
	}
	x := x0 ^ x1 ^ x2 ^ x3
	for len(b) >= 8 {
		x ^= binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	x ^= x >> 32
	x ^= x >> 16
	x ^= x >> 8
	c := byte(x)
	for _, v := range b {
		c ^= v
	}
	return c
}
