package codec

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendAnswer(t *testing.T) {
	login := unhex(t, worked[0].hex)
	for _, c := range []struct {
		name string
		flag Flag
		unit []byte
		want string
	}{
		{"time only", FlagSuccess, login[24:30], worked[1].hex},
		{"error", FlagError, login[24:30], worked[2].hex},
		{"VIN duplicate", FlagVINDuplicate, login[24:30], worked[3].hex},
		{"echo with a new time", FlagSuccess, append([]byte{0x12, 0x0A, 0x1E, 0x14, 0x23, 0x37}, login[30:54]...), worked[4].hex},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := AppendAnswer([]byte("before"), Frame(login), c.flag, c.unit)
			require.Equal(t, "before", string(got[:6]))
			require.Equal(t, unhex(t, c.want), got[6:])
		})
	}
}

// TestAppendAnswerKeeps: start mark and raw identifier come back as they came, the encryption byte
// is 0x01 unless the request had 0x00.
func TestAppendAnswerKeeps(t *testing.T) {
	vin := [VINSize]byte{'H', '8', ' ', 0, ' '}
	for enc, want := range map[Encryption]Encryption{0: 0, 1: 1, 2: 1, 5: 1, 0x77: 1, 0xFE: 1, 0xFF: 1} {
		for _, e := range []Edition{Edition2016, Edition2025} {
			b, err := AppendFrame(nil, Header{e, 0xC1, FlagCommand, vin, enc}, []byte{1, 2, 3})
			require.NoError(t, err)
			a, err := ParseFrame(AppendAnswer(nil, Frame(b), FlagSuccess, nil))
			require.NoError(t, err)
			require.Equal(t, e, a.Edition())
			require.Equal(t, Command(0xC1), a.Command())
			require.Equal(t, FlagSuccess, a.Flag())
			require.Equal(t, vin[:], a.RawVIN())
			require.Equal(t, want, a.Encryption())
			require.Empty(t, a.Unit())
		}
	}
}

func TestAppendFrameLimits(t *testing.T) {
	h := Header{Edition: Edition2016, Command: CommandRealtime, Flag: FlagCommand, Encryption: EncryptionNone}
	unit := bytes.Repeat([]byte{0x23}, MaxUnitSize+1)
	b, err := AppendFrame(nil, h, unit[:MaxUnitSize])
	require.NoError(t, err)
	require.Len(t, b, MaxFrameSize)
	_, err = ParseFrame(b)
	require.NoError(t, err)

	b, err = AppendFrame([]byte("kept"), h, unit)
	require.ErrorIs(t, err, ErrLength)
	require.Equal(t, "kept", string(b))
	require.Panics(t, func() { AppendAnswer(nil, Frame(benchFrame(t, "login.bin")), FlagSuccess, unit) })
}
