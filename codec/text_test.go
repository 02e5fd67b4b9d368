package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ hex, want string }{
		{"", ""}, {"00000000", ""}, {"41420000", "AB"}, {"41422000", "AB"}, {"20410000", " A"},
		{"c9b2b3b5", "刹车"}, {"ff41", "\uFFFDA"}, {"80", "€"}, {"8130", "\uFFFD0"},
	} {
		require.Equal(t, c.want, Text(unhex(t, c.hex)), c.hex)
	}
	field := [6]byte{1, 2, 3, 4, 5, 6}
	require.NoError(t, PutText(field[:], "刹A"))
	require.Equal(t, unhex(t, "c9b2 41 00 00 00"), field[:])
	err := PutText(field[:], "刹车刹车")
	require.ErrorIs(t, err, ErrText)
	require.EqualError(t, err, `codec: bad text: "刹车刹车" has 8 bytes, at most 6 fit`)
	require.ErrorIs(t, PutText(field[:], "\xff"), ErrText)
}

// TestTextForms: whatever the bytes are, a text that is said to be exact gives them again. The codes
// from 0x83360000 on are the four-byte ones next to the surrogates, some of which stand for nothing.
func TestTextForms(t *testing.T) {
	check := func(raw []byte) {
		text, printable, exact := textForm(raw)
		back, err := encodeGB18030(text)
		if exact {
			require.NoError(t, err, "%x", raw)
			require.Equal(t, raw, back, "%x", raw)
			require.True(t, printable, "%x", raw)
		}
	}
	for hi := range 256 {
		check([]byte{byte(hi)})
		for lo := range 256 {
			check([]byte{byte(hi), byte(lo)})
		}
	}
	for third := byte(0x81); third < 0xFF; third++ {
		for _, second := range []byte{0x36, 0x37} {
			for last := byte('0'); last <= '9'; last++ {
				check([]byte{0x83, second, third, last})
				check([]byte{0x83, second, third, last, 0x83, second, third, last, 0x83})
			}
		}
	}
	random := rand.New(rand.NewPCG(18030, 0))
	for range 20_000 {
		raw := make([]byte, random.IntN(24))
		for i := range raw {
			raw[i] = byte(0x20 + random.IntN(0xE0))
		}
		check(raw)
	}
}
