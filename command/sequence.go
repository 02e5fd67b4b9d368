package command

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/session"
)

const (
	counterBits = 12
	// lease is how far ahead of the clock the stored mark runs: one store write a minute while commands are sent, and after
	// a crash message ids run at most a minute ahead of the clock.
	lease = time.Minute
	// storeTimeout bounds the one store write that Send may have to wait for.
	storeTimeout = 5 * time.Second
	// maxMessageID is the largest integer that every JSON reader keeps exactly.
	maxMessageID = 1<<53 - 1
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sequence hands out message ids: milliseconds since 2026-01-01 << 12 | counter. Ids increase and are never given twice, over
// restarts and when the clock steps back: a mark above all of them is in the store before they are used. The counter begins
// at a place that depends on the node, so that nodes that share a store keep apart.
type sequence struct {
	kv     KV
	key    string
	now    func() time.Time
	offset int64

	mu    sync.Mutex
	last  int64 // the last id given, or one below the first
	limit int64 // the stored mark: ids below it may be given
}

// openSequence reads the node's mark; ids of earlier runs are all below it.
func openSequence(ctx context.Context, kv KV, node string, now func() time.Time) (*sequence, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(node))
	s := &sequence{kv: kv, key: markPrefix + session.Token(node), now: now}
	if node != "" {
		s.offset = int64(h.Sum32() % (1 << counterBits))
	}
	value, err := kv.Get(ctx, s.key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s: %w", ErrStore, s.key, err)
	}
	mark, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || mark < 0 || mark > maxMessageID {
		return nil, fmt.Errorf("%w: %s holds %q, want a message id", ErrStore, s.key, value)
	}
	s.last, s.limit = mark-1, mark
	return s, nil
}

func (s *sequence) next(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := max(s.last+1, s.now().Sub(epoch).Milliseconds()<<counterBits|s.offset)
	if id >= s.limit {
		limit := id + lease.Milliseconds()<<counterBits
		if limit > maxMessageID {
			return 0, fmt.Errorf("%w: message ids are used up: is the clock right?", ErrStore)
		}
		if err := s.put(ctx, limit); err != nil {
			return 0, err
		}
		s.limit = limit
	}
	s.last = id
	return id, nil
}

// close lowers the mark to the ids really given, so that an orderly restart does not run ahead of the clock.
func (s *sequence) close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit == s.last+1 || s.limit == 0 {
		return nil
	}
	s.limit = s.last + 1
	return s.put(ctx, s.limit)
}

func (s *sequence) put(ctx context.Context, mark int64) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := s.kv.Put(ctx, s.key, strconv.AppendInt(nil, mark, 10)); err != nil {
		return fmt.Errorf("%w: writing %s: %w", ErrStore, s.key, err)
	}
	return nil
}
