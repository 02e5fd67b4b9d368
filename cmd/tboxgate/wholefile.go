package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// createWhole makes a file that appears under its name, whole, when finish is called with nil, and does not appear when it is
// called with another error, which finish returns. What stands under the name before is replaced then: of a symbolic link what it
// leads to. A device or pipe is never replaced, it is written to.
func createWhole(name string) (f *os.File, finish func(error) error, err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // a directory is refused here
		if err != nil {
			return nil, nil, err
		}
		return f, func(err error) error { return errors.Join(err, f.Close()) }, nil
	}
	if to, err := filepath.EvalSymlinks(name); err == nil {
		name = to
	}
	f, err = os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	var pe *fs.PathError
	if errors.As(err, &pe) {
		pe.Path = name // the one that the user knows
	}
	if err != nil {
		return nil, nil, err
	}
	return f, func(err error) error {
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
		if err == nil {
			err = os.Rename(f.Name(), name)
		}
		if err != nil {
			return errors.Join(err, os.Remove(f.Name()))
		}
		return nil
	}, nil
}
