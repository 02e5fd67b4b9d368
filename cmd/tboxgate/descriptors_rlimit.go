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
	limit, err := descriptorLimit()
	if err != nil {
		return nil // then the connections will tell
	}
	if need := uint64(n) + descriptorsBeside; need > limit {
		return fmt.Errorf("%d vehicles need %d open files and the limit is %d: raise it (ulimit -n %d), take fewer, or relay them over one "+
			"connection (--platform)", n, need, limit, need)
	}
	return nil
}

// descriptorLimit is how many files the process may open.
func descriptorLimit() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur, err
}
