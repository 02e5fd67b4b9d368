// Package file is the sink that appends records to files, one JSON object a line:
//
//	DIR/frames.jsonl                          what is being written
//	DIR/frames-20260704T080000.123Z.jsonl     rotated, by size and age; .gz when compressed
//	DIR/events.jsonl, DIR/events-….jsonl      events
//
// One goroutine writes each of the two (log.go): what has come meanwhile goes out in one write, and in one
// sync where syncs are waited for. What "stored" means is Options.Fsync.
package file

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/form"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
	"github.com/tboxgate/tboxgate/session"
)

// Fsync says when files are flushed to the disk, and so what a stored record survives. The death of the
// process (kill -9) it survives with each.
type Fsync string

// The policies.
const (
	FsyncAlways   Fsync = "always"   // before a record counts as stored: it survives a power cut
	FsyncInterval Fsync = "interval" // every Options.Interval: a power cut takes that much at most
	FsyncNever    Fsync = "never"    // when the kernel likes, some 30 s: a power cut takes that much
)

// Defaults of Options.
const (
	DefaultMaxSize  = 256 << 20
	DefaultMaxAge   = time.Hour
	DefaultInterval = 200 * time.Millisecond
)

// Options says where and how to write. The zero value of a field is its default.
type Options struct {
	Dir      string        // made when it is not there; one process at a time
	Payload  sink.Payload  // raw: a line with the frame's bytes as "hex", which tboxgate decode reads
	MaxSize  int64         // a file is rotated before it becomes larger, bytes; default 256 MiB
	MaxAge   time.Duration // and when it is this old, if anything stands in it; default 1 h
	Keep     int           // rotated files that are kept of each kind, the oldest go first; 0: all
	Fsync    Fsync         // default interval
	Interval time.Duration // default 200 ms
	Compress bool          // gzip rotated files

	Logger *slog.Logger // default: slog.Default()
}

// ErrLocked says that another process writes to the directory.
var ErrLocked = errors.New("file: another process writes to the directory")

// Sink is a sink.EventSink on files.
type Sink struct {
	opts       Options
	lock       *os.File
	tally      tally.Tally
	frames     *log
	events     *log
	converters sync.Pool // of *form.Converter
}

// New locks the directory, mends what a crash left behind and opens the files. A file that cannot be opened
// now, as on a full disk, is opened when it can be; Healthy says so meanwhile.
func New(o Options) (*Sink, error) {
	if o.Dir == "" {
		return nil, errors.New("file: no directory given")
	}
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxAge <= 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch o.Fsync {
	case "":
		o.Fsync = FsyncInterval
	case FsyncAlways, FsyncInterval, FsyncNever:
	default:
		return nil, fmt.Errorf("file: fsync %q: one of always, interval, never", o.Fsync)
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	s := &Sink{opts: o}
	s.converters.New = func() any { return new(form.Converter) }
	var err error
	if s.lock, err = lock(o.Dir); err != nil {
		return nil, err
	}
	s.frames = newLog(&s.opts, "frames", &s.tally)
	s.events = newLog(&s.opts, "events", &s.tally)
	return s, nil
}

// lock keeps other processes out until the file is closed.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if taken, err := tryLock(f); err != nil {
		_ = f.Close()
		if taken {
			return nil, fmt.Errorf("%w %s", ErrLocked, dir)
		}
		return nil, fmt.Errorf("file: locking %s: %w", dir, err)
	}
	return f, nil
}

// Publish queues a record's line and returns false; Stored follows.
func (s *Sink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) (stored bool) {
	c := s.converters.Get().(*form.Converter)
	defer s.converters.Put(c)
	if s.opts.Payload == sink.PayloadRaw {
		if frame, ok := c.Frame(r); ok {
			s.frames.publish(func(b []byte) []byte { return appendHexLine(b, r, frame) }, to, ticket)
			return false
		}
	}
	body := c.JSON(r, s.opts.Payload == sink.PayloadBoth)
	s.frames.publish(func(b []byte) []byte { return append(b, body...) }, to, ticket)
	return false
}

// PublishEvent queues an event's line and returns false; Stored follows.
func (s *Sink) PublishEvent(e *sink.Event, to sink.Receiver, ticket uint64) (stored bool) {
	s.events.publish(func(b []byte) []byte {
		// The kind, which subjects and topics hold elsewhere, stands first.
		b = append(b, `{"kind":`...)
		b = session.AppendWireString(b, e.Kind)
		if len(e.Body) > 2 && e.Body[0] == '{' {
			return append(append(b, ','), e.Body[1:]...)
		}
		return append(b, '}')
	}, to, ticket)
	return false
}

// appendHexLine writes a raw record.
func appendHexLine(b []byte, r *sink.Record, frame []byte) []byte {
	b = append(b, `{"hex":"`...)
	b = hex.AppendEncode(b, frame)
	b = append(b, `","vin":`...)
	b = session.AppendWireString(b, r.VIN.String())
	b = append(b, `,"command":"`...)
	b = append(b, r.Command.Name(r.Edition)...)
	b = append(b, '"')
	return append(form.AppendEnvelope(b, r), '}')
}

// Healthy returns nil, or why nothing is being stored.
func (s *Sink) Healthy() error {
	if err := s.tally.Healthy(); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

// Stats returns counters for metrics.
func (s *Sink) Stats() sink.Stats { return s.tally.Stats() }

// Close waits until everything is written or ctx ends, syncs the files and lets go of the directory.
func (s *Sink) Close(ctx context.Context) error {
	err := s.tally.Close(ctx)
	s.frames.close()
	s.events.close()
	_ = s.lock.Close() // nothing was written to it
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

var (
	_ sink.EventSink = (*Sink)(nil)
	_ sink.Counted   = (*Sink)(nil)
)
