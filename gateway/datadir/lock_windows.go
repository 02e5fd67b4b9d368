package datadir

import (
	"errors"
	"os"
)

// lock fails: the gateway and its data directory are for Linux and macOS.
func lock(*os.File) (taken bool, err error) {
	return false, errors.New("not on Windows; reach a gateway elsewhere with --addr and --token")
}
