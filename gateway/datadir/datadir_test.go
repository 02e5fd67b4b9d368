package datadir_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/datadir"
)

// holdEnv makes the test binary a second process that holds the directory until its input ends.
const holdEnv = "TBOXGATE_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		d, err := datadir.Open(dir)
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("held\n")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		_ = d.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOpenMakesAndLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := datadir.Open(path)
	require.NoError(t, err)
	require.Equal(t, path, d.Path())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())

	_, err = datadir.Open(path)
	var inUse *datadir.InUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, os.Getpid(), inUse.PID)

	require.NoError(t, d.Close())
	d, err = datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestOpenNamesTheOtherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	_, err := cmd.StdinPipe() // open until Wait closes it: the holder waits on it
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)

	_, err = datadir.Open(dir)
	var inUse *datadir.InUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, cmd.Process.Pid, inUse.PID)
	require.ErrorContains(t, err, dir)
	require.NotContains(t, err.Error(), "\n")

	// A holder that is killed leaves no lock behind.
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	d, err := datadir.Open(dir)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestOpenErrorsAreOneClearLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	// A directory in the lock's place is refused whoever runs the test; permissions are not.
	odd := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(odd, "lock"), 0o700))

	for _, c := range []struct{ path, want string }{
		{"", "the path is empty"},
		{file, "cannot be made: not a directory; choose another with --data-dir"},
		{filepath.Join(file, "below"), "cannot be made: not a directory; choose another with --data-dir"},
		{odd, "is not writable: is a directory; give it to the user that the gateway runs as"},
	} {
		_, err := datadir.Open(c.path)
		require.ErrorContains(t, err, c.want)
		require.Equal(t, 1, len(strings.Split(err.Error(), "\n")))
		var inUse *datadir.InUseError
		require.False(t, errors.As(err, &inUse))
	}
}

// TestLetGoAndTakeBack: between the two another process may take the directory, and what lies at its path when its disk is
// not mounted is not taken for it.
func TestLetGoAndTakeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, d.TakeBack(), "it is held")
	require.True(t, d.Held())
	require.NoError(t, os.Rename(path, path+".away"))
	require.False(t, d.Held(), "it is not there")
	other, err := datadir.Open(path)
	require.NoError(t, err)
	require.False(t, d.Held(), "another one is there")
	require.NoError(t, other.Close())
	require.NoError(t, os.RemoveAll(path))
	require.NoError(t, os.Rename(path+".away", path))
	require.True(t, d.Held())
	d.LetGo()
	d.LetGo()
	require.False(t, d.Held())
	other, err = datadir.Open(path)
	require.NoError(t, err)
	var inUse *datadir.InUseError
	require.ErrorAs(t, d.TakeBack(), &inUse)
	require.NoError(t, other.Close())

	require.NoError(t, os.Rename(path, path+".away"))
	require.ErrorIs(t, d.TakeBack(), fs.ErrNotExist)
	require.NoError(t, os.Mkdir(path, 0o700))
	require.ErrorIs(t, d.TakeBack(), fs.ErrNotExist)
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Rename(path+".away", path))

	require.NoError(t, os.WriteFile(filepath.Join(path, "format"), []byte("99\n"), 0o600))
	var format *datadir.FormatError
	require.ErrorAs(t, d.TakeBack(), &format, "a newer program worked on it meanwhile")
	require.NoError(t, os.WriteFile(filepath.Join(path, "format"), []byte("2\n"), 0o600))

	require.NoError(t, d.TakeBack())
	_, err = datadir.Open(path)
	require.ErrorAs(t, err, &inUse)
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	require.ErrorIs(t, d.TakeBack(), fs.ErrClosed)
}
