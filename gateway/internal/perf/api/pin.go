//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin keeps this process on one core until free is called: the gateway is to have the other for itself.
func pin(core int) (free func() error, err error) {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("the cores of this process: %w", err)
	}
	if core < 0 {
		return func() error { return nil }, nil
	}
	one.Set(core)
	if err := setAll(&one); err != nil {
		return nil, fmt.Errorf("core %d: %w", core, err)
	}
	return func() error { return setAll(&before) }, nil
}

// setAll sets the cores of every thread there is; those to come inherit them.
func setAll(cores *unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, cores); err != nil && err != unix.ESRCH { // a thread may have ended
			return err
		}
	}
	return nil
}
