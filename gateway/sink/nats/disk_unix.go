//go:build !windows

package nats

import "golang.org/x/sys/unix"

// freeDisk is the bytes that are free where path lies.
func freeDisk(path string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil {
		return 0, err
	}
	return int64(disk.Bavail * uint64(disk.Bsize)), nil
}
