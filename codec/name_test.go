package codec

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesBothWays: every byte has one text, and the text gives the byte back.
func TestNamesBothWays(t *testing.T) {
	for i := range 256 {
		hex := fmt.Sprintf("0x%02X", i)
		for _, e := range []Edition{Edition2016, Edition2025} {
			name := Command(i).Name(e)
			require.Equal(t, Command(i).Known(e), name != hex, "command %s in %d", name, e)
			for _, s := range []string{name, hex} {
				c, err := ParseCommand(s, e)
				require.NoError(t, err)
				require.Equal(t, Command(i), c)
			}
		}
		for _, s := range []string{Flag(i).String(), hex} {
			f, err := ParseFlag(s)
			require.NoError(t, err)
			require.Equal(t, Flag(i), f)
		}
		for _, s := range []string{Encryption(i).String(), hex} {
			e, err := ParseEncryption(s)
			require.NoError(t, err)
			require.Equal(t, Encryption(i), e)
		}
	}
}

// TestNames holds the names that readers of the JSON rely on.
func TestNames(t *testing.T) {
	commands := map[Command]string{
		1: "vehicleLogin", 2: "realtime", 3: "reissue", 4: "vehicleLogout", 5: "platformLogin", 6: "platformLogout",
		7: "heartbeat", 8: "timeSync", 0x80: "paramQuery", 0x81: "paramSet", 0x82: "control",
	}
	only2025 := map[Command]string{9: "activation", 0x0A: "activationResponse", 0x0B: "keyExchange"}
	for i := range 256 {
		c, hex := Command(i), fmt.Sprintf("0x%02X", i)
		switch {
		case commands[c] != "":
			require.Equal(t, commands[c], c.Name(Edition2016))
			require.Equal(t, commands[c], c.Name(Edition2025))
		case only2025[c] != "":
			require.Equal(t, hex, c.Name(Edition2016))
			require.Equal(t, only2025[c], c.Name(Edition2025))
			_, err := ParseCommand(only2025[c], Edition2016)
			require.ErrorIs(t, err, ErrName)
		default:
			require.Equal(t, hex, c.Name(Edition2016))
			require.Equal(t, hex, c.Name(Edition2025))
		}
	}
	flags := []string{1: "success", 2: "error", 3: "vinDuplicate", 4: "vinUnknown", 5: "signatureError",
		6: "structureError", 7: "decryptError", 8: "0x08", 0x1F: "0x1F", 0xFE: "command", 0xFF: "0xFF"}
	encryptions := []string{0: "0x00", 1: "none", 2: "rsa", 3: "aes", 4: "sm2", 5: "sm4", 6: "0x06", 0xFE: "abnormal", 0xFF: "invalid"}
	for i, want := range flags {
		if want != "" {
			require.Equal(t, want, Flag(i).String())
		}
	}
	for i, want := range encryptions {
		if want != "" {
			require.Equal(t, want, Encryption(i).String())
		}
	}
}

func TestNameErrors(t *testing.T) {
	for _, s := range []string{"", "Realtime", "0x", "0xC", "0xC11", "0xG1", "0x+1", "0X01", "193", "0xC1 "} {
		_, err := ParseCommand(s, Edition2016)
		require.ErrorIs(t, err, ErrName, "%q", s)
		_, err = ParseFlag(s)
		require.ErrorIs(t, err, ErrName, "%q", s)
		_, err = ParseEncryption(s)
		require.ErrorIs(t, err, ErrName, "%q", s)
	}
	_, err := ParseFlag("ok")
	require.EqualError(t, err, `codec: unknown name: flag "ok" (want a name of this edition, or two hex digits as in "0xC1")`)
}
