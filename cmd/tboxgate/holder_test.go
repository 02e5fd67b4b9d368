package main

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/datadir"
)

// letGoes counts how often the files of used nonces were let go.
type letGoes int

func (n *letGoes) LetGo() { *n++ }

// TestHolder: what the gateway has open in its data directory goes and comes back, under clients that use it.
func TestHolder(t *testing.T) {
	path := dataDir(t)
	dir, err := datadir.Open(path)
	require.NoError(t, err)
	h := &holder{dir: dir}
	l, err := h.listenSocket()
	require.NoError(t, err)
	d := newDoor("admin socket", l, slog.New(slog.DiscardHandler))
	d.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/follow" { // as tail --follow does
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, "here\n")
	}))
	nonces := new(letGoes)
	h.holdNonces(nonces)
	require.NoError(t, h.announce(admin.Status{DataDir: path}))
	socket := filepath.Join(path, admin.SocketName)
	ask := func(url string) (*bufio.Reader, net.Conn) {
		t.Helper()
		nc, err := net.Dial("unix", socket)
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(nc, "GET "+url+" HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		return bufio.NewReader(nc), nc
	}
	works := func() {
		t.Helper()
		r, nc := ask("/")
		defer func() { _ = nc.Close() }()
		for {
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			if line == "here\n" {
				return
			}
		}
	}
	works()
	follower, nc := ask("/follow")
	defer func() { _ = nc.Close() }()
	line, err := follower.ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(line, "HTTP/1.1 200"), line)

	h.LetGo()
	h.LetGo()
	require.EqualValues(t, 2, *nonces)
	_, err = io.Copy(io.Discard, follower)
	require.NoError(t, err, "its connection is closed")
	_, err = net.Dial("unix", socket)
	require.Error(t, err)
	require.NoError(t, os.Remove(filepath.Join(path, runFile)))

	other, err := datadir.Open(path)
	require.NoError(t, err, "the directory is free")
	var inUse *datadir.InUseError
	require.ErrorAs(t, h.TakeBack(), &inUse)
	require.NoError(t, other.Close())
	require.NoError(t, h.TakeBack())
	require.NoError(t, h.TakeBack())
	works()
	require.FileExists(t, filepath.Join(path, runFile))

	// Another file system is mounted there before anybody looked: what was open lies on the one before.
	require.NoError(t, os.Rename(path, path+".old"))
	require.NoError(t, os.Mkdir(path, 0o700))
	for _, name := range []string{"lock", "format"} {
		text, err := os.ReadFile(filepath.Join(path+".old", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(path, name), text, 0o600))
	}
	require.NoError(t, h.TakeBack())
	require.EqualValues(t, 3, *nonces)
	works()
	_, err = datadir.Open(path)
	require.ErrorAs(t, err, &inUse)

	// At the end the socket may be away.
	h.LetGo()
	require.NoError(t, d.shutdown(t.Context()))
	require.NoError(t, h.TakeBack())
	require.NoFileExists(t, socket)
	require.NoError(t, h.withdraw())
	h.LetGo()
	require.NoError(t, h.TakeBack())
	require.NoFileExists(t, filepath.Join(path, runFile), "withdrawn")

	// And the directory may be another process's by then.
	require.NoError(t, h.announce(admin.Status{DataDir: path}))
	h.LetGo()
	require.NoError(t, h.withdraw())
	require.FileExists(t, filepath.Join(path, runFile))
	require.NoError(t, dir.Close())
}
