package file

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// gz ends the name of a compressed file, tmp that of one under way.
const (
	gz  = ".gz"
	tmp = ".tmp"
)

// zipper compresses rotated files and deletes those that are too many, on a goroutine of its own. A file is
// complete under its last name, or not there: it is written as .gz.tmp, synced and renamed, and only then
// is the one it was made of removed.
type zipper struct {
	opts *Options
	kind string
	ring chan struct{}
	quit chan struct{}
	over sync.WaitGroup
}

func newZipper(o *Options, kind string) *zipper {
	z := &zipper{opts: o, kind: kind, ring: make(chan struct{}, 1), quit: make(chan struct{})}
	z.over.Go(z.run)
	return z
}

// sweep asks for all that is due to be done.
func (z *zipper) sweep() {
	select {
	case z.ring <- struct{}{}:
	default:
	}
}

// close waits for the file under way, which is left unfinished.
func (z *zipper) close() {
	close(z.quit)
	z.over.Wait()
}

func (z *zipper) run() {
	for {
		select {
		case <-z.ring:
			if err := z.all(); err != nil && !errors.Is(err, errStopped) {
				z.opts.Logger.Warn("file: rotated files could not be compressed or deleted; it is tried again at the next rotation", "dir", z.opts.Dir, "error", err)
			}
		case <-z.quit:
			return
		}
	}
}

// errStopped says that the sink was closed.
var errStopped = errors.New("stopped")

// all does what is due.
func (z *zipper) all() error {
	names, err := fs.Glob(os.DirFS(z.opts.Dir), z.kind+"-*Z.jsonl*") // the directory is no pattern
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = filepath.Join(z.opts.Dir, name)
	}
	slices.Sort(names) // by time
	var kept []string
	var errs []error
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, tmp): // a crash left it
			errs = append(errs, os.Remove(name))
		case z.opts.Compress && !strings.HasSuffix(name, gz):
			if err := z.compress(name); err != nil {
				errs = append(errs, err)
				kept = append(kept, name)
				continue
			}
			kept = append(kept, name+gz)
		default:
			kept = append(kept, name)
		}
	}
	kept = slices.Compact(kept) // a file whose .gz was there already
	for z.opts.Keep > 0 && len(kept) > z.opts.Keep {
		errs = append(errs, os.Remove(kept[0]))
		kept = kept[1:]
	}
	return errors.Join(errs...)
}

// compress replaces a file by its compressed form.
func (z *zipper) compress(name string) (err error) {
	if _, err := os.Stat(name + gz); err == nil { // complete: a crash came before the other was removed
		return os.Remove(name)
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(name+gz+tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 64<<10)
	w := gzip.NewWriter(buffered)
	_, err = io.Copy(w, &stoppable{in, z.quit})
	err = errors.Join(err, w.Close(), buffered.Flush(), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(name+gz+tmp, name+gz)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name+gz+tmp))
	}
	return errors.Join(syncDir(z.opts.Dir), os.Remove(name))
}

// stoppable is a reader that ends when the sink does.
type stoppable struct {
	io.Reader
	quit <-chan struct{}
}

func (s *stoppable) Read(b []byte) (int, error) {
	select {
	case <-s.quit:
		return 0, errStopped
	default:
		return s.Reader.Read(b)
	}
}
