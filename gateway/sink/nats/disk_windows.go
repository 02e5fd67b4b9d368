package nats

import "errors"

// diskAt fails: the embedded store is for Linux and macOS.
func diskAt(string) (Disk, error) { return Disk{}, errors.New("not on Windows") }

// noRoom is never asked without an embedded store.
func noRoom(error) bool { return true }

// scarce is never asked either.
func scarce(error) bool { return false }
