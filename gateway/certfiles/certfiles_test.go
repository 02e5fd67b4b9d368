package certfiles_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/certfiles"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/cert"
)

// TestLoader: new files are taken over when they are looked at or when it is asked for; broken ones leave the old in use.
func TestLoader(t *testing.T) {
	dir := t.TempDir()
	files, err := cert.Write(dir)
	require.NoError(t, err)
	told := 0
	expires := func(at time.Time) {
		told++
		require.True(t, at.After(time.Now()))
	}
	l, err := certfiles.Load(certfiles.Files{Cert: files.Cert, Key: files.Key}, expires)
	require.NoError(t, err)
	now := time.Now()
	first, err := l.Current(now)
	require.NoError(t, err)
	again, err := l.Current(now)
	require.NoError(t, err)
	require.Same(t, first, again)

	_, err = cert.Write(dir)
	require.NoError(t, err)
	later := time.Now().Add(time.Hour)
	for _, name := range []string{files.Cert, files.Key} {
		require.NoError(t, os.Chtimes(name, later, later)) // the clock of a file system may be coarse
	}
	same, err := l.Current(now.Add(certfiles.Look / 2))
	require.NoError(t, err)
	require.Same(t, first, same, "not looked at again so soon")
	second, err := l.Current(now.Add(2 * certfiles.Look))
	require.NoError(t, err)
	require.NotSame(t, first, second)
	require.Equal(t, 2, told)

	require.NoError(t, os.WriteFile(files.Cert, []byte("nothing"), 0o600))
	require.ErrorContains(t, l.Reload(), "tls.cert "+files.Cert)
	third, _ := l.Current(now.Add(2 * certfiles.Look))
	require.Same(t, second, third)
}

func TestLoadRefuses(t *testing.T) {
	files, err := cert.Write(t.TempDir())
	require.NoError(t, err)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for want, f := range map[string]certfiles.Files{
		"tls needs cert and key": {Cert: files.Cert},
		"tls.cert none":          {Cert: "none", Key: "none"},
		"tls.clientCA: open":     {Cert: files.Cert, Key: files.Key, ClientCA: "none"},
		"no PEM certificate":     {Cert: files.Cert, Key: files.Key, ClientCA: empty},
	} {
		_, err := certfiles.Load(f, nil)
		require.ErrorContains(t, err, want)
	}
	l, err := certfiles.Load(certfiles.Files{Cert: files.Cert, Key: files.Key, ClientCA: files.Cert}, nil)
	require.NoError(t, err)
	config, err := l.Current(time.Now())
	require.NoError(t, err)
	require.NotNil(t, config.ClientCAs)
}
