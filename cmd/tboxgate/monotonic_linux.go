package main

import "golang.org/x/sys/unix"

// monotonic is the kernel's monotonic clock in microseconds, by which systemd tells a reload from the one before.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano() / 1000
}
