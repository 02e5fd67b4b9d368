//go:build !windows

package datadir

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ours returns a *ForeignError when uid is root's and path is another user's. Everybody else is held by the file
// system; a directory of root's that a group may write is how Kubernetes mounts a volume.
func ours(path string, uid int) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", path, reason(err))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || uid != 0 || stat.Uid == 0 {
		return nil
	}
	owner := strconv.Itoa(int(stat.Uid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	return &ForeignError{Dir: path, Owner: owner}
}
