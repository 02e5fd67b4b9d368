package nats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// The keeper repairs what can be repaired without a hand: missing streams are made again, and an
// embedded server that gave up after a failed write is started again once the disk takes writes.
const (
	keepPeriod  = time.Second
	lookPeriod  = 10 * time.Second // looks at the server even without trouble
	restartWait = 2 * time.Second  // between restarts that do not help, doubled up to
	restartMost = 5 * time.Minute
	probeBytes  = 16 << 20 // free space that makes a restart worth it
)

// keep is the keeper's goroutine.
func (s *Store) keep() {
	tick := time.NewTicker(keepPeriod)
	defer tick.Stop()
	var looked, nextStart time.Time
	wait := restartWait
	for {
		select {
		case <-s.quit:
			return
		case <-s.repairs:
			if s.server == nil || s.server.broken() == nil { // else nobody would answer
				s.remake()
				continue
			}
		case <-tick.C:
		}
		if s.server == nil {
			continue
		}
		now := time.Now()
		if s.troubled() == nil && now.Sub(looked) < lookPeriod {
			continue
		}
		looked = now
		err := s.server.broken()
		if err == nil {
			s.setBroken(nil)
			wait = restartWait
			continue
		}
		if full := probe(s.opts.Dir); full != nil {
			s.setBroken(full) // says more, and no restart would help
			continue
		}
		s.setBroken(err)
		if now.Before(nextStart) {
			continue
		}
		s.restart(err)
		nextStart = time.Now().Add(wait)
		wait = min(2*wait, restartMost)
	}
}

// restart stops the embedded server and starts it again; the clients in this process reconnect.
func (s *Store) restart(why error) {
	s.opts.Logger.Warn("store: starting the embedded NATS server again", "error", why)
	s.server.stop()
	if err := s.server.start(); err != nil {
		s.setBroken(err)
		return
	}
	s.setBroken(nil)
	s.opts.Logger.Info("store: the embedded NATS server runs again")
}

// remake makes missing streams and buckets.
func (s *Store) remake() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() { // a stop must not wait for a dead server
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.ensure(ctx); err != nil {
		s.opts.Logger.Warn("store: the streams cannot be made again", "error", err)
		return
	}
	s.opts.Logger.Warn("store: streams or buckets were missing and have been made again, empty")
}

// askRepair asks the keeper to make missing streams. It does not block.
func (s *Store) askRepair() {
	select {
	case s.repairs <- struct{}{}:
	default:
	}
}

// troubled returns why any of the publishers is not storing, or nil.
func (s *Store) troubled() error {
	for _, p := range s.pubs {
		if err := p.healthy(); err != nil {
			return err
		}
	}
	return s.brokenReason()
}

func (s *Store) setBroken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && (s.broken == nil || s.broken.Error() != err.Error()) {
		s.opts.Logger.Error("store: the embedded NATS server cannot store", "error", err)
	}
	s.broken = err
}

func (s *Store) brokenReason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// probe writes and removes a file to see whether the disk takes writes.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err == nil {
		err = errors.Join(fill(f), f.Close(), os.Remove(f.Name()))
	}
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the file's name is new each time, and tells nothing
	}
	return fmt.Errorf("the data directory %s takes no writes: %w", dir, err)
}

// fill writes probeBytes to the disk.
func fill(f *os.File) error {
	block := make([]byte, 1<<20)
	for range probeBytes / len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return f.Sync()
}
