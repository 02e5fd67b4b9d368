package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// SocketName is the socket's file in the data directory.
const SocketName = "admin.sock"

// maxSocketPath is what every system's sockaddr_un holds, without the final zero (macOS 104, Linux 108).
const maxSocketPath = 103

// ListenSocket listens on the admin socket of a data directory, mode 0600. The caller holds the directory's lock, so a
// socket that is already there was left by a process that died, and is replaced. Closing the listener removes the file.
func ListenSocket(dataDir string) (net.Listener, error) {
	path := filepath.Join(dataDir, SocketName)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin socket %s: the path has %d bytes and a socket's may have %d; choose a shorter data directory",
			path, len(path), maxSocketPath)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("admin socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("admin socket %s: there is a file of this name that is no socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("admin socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Until here the directory's mode, 0700, protects it.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return l, nil
}
