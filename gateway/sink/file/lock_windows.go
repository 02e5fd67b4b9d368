package file

import (
	"errors"
	"os"
)

// tryLock fails: the gateway and its sinks are for Linux and macOS.
func tryLock(*os.File) (taken bool, err error) { return false, errors.New("not on Windows") }
