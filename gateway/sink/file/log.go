package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
)

// writeMost bounds one write, so that confirmations do not wait for megabytes.
const writeMost = 1 << 20

// log is one file that grows, and those it was before. Publish queues lines; the writer goroutine owns the
// file.
//
//	write ── fails ──▶ the file is cut back to its last whole line; the same lines again, with back-off
//	sync  ── fails ──▶ nobody knows what the disk has: the file is left, the lines go to a new one
type log struct {
	opts  *Options
	kind  string // "frames": name of the file, and of trouble
	tally *tally.Tally
	zip   *zipper

	wake chan struct{}
	quit chan struct{}
	over sync.WaitGroup

	mu     sync.Mutex
	queue  []line
	text   []byte // of the queue's lines
	closed bool

	// The writer's own.
	file     *os.File
	size     int64     // bytes of whole lines in it
	born     time.Time // of its first line
	unsynced bool
	synced   time.Time
	attempts int
	sick     bool // the last attempt failed
}

// line is one line of a text, without its bytes.
type line struct {
	size   int
	to     sink.Receiver
	ticket uint64
}

func newLog(o *Options, kind string, t *tally.Tally) *log {
	l := &log{opts: o, kind: kind, tally: t, zip: newZipper(o, kind), wake: make(chan struct{}, 1), quit: make(chan struct{})}
	if err := l.open(); err != nil {
		l.failed(err)
	}
	l.zip.sweep()
	l.over.Go(l.run)
	return l
}

func (l *log) path() string { return filepath.Join(l.opts.Dir, l.kind+".jsonl") }

