//go:build linux || darwin

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// descriptorsBeside are those that the program needs for itself.
const descriptorsBeside = 32

// enoughDescriptors says what to do when n connections are more than the process may open. Go has
// raised the soft limit to the hard one at its start.
func enoughDescriptors(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil // then the connections will tell
	}
	if need := uint64(n) + descriptorsBeside; need > limit.Cur {
		return fmt.Errorf("%d vehicles need %d open files and the limit is %d: raise it (ulimit -n %d), take fewer, or relay them over one "+
			"connection (--platform)", n, need, limit.Cur, need)
	}
	return nil
}
