package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Format is the version of what lies in a data directory: the streams and buckets with the form of what is in
// them, the seal key. It stands as a number in the file "format".
//
//	1  no such file: raw records have their keys in headers
//	2  raw records are entries (docs/stream.md); the batched layout
//
// A directory of an older format is brought to this one by Open. One of a newer format is refused: this
// program would misread it.
const Format = 2

const formatName = "format"

// FormatError says that a directory, or a backup, is of a format that this program does not know.
type FormatError struct {
	What   string // "data directory /var/lib/tboxgate"
	Format int
}

// Error names what it is and what to do.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s is of format %d, this tboxgate knows up to %d: use the version that wrote it, or a newer one", e.What, e.Format, Format)
}

// CheckFormat returns a *FormatError when this program cannot read the format.
func CheckFormat(what string, format int) error {
	if format < 1 || format > Format {
		return &FormatError{What: what, Format: format}
	}
	return nil
}

// settle checks the format of an open directory and brings it up to this one.
func settle(path string) error {
	have, err := readFormat(path)
	if err != nil {
		return err
	}
	if err := CheckFormat("data directory "+path, have); err != nil {
		return err
	}
	for ; have < Format; have++ {
		if err := upgrade(path, have); err != nil {
			return fmt.Errorf("data directory %s: upgrade from format %d: %w", path, have, err)
		}
		if err := writeFormat(path, have+1); err != nil {
			return fmt.Errorf("data directory %s: upgrade from format %d: %w", path, have, reason(err))
		}
	}
	return nil
}

// upgrade brings a directory from one format to the next. A crash in between does it again.
func upgrade(_ string, from int) error {
	switch from {
	case 1: // records in both forms are read, so those that are there stay as they are
		return nil
	}
	return fmt.Errorf("there is no way from format %d", from)
}

// readFormat returns 1 when there is no file, as in a directory that is new.
func readFormat(path string) (int, error) {
	text, err := os.ReadFile(filepath.Join(path, formatName))
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("data directory %s: format: %w", path, reason(err))
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("data directory %s: the file %s holds %q, which is no format", path, formatName, text)
	}
	return n, nil
}

// writeFormat puts the file there, whole or not at all.
func writeFormat(path string, format int) error {
	scratch := filepath.Join(path, formatName+".tmp")
	f, err := os.OpenFile(scratch, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", format)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(scratch, filepath.Join(path, formatName))
}
