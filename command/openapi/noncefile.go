package openapi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Used nonces outlive the process in files, so that a call that was overheard cannot be repeated after a restart. A file holds
// the nonces of nonceSpan minutes, those of the time stamps, in records of 20 bytes: the nonce's hash and its minute. It is
// deleted when no time stamp of its minutes is valid any more. Records are written when the nonce is used and not flushed to
// the disk: they outlive a crash of the process, not one of the machine.
const (
	nonceSpan   = 16
	nonceRecord = 16 + 4
	nonceSuffix = ".nonces"
)

// nonceFiles is the directory of the files.
type nonceFiles struct {
	dir    string
	log    *slog.Logger
	open   map[int64]*os.File // by span; nil: of an earlier run, not open
	broken bool               // a write has failed, which was said
}

// loadNonces reads the nonces whose time stamps are still valid into n and goes on writing to the directory.
func (n *nonces) loadNonces(dir string, now time.Time, window time.Duration, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("openapi: used nonces: %w", err)
	}
	f := &nonceFiles{dir: dir, log: log, open: map[int64]*os.File{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("openapi: used nonces: %w", err)
	}
	oldest := now.Add(-window).Unix() / 60
	for _, e := range entries { // in the order of their names, which have the same length
		span, err := strconv.ParseInt(strings.TrimSuffix(e.Name(), nonceSuffix), 10, 64)
		if err != nil || !strings.HasSuffix(e.Name(), nonceSuffix) {
			continue
		}
		if span*nonceSpan+nonceSpan-1 < oldest {
			_ = os.Remove(f.path(span)) // tried again at the next start
			continue
		}
		f.open[span] = nil
		data, err := os.ReadFile(f.path(span))
		if err != nil {
			return fmt.Errorf("openapi: used nonces: %w", err)
		}
		for ; len(data) >= nonceRecord; data = data[nonceRecord:] {
			if minute := int64(binary.BigEndian.Uint32(data[16:])); minute >= oldest {
				n.add([16]byte(data), minute)
			}
		}
	}
	n.files = f
	return nil
}

func (f *nonceFiles) path(span int64) string {
	return filepath.Join(f.dir, fmt.Sprintf("%012d%s", span, nonceSuffix))
}

// append writes one nonce down.
func (f *nonceFiles) append(key [16]byte, minute int64) {
	err := f.write(key, minute)
	if err != nil && !f.broken {
		f.log.Error("used nonces are not written down: a call could be repeated after a restart", "error", err)
	}
	f.broken = err != nil
}

func (f *nonceFiles) write(key [16]byte, minute int64) error {
	span := minute / nonceSpan
	file := f.open[span]
	if file == nil {
		var err error
		if file, err = os.OpenFile(f.path(span), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
			return err
		}
		// A record that a crash has cut is overwritten.
		size, err := file.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = file.Seek(size-size%nonceRecord, io.SeekStart)
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
		f.open[span] = file
	}
	_, err := file.Write(binary.BigEndian.AppendUint32(key[:], uint32(minute)))
	if err != nil {
		// The disk may be unmounted and come back: it is opened anew the next time.
		f.open[span] = nil
		err = errors.Join(err, file.Close())
	}
	return err
}

// letGo closes the files; they are opened again when they are written to.
func (f *nonceFiles) letGo() {
	for span, file := range f.open {
		if file != nil {
			_ = file.Close() // nothing is held back in memory
			f.open[span] = nil
		}
	}
}

// expire deletes the files whose minutes all lie before oldest.
func (f *nonceFiles) expire(oldest int64) {
	for span, file := range f.open {
		if span*nonceSpan+nonceSpan-1 >= oldest {
			continue
		}
		if file != nil {
			_ = file.Close() // nothing of it is needed any more
		}
		if err := os.Remove(f.path(span)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.log.Warn("a file of used nonces stays behind", "error", err)
		}
		delete(f.open, span)
	}
}

func (f *nonceFiles) close() error {
	var errs []error
	for _, file := range f.open {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	clear(f.open)
	return errors.Join(errs...)
}
