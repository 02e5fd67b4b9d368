package session

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToken(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, c := range []struct{ text, token string }{
		{"", "="},
		{"LTEST000000000001", "LTEST000000000001"},
		{"a_b-Z9", "a_b-Z9"},
		{"a.b", "a=2Eb"},
		{"=", "=3D"},
		{"*>", "=2A=3E"},
		{"a b\x00", "a=20b=00"},
		{"示", "=E7=A4=BA"},
		{"\xFF", "=FF"},
	} {
		require.Equal(t, c.token, Token(c.text))
		require.Equal(t, "before."+c.token, string(AppendToken([]byte("before."), c.text)))
		require.Equal(t, c.token, string(AppendToken(nil, []byte(c.text))))
		back, err := Untoken(c.token)
		require.NoError(t, err)
		require.Equal(t, c.text, back)
	}
	token := Token(string(all))
	require.Regexp(t, `^[A-Za-z0-9_=-]+$`, token)
	back, err := Untoken(token)
	require.NoError(t, err)
	require.Equal(t, string(all), back)
}

func TestUntokenTakesOneFormOnly(t *testing.T) {
	for _, token := range []string{"", "a.b", "=4", "a=", "=ZZ", "=2e", "=41", "==", "a=3D=", " "} {
		_, err := Untoken(token)
		require.ErrorIs(t, err, ErrToken, "%q", token)
	}
}

func TestAppendTokenDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 64)
	text := "LTEST.00000000001"
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = AppendToken(dst[:0], text) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = Token("LTEST000000000001") }))
}
