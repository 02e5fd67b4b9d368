package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVIN(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"LTEST197233155351", "LTEST197233155351"},
		{"60100000117298888", "60100000117298888"},
		{"H822065\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "H822065"},
		{"H822065          ", "H822065"},
		{"H822065 \x00 \x00      ", "H822065"},
		{"a b\x00c            ", "a b\x00c"},
		{" lead            ", " lead"},
		{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"\xff\xfe             ", "\xff\xfe"},
	} {
		v := MakeVIN([]byte(c.raw))
		require.Equal(t, c.want, v.String())
		require.Equal(t, c.want == "", v.IsZero())
		if c.want == "" {
			continue
		}
		parsed, err := ParseVIN(c.want)
		require.NoError(t, err)
		require.Equal(t, v, parsed)
		parsed, err = ParseVIN(c.raw)
		require.NoError(t, err)
		require.Equal(t, v, parsed)
	}
	require.NotEqual(t, MakeVIN([]byte("ltest")), MakeVIN([]byte("LTEST")), "case is kept")
}

func TestParseVINErrors(t *testing.T) {
	for s, want := range map[string]string{
		"":                   `codec: bad VIN: "" has 0 bytes, want 1 to 17`,
		"LTEST1972331553512": `codec: bad VIN: "LTEST1972331553512" has 18 bytes, want 1 to 17`,
		"   ":                `codec: bad VIN: "   " is only padding`,
	} {
		_, err := ParseVIN(s)
		require.ErrorIs(t, err, ErrVIN)
		require.EqualError(t, err, want)
	}
}
