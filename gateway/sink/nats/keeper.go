package nats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The keeper repairs what can be repaired without a hand: missing streams are made again, and an
// embedded server that gave up after a failed write is started again once the disk takes writes.
//
//	a stream failed, the disk is full      wait for room; what is stored can be read
//	a stream failed, no descriptor is left wait for one: that says nothing about the disk
//	a stream failed, the disk failed       stop the server and close every file in the data directory: it can be
//	                                       unmounted, checked and mounted again
//	a stream failed, the disk is well      start the server again, on whatever the disk holds
const (
	keepPeriod  = time.Second
	lookPeriod  = 10 * time.Second // looks at the server and the disk even without trouble
	restartWait = 2 * time.Second  // between restarts that do not help, doubled up to
	restartMost = 5 * time.Minute
	touchBytes  = 4 << 10  // written to see that the disk lives
	probeBytes  = 16 << 20 // free space that makes a restart worth it
)

// keeper is what the keeper's goroutine remembers.
type keeper struct {
	*Store
	looked    time.Time     // at the server
	nextStart time.Time     // not before
	wait      time.Duration // after the next restart
	away      bool          // the files in the data directory are closed
}

// keep is the keeper's goroutine.
func (s *Store) keep() {
	tick := time.NewTicker(keepPeriod)
	defer tick.Stop()
	k := keeper{Store: s, wait: restartWait}
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
		if s.server != nil {
			k.look(time.Now())
		}
	}
}

// look looks whether the embedded server stores, and does what can be done when it does not. A server without a vehicle would
// not find out by itself that its disk is gone.
func (k *keeper) look(now time.Time) {
	if k.troubled() == nil && now.Sub(k.looked) < lookPeriod {
		return
	}
	k.looked = now
	err := k.server.broken()
	need := probeBytes
	if err == nil {
		need = touchBytes
	}
	if disk := probe(k.opts.Dir, need); disk != nil && (err != nil || !scarce(disk)) {
		k.setBroken(disk) // says more, and no restart would help
		if !noRoom(disk) && !scarce(disk) {
			k.letGo()
		}
		return
	}
	if err == nil {
		k.setBroken(nil)
		k.wait = restartWait
		return
	}
	if !k.away {
		k.setBroken(err)
	}
	if now.Before(k.nextStart) {
		return
	}
	if err := k.restart(err); err != nil && !errors.Is(err, ErrClosed) {
		k.setBroken(err)
	}
	k.nextStart = time.Now().Add(k.wait)
	k.wait = min(2*k.wait, restartMost)
}

// letGo closes every file in the data directory.
func (k *keeper) letGo() {
	if !k.away {
		k.away = true
		k.opts.Logger.Error("store: the disk has failed; the embedded NATS server stops until the data directory takes writes again, and its file system can be unmounted",
			"dir", k.opts.Dir)
	}
	k.server.stop()
	if k.opts.Holder != nil {
		k.opts.Holder.LetGo()
	}
}

// restart stops the embedded server, if it runs, and starts it again; the clients in this process reconnect.
func (k *keeper) restart(why error) error {
	if k.away {
		k.opts.Logger.Warn("store: the data directory takes writes again, starting the embedded NATS server", "dir", k.opts.Dir)
	} else {
		k.opts.Logger.Warn("store: starting the embedded NATS server again", "error", why)
	}
	k.server.stop()
	if k.opts.Holder != nil {
		if err := k.opts.Holder.TakeBack(); err != nil {
			return err
		}
	}
	if err := k.server.start(); err != nil {
		return err
	}
	k.away = false
	k.mu.Lock()
	k.starts++
	k.mu.Unlock()
	k.setBroken(nil)
	k.opts.Logger.Info("store: the embedded NATS server runs again")
	return nil
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
	err := s.ensure(ctx)
	if err == nil {
		err = s.syncDefinitions()
	}
	if err != nil {
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

// probe writes and removes a file of some bytes to see whether the disk takes writes. Where the store's own directory is missing
// lies another disk, such as the one on which ours is not mounted.
func probe(dir string, size int) error {
	_, err := os.Stat(filepath.Join(dir, server.JetStreamStoreDir))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data directory %s does not hold the store (is its disk mounted?): %w", dir, fs.ErrNotExist)
	}
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(dir, ".probe-*")
	}
	if err == nil {
		err = errors.Join(fill(f, size), f.Close(), os.Remove(f.Name()))
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

// fill writes so many bytes to the disk.
func fill(f *os.File, size int) error {
	for block := make([]byte, min(size, 1<<20)); size > 0; size -= len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return f.Sync()
}
