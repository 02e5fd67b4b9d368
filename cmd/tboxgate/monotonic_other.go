//go:build !linux

package main

// monotonic is not asked for: systemd runs on Linux.
func monotonic() int64 { return 0 }
