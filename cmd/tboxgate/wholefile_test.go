package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCreateWhole(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, fails error) error {
		f, finish, err := createWhole(name)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, "new")
		require.NoError(t, err)
		return finish(fails)
	}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	odd := errors.New("odd")
	require.ErrorIs(t, write(file, odd), odd)
	require.Equal(t, "old", read(file))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, write(link, nil))
	require.Equal(t, "new", read(file))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, os.ModeSymlink, info.Mode().Type())

	none := filepath.Join(dir, "none", "file")
	require.EqualError(t, write(none, nil), "open "+none+": no such file or directory")
	require.ErrorContains(t, write(dir, nil), "is a directory")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2)
}

// TestDevicesAreNotReplaced: who writes to /dev/stdout or /dev/null may be root.
func TestDevicesAreNotReplaced(t *testing.T) {
	dir := dataDir(t)
	code, _, stderr := tboxgate(t, "LTEST000000000001\n", "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	for _, command := range []string{"backup", "export --format csv -o"} {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		got := make(chan []byte)
		go func() {
			text, _ := io.ReadAll(r) // what there is
			got <- text
		}()
		name := filepath.Join(t.TempDir(), "out")
		require.NoError(t, os.Symlink("/dev/fd/"+strconv.Itoa(int(w.Fd())), name))
		words := strings.Fields(command)
		ok(t, append(append([]string{words[0], "--data-dir", dir}, words[1:]...), name)...)
		require.NoError(t, w.Close())
		require.NotEmpty(t, <-got)
		require.NoError(t, r.Close())
		info, err := os.Lstat(name)
		require.NoError(t, err)
		require.Equal(t, os.ModeSymlink, info.Mode().Type())
	}
}
