package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func testBox(t testing.TB, fill byte) *Box {
	t.Helper()
	box, err := New(bytes.Repeat([]byte{fill}, KeySize))
	require.NoError(t, err)
	return box
}

func TestSealOpen(t *testing.T) {
	box := testBox(t, 1)
	for _, plain := range []string{"", "s", "a secret of some length, 示例"} {
		sealed := box.Seal([]byte(plain), "accessKey one")
		require.Len(t, sealed, len(plain)+29)
		if len(plain) > 1 {
			require.NotContains(t, string(sealed), plain)
		}
		require.NotEqual(t, sealed, box.Seal([]byte(plain), "accessKey one"), "the nonce is fresh each time")
		opened, err := box.Open(sealed, "accessKey one")
		require.NoError(t, err)
		require.Equal(t, plain, string(opened))

		_, err = box.Open(sealed, "accessKey two")
		require.ErrorIs(t, err, ErrOpen)
		_, err = testBox(t, 2).Open(sealed, "accessKey one")
		require.ErrorIs(t, err, ErrOpen)
		for i := range sealed {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 0x10
			_, err = box.Open(damaged, "accessKey one")
			require.ErrorIs(t, err, ErrOpen, "byte %d", i)
			_, err = box.Open(sealed[:i], "accessKey one")
			require.ErrorIs(t, err, ErrOpen, "cut at %d", i)
		}
	}
}

func TestMAC(t *testing.T) {
	box := testBox(t, 1)
	sum := box.MAC(nil, []byte("salt"), []byte("user"), []byte("password"))
	require.Len(t, sum, MACSize)
	require.Equal(t, sum, box.MAC(nil, []byte("salt"), []byte("user"), []byte("password")))
	for name, other := range map[string][]byte{
		"other salt":  box.MAC(nil, []byte("tlas"), []byte("user"), []byte("password")),
		"other part":  box.MAC(nil, []byte("salt"), []byte("user"), []byte("passwore")),
		"other split": box.MAC(nil, []byte("salt"), []byte("userp"), []byte("assword")),
		"fewer parts": box.MAC(nil, []byte("salt"), []byte("userpassword")),
		"other key":   testBox(t, 2).MAC(nil, []byte("salt"), []byte("user"), []byte("password")),
	} {
		require.NotEqual(t, sum, other, name)
	}
	long := bytes.Repeat([]byte("0123456789"), 30)
	require.NotEqual(t, box.MAC(nil, nil, long), box.MAC(nil, nil, append(bytes.Clone(long[:299]), 'x')), "the last chunk counts")
	require.Equal(t, append([]byte("before"), sum...), box.MAC([]byte("before"), []byte("salt"), []byte("user"), []byte("password")))

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if !bytes.Equal(sum, box.MAC(nil, []byte("salt"), []byte("user"), []byte("password"))) {
					t.Error("a concurrent MAC differs")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestBoxHidesItsKey(t *testing.T) {
	key := bytes.Repeat([]byte{0xA7}, KeySize)
	box, err := New(key)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		require.Equal(t, "seal.Box(hidden)", fmt.Sprintf(verb, box), verb)
	}
	var log bytes.Buffer
	noTime := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey { // its digits could be taken for the key's
			return slog.Attr{}
		}
		return a
	}}
	slog.New(slog.NewTextHandler(&log, noTime)).Info("box", "box", box)
	slog.New(slog.NewJSONHandler(&log, noTime)).Info("box", "box", box)
	for _, form := range []string{"167", "a7a7", "A7A7", "p6en"} {
		require.NotContains(t, log.String(), form)
	}
}

func TestParseKey(t *testing.T) {
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = byte(0xFF - i)
	}
	for name, text := range map[string]string{
		"hex":            hex.EncodeToString(key),
		"upper case hex": fmt.Sprintf("%X", key),
		"line":           hex.EncodeToString(key) + "\n",
		"base64":         base64.StdEncoding.EncodeToString(key),
		"unpadded":       base64.RawStdEncoding.EncodeToString(key),
		"URL alphabet":   " " + base64.URLEncoding.EncodeToString(key),
	} {
		got, err := parseKey(text)
		require.NoError(t, err, name)
		require.Equal(t, key, got, name)
	}
	for name, text := range map[string]string{
		"empty":        "",
		"short hex":    hex.EncodeToString(key[:31]),
		"long hex":     hex.EncodeToString(key) + "00",
		"short base64": base64.StdEncoding.EncodeToString(key[:16]),
		"no code":      "swordfish, but longer than that!",
	} {
		_, err := parseKey(text)
		require.ErrorIs(t, err, ErrKey, name)
		if text != "" {
			require.NotContains(t, err.Error(), text, name)
		}
	}
	_, err := New(key[:31])
	require.ErrorIs(t, err, ErrKey)
}

func TestLoadKeyMakesTheFileOnce(t *testing.T) {
	dir := t.TempDir()
	boxes := make([]*Box, 8)
	var wg sync.WaitGroup
	for i := range boxes {
		wg.Go(func() {
			box, err := LoadKey(dir, "")
			if err != nil {
				t.Error(err)
			}
			boxes[i] = box
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	sealed := boxes[0].Seal([]byte("secret"), "test")
	for _, box := range boxes[1:] {
		plain, err := box.Open(sealed, "test")
		require.NoError(t, err, "all have the same key, whoever made it")
		require.Equal(t, "secret", string(plain))
	}
	info, err := os.Stat(filepath.Join(dir, KeyFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file is left")
}

func TestLoadKeyFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	key := bytes.Repeat([]byte{9}, KeySize)
	box, err := LoadKey(dir, hex.EncodeToString(key))
	require.NoError(t, err)
	plain, err := testBox(t, 9).Open(box.Seal([]byte("x"), ""), "")
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files, "no file is made")

	_, err = LoadKey(dir, "too short")
	require.ErrorIs(t, err, ErrKey)
	require.ErrorContains(t, err, KeyEnv)
	require.NotContains(t, err.Error(), "too short")
}

func TestLoadKeyRefuses(t *testing.T) {
	good := hex.EncodeToString(make([]byte, KeySize))
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"readable by the group": {good, 0o640, "chmod 600"},
		"readable by all":       {good, 0o604, "chmod 600"},
		"too short":             {good[:62], 0o600, "64 hex digits"},
		"empty":                 {"", 0o600, "64 hex digits"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, KeyFile)
		require.NoError(t, os.WriteFile(path, []byte(c.text), c.mode), name)
		require.NoError(t, os.Chmod(path, c.mode), name)
		_, err := LoadKey(dir, "")
		require.ErrorIs(t, err, ErrKey, name)
		require.ErrorContains(t, err, c.says, name)
		require.ErrorContains(t, err, path, name)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, KeyFile), []byte(good), 0o400))
	_, err := LoadKey(dir, "")
	require.NoError(t, err, "a read-only file will do")

	_, err = LoadKey(filepath.Join(dir, "missing"), "")
	require.ErrorIs(t, err, os.ErrNotExist)
}
