// Package datadir opens the gateway's data directory for one process at a time.
//
// The store, the seal key and the admin socket all live in it, and two processes that write one
// JetStream directory would destroy it. So whoever opens anything below the directory holds its
// lock first: `serve` for as long as it runs, the other commands while they work without a gateway.
package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// lockName is the file that carries the lock; its text is the holder's process id.
const lockName = "lock"

// InUseError says that another process holds the directory.
type InUseError struct {
	Dir string
	PID int // 0 when the holder has not written it yet
}

// Error names the directory and the process.
func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("data directory %s is in use by %s; stop it, or choose another directory with --data-dir", e.Dir, who)
}

// ForeignError says that root was about to write into a directory that another user's gateway works on. What root
// makes there that user could not read, and the gateway would not come up again.
type ForeignError struct {
	Dir   string
	Owner string // name, or number where it has none
}

// Error names the directory and the way that works.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("data directory %s belongs to %s: files that root makes in it are closed to that user's gateway; start the gateway, "+
		"which takes commands of root, or run this as its user: runuser -u %s -- tboxgate …", e.Dir, e.Owner, e.Owner)
}

// Dir is an open and locked data directory. Its methods are safe for concurrent use.
type Dir struct {
	path string

	mu     sync.Mutex
	lock   *os.File // nil after LetGo
	closed bool
}

// Open makes the directory when it is missing (mode 0700), checks that it can be written, and locks
// it, and brings what is in it to this Format. The error is one line that names the directory: *InUseError
// when another process holds it, *ForeignError when root is not its owner, *FormatError when a newer program wrote it, else what the file system said (errors.Is fs.ErrPermission and so on).
//
// The lock is an advisory flock on the file "lock": the kernel frees it when the process ends,
// however it ends, so a crash leaves nothing to clean up.
func Open(path string) (*Dir, error) {
	if path == "" {
		return nil, errors.New("data directory: the path is empty")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made: %w; choose another with --data-dir", path, reason(err))
	}
	if err := ours(path, os.Geteuid()); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is not writable: %w; give it to the user that the gateway runs as, or choose another with --data-dir", path, reason(err))
	}
	if err := hold(f, path); err != nil {
		return nil, err
	}
	return &Dir{path: path, lock: f}, nil
}

// hold locks f and brings the directory to this Format; after an error f is closed.
func hold(f *os.File, path string) error {
	err := take(f, path)
	if err == nil {
		err = settle(path)
	}
	if err != nil {
		_ = f.Close() // it was not written to, or what was is the error
	}
	return err
}

// take locks f and writes the process id into it, which also shows that the disk takes writes.
func take(f *os.File, path string) error {
	taken, err := lock(f)
	if taken {
		return &InUseError{Dir: path, PID: holder(f)}
	}
	if err != nil {
		return fmt.Errorf("data directory %s cannot be locked: %w", path, err)
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("data directory %s is not writable: %w; give it to the user that the gateway runs as, or choose another with --data-dir", path, reason(err))
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("data directory %s is not writable: %w; give it to the user that the gateway runs as, or choose another with --data-dir", path, reason(err))
	}
	return nil
}

// holder reads the process id that the lock's owner left in the file.
func holder(f *os.File) int {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// reason drops the operation and path of a PathError: the message names the directory already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Path returns the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// LetGo frees the lock and closes its file, so that a file system that has failed can be unmounted. Nothing below
// the directory may be open then. TakeBack takes it again.
func (d *Dir) LetGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock != nil {
		_ = d.lock.Close() // the process id in it is all that was ever written
		d.lock = nil
	}
}

// Held reports whether the lock that is held is that of the directory at the path: after another file system was
// mounted there it is not.
func (d *Dir) Held() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return false
	}
	there, err := os.Stat(filepath.Join(d.path, lockName))
	if err != nil {
		return false
	}
	held, err := d.lock.Stat()
	return err == nil && os.SameFile(there, held)
}

// TakeBack locks the directory again after LetGo, once it is there again and takes writes. Another directory at
// its path is refused (fs.ErrNotExist): where a disk is not mounted lies the empty directory that it is mounted
// on. Other errors are Open's. It does nothing while the lock is held.
func (d *Dir) TakeBack() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock != nil {
		return nil
	}
	if d.closed {
		return fmt.Errorf("data directory %s: %w", d.path, fs.ErrClosed)
	}
	f, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory %s is not there, or is not the one that was (is its disk mounted?): %w", d.path, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("data directory %s is not writable: %w", d.path, reason(err))
	}
	if err := hold(f, d.path); err != nil {
		return err
	}
	d.lock = f
	return nil
}

// Close frees the lock. The file stays: removing it would let two processes lock two files of the
// same name.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	if err != nil {
		return fmt.Errorf("data directory %s: %w", d.path, reason(err))
	}
	return nil
}