// publish queues the line that appendTo writes, without its end.
func (l *log) publish(appendTo func([]byte) []byte, to sink.Receiver, ticket uint64) {
	l.mu.Lock()
	start := len(l.text)
	l.text = append(appendTo(l.text), '\n')
	size := len(l.text) - start
	if l.closed || !l.tally.Take(size) {
		l.text = l.text[:start]
		l.mu.Unlock()
		return
	}
	l.queue = append(l.queue, line{size, to, ticket})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run is the writer.
func (l *log) run() {
	var lines, allLines []line // the rest of what was taken, and its memory
	var text, allText []byte
	timer := time.NewTimer(l.opts.Interval)
	defer timer.Stop()
	for {
		if len(lines) == 0 {
			allLines, allText = l.take(allLines[:0], allText[:0])
			lines, text = allLines, allText
		}
		for len(lines) > 0 {
			n, err := l.store(lines, text)
			if err != nil {
				l.failed(err)
				l.tally.Retried(len(lines))
				break
			}
			l.recovered()
			size := 0
			for _, ln := range lines[:n] {
				size += ln.size
				l.tally.Stored(ln.size, ln.to, ln.ticket)
			}
			lines, text = lines[n:], text[size:]
		}
		if err := l.chores(); err != nil {
			l.failed(err)
		} else if len(lines) == 0 {
			l.recovered()
		}
		timer.Reset(l.pause(len(lines) > 0))
		wake := l.wake
		if len(lines) > 0 {
			wake = nil // no use before the pause is over
		}
		select {
		case <-wake:
		case <-timer.C:
		case <-l.quit:
			return
		}
	}
}

// take takes what is queued, in exchange for memory to queue in.
func (l *log) take(lines []line, text []byte) ([]line, []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cap(text) > 4*writeMost {
		text = nil // an outage must not stay in memory for ever
	}
	lines, l.queue = l.queue, lines
	text, l.text = l.text, text
	return lines, text
}

// pause is how long the writer sleeps when nobody wakes it.
func (l *log) pause(waiting bool) time.Duration {
	switch {
	case waiting || l.sick:
		return tally.Backoff(l.attempts)
	case l.unsynced && l.opts.Fsync == FsyncInterval:
		return max(time.Until(l.synced.Add(l.opts.Interval)), time.Millisecond)
	case l.size > 0:
		return max(time.Until(l.born.Add(l.opts.MaxAge)), time.Millisecond)
	}
	return time.Hour
}

// store writes the first lines, as many as fit a write and the file, and returns how many.
func (l *log) store(lines []line, text []byte) (n int, err error) {
	size := 0
	for n < len(lines) && (n == 0 || size+lines[n].size <= writeMost && l.size+int64(size+lines[n].size) <= l.opts.MaxSize) {
		size += lines[n].size
		n++
	}
	if l.size > 0 && l.size+int64(size) > l.opts.MaxSize {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	if err := l.open(); err != nil {
		return 0, err
	}
	if l.size == 0 {
		l.born = time.Now()
	}
	if _, err := l.file.Write(text[:size]); err != nil {
		// What was written of it goes; if even that fails, open cuts the part of a line off. Then all is
		// looked at anew.
		err = fmt.Errorf("writing %s: %w", l.path(), errors.Join(err, l.file.Truncate(l.size)))
		l.leave()
		return 0, err
	}
	l.size += int64(size)
	l.unsynced = true
	if l.opts.Fsync == FsyncAlways {
		if err := l.sync(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// sync flushes the file. After an error the kernel may have dropped what it could not write, and would say
// yes the next time: the file is put aside, and the lines are written to a new one.
func (l *log) sync() error {
	if !l.unsynced || l.file == nil {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		if l.opts.Fsync != FsyncAlways {
			l.opts.Logger.Error("file: a sync failed: what was stored since the one before may not be on the disk", "path", l.path(), "error", err)
		}
		aside := l.rename()
		return errors.Join(fmt.Errorf("syncing %s: %w", l.path(), err), aside)
	}
	l.unsynced, l.synced = false, time.Now()
	return nil
}

// chores does what is due: the sync, the rotation by age.
func (l *log) chores() error {
	if l.sick {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.opts.Fsync == FsyncInterval && l.unsynced && time.Since(l.synced) >= l.opts.Interval {
		if err := l.sync(); err != nil {
			return err
		}
	}
	if l.size > 0 && time.Since(l.born) >= l.opts.MaxAge {
		return l.rotate()
	}
	return nil
}

// open opens the file if it is not open, and makes it anew when somebody moved or deleted it: what would be
// written to it then, nobody would find.
func (l *log) open() error {
	if l.file != nil {
		at, err := os.Stat(l.path())
		if err == nil {
			if is, err := l.file.Stat(); err == nil && os.SameFile(at, is) {
				return nil
			}
		}
		l.opts.Logger.Warn("file: somebody took the file away; a new one is made", "path", l.path())
		if l.opts.Fsync != FsyncNever {
			_ = l.file.Sync() // it may be elsewhere, or gone
		}
		l.leave()
	}
	f, err := os.OpenFile(l.path(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	size, born, err := l.mend(f)
	if err == nil {
		err = syncDir(l.opts.Dir)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return err
	}
	l.file, l.size, l.born, l.synced = f, size, born, time.Now()
	return nil
}

// mend cuts a line off that a crash left without its end, and tells size and age.
func (l *log) mend(f *os.File) (size int64, born time.Time, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, born, err
	}
	size = info.Size()
	born = info.ModTime() // the best there is: nobody wrote since
	whole, err := lastLineEnd(f, size)
	if err != nil || whole == size {
		return size, born, err
	}
	l.opts.Logger.Warn("file: the last line had no end and is cut off; it was not stored", "path", l.path(), "bytes", size-whole)
	return whole, born, f.Truncate(whole)
}

// lastLineEnd returns the offset behind the last line's end.
func lastLineEnd(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(end-int64(len(buf)), 0)
		part := buf[:end-start]
		if _, err := f.ReadAt(part, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// leave closes the file without more ado; open opens it again.
func (l *log) leave() {
	_ = l.file.Close() // a failure of it says nothing new
	l.file, l.size, l.unsynced = nil, 0, false
}

// rotate ends the file: synced, under its final name. The next line opens a new one.
func (l *log) rotate() error {
	if l.file == nil {
		return nil
	}
	if l.opts.Fsync != FsyncNever {
		if err := l.sync(); err != nil {
			return err
		}
	}
	return l.rename()
}

// rename gives the file its final name, which never changes nor comes twice.
func (l *log) rename() error {
	at := time.Now().UTC()
	for {
		name := filepath.Join(l.opts.Dir, l.kind+"-"+at.Format("20060102T150405.000Z")+".jsonl")
		_, err := os.Stat(name)
		_, errZ := os.Stat(name + gz)
		if errors.Is(err, fs.ErrNotExist) && errors.Is(errZ, fs.ErrNotExist) {
			err := os.Rename(l.path(), name)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // somebody took it away
			}
			if err != nil {
				return err
			}
			break
		}
		at = at.Add(time.Millisecond)
	}
	l.leave()
	l.zip.sweep()
	return syncDir(l.opts.Dir)
}

// syncDir makes names durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *log) failed(err error) {
	l.attempts++
	l.sick = true
	if l.tally.Trouble(l.kind, err) {
		l.opts.Logger.Warn("file: records wait", "error", err)
	}
}

func (l *log) recovered() {
	l.attempts, l.sick = 0, false
	if l.tally.Trouble(l.kind, nil) {
		l.opts.Logger.Info("file: records are stored", "path", l.path())
	}
}

// close ends the writer and syncs the file.
func (l *log) close() {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return
	}
	close(l.quit)
	l.over.Wait()
	if l.file != nil {
		if l.opts.Fsync != FsyncNever {
			if err := l.sync(); err != nil {
				l.opts.Logger.Error("file: the last sync failed; a power cut may take what is not on the disk", "path", l.path(), "error", err)
			}
		}
		if l.file != nil {
			l.leave()
		}
	}
	l.zip.close()
}
