package nats

import "errors"

// freeDisk fails: the embedded store is for Linux and macOS.
func freeDisk(string) (int64, error) { return 0, errors.New("not on Windows") }
