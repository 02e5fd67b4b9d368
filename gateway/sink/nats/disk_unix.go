//go:build !windows

package nats

import (
	"errors"

	"golang.org/x/sys/unix"
)

// diskAt is the file system where path lies.
func diskAt(path string) (Disk, error) {
	var d unix.Statfs_t
	if err := unix.Statfs(path, &d); err != nil {
		return Disk{}, err
	}
	return Disk{Free: int64(d.Bavail * uint64(d.Bsize)), Size: int64(d.Blocks * uint64(d.Bsize))}, nil
}

// noRoom reports whether a write failed because the disk, or a quota, is full.
func noRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// scarce reports whether the system has no descriptor or memory left to ask the disk with, which says nothing about the disk.
func scarce(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}
