// Package memkv is a key-value bucket in memory with the methods that the gateway asks of a store,
// for tests and for programs that embed the gateway without one.
//
// It behaves as the real bucket does where that matters: asynchronous writes are applied in order
// and confirmed later, watchers hear of every change in order, also of their own, and later than the
// writer. A test can let it fail, be slow, or lose its answers.
package memkv

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// ErrNotFound is what Get returns for a key without a value. errors.Is(ErrNotFound, fs.ErrNotExist)
// holds.
var ErrNotFound = fmt.Errorf("memkv: no such key: %w", fs.ErrNotExist)

// ErrExists is what Create returns for a key with a value. errors.Is(ErrExists, fs.ErrExist) holds.
var ErrExists = fmt.Errorf("memkv: the key has a value: %w", fs.ErrExist)

// KV is a bucket. Make one with New. All methods are safe for concurrent use.
type KV struct {
	mu       sync.Mutex
	entries  map[string][]byte
	watchers map[*watcher]struct{}
	queue    []asyncPut
	running  bool // a goroutine works the queue
	fail     error
	lose     error
	delay    time.Duration
	puts     int
	deletes  int
}

type asyncPut struct {
	key   string
	value []byte
	done  func(error)
	due   time.Time
}

type event struct {
	key   string
	value []byte // nil: deleted
}

type watcher struct {
	events []event // guarded by KV.mu
	wake   chan struct{}
}

// New returns an empty bucket.
func New() *KV {
	return &KV{entries: make(map[string][]byte), watchers: make(map[*watcher]struct{})}
}

// Fail makes every operation fail with err and change nothing, as a store does that is away; nil
// ends it. Watches go on.
func (kv *KV) Fail(err error) {
	kv.mu.Lock()
	kv.fail = err
	kv.mu.Unlock()
}

// LoseAnswers makes every write report err although it is done, as when the answer of a store is
// lost on the way; nil ends it.
func (kv *KV) LoseAnswers(err error) {
	kv.mu.Lock()
	kv.lose = err
	kv.mu.Unlock()
}

// Delay makes every operation that begins from now on take d. Asynchronous writes take it side by
// side.
func (kv *KV) Delay(d time.Duration) {
	kv.mu.Lock()
	kv.delay = d
	kv.mu.Unlock()
}

// Puts returns the number of writes that were done.
func (kv *KV) Puts() int {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.puts
}

// Deletes returns the number of deletions that were done.
func (kv *KV) Deletes() int {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.deletes
}

// Keys returns the keys that have a value, sorted.
func (kv *KV) Keys() []string {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	keys := make([]string, 0, len(kv.entries))
	for key := range kv.entries {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Get returns a copy of the value of key, or ErrNotFound.
func (kv *KV) Get(ctx context.Context, key string) ([]byte, error) {
	if err := kv.wait(ctx); err != nil {
		return nil, err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if kv.fail != nil {
		return nil, kv.fail
	}
	value, ok := kv.entries[key]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, key)
	}
	return slices.Clone(value), nil
}

// Put stores a copy of value under key.
func (kv *KV) Put(ctx context.Context, key string, value []byte) error {
	if err := kv.wait(ctx); err != nil {
		return err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.put(key, value)
}

// Create stores a copy of value under a key that has none; else the error is ErrExists.
func (kv *KV) Create(ctx context.Context, key string, value []byte) error {
	if err := kv.wait(ctx); err != nil {
		return err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if _, ok := kv.entries[key]; ok && kv.fail == nil {
		return fmt.Errorf("%w: %q", ErrExists, key)
	}
	return kv.put(key, value)
}

// PutAsync stores value under key after the writes before it and then calls done.
func (kv *KV) PutAsync(key string, value []byte, done func(error)) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.queue = append(kv.queue, asyncPut{key, value, done, time.Now().Add(kv.delay)})
	if !kv.running {
		kv.running = true
		go kv.work()
	}
}

// work does the queued writes and ends when there are none.
func (kv *KV) work() {
	for {
		kv.mu.Lock()
		batch := kv.queue
		kv.queue = nil
		kv.running = len(batch) > 0
		kv.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, w := range batch {
			time.Sleep(time.Until(w.due))
			kv.mu.Lock()
			err := kv.put(w.key, w.value)
			kv.mu.Unlock()
			w.done(err)
		}
	}
}

// Delete removes key. Watchers hear of it even when it had no value, as of the marker that a
// JetStream bucket keeps.
func (kv *KV) Delete(ctx context.Context, key string) error {
	if err := kv.wait(ctx); err != nil {
		return err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if kv.fail != nil {
		return kv.fail
	}
	delete(kv.entries, key)
	kv.deletes++
	kv.tell(event{key: key})
	return kv.lose
}

// Watch calls fn for every entry in the order of the keys, returns, and then calls it for every
// change until ctx ends.
func (kv *KV) Watch(ctx context.Context, fn func(key string, value []byte)) error {
	if err := kv.wait(ctx); err != nil {
		return err
	}
	w := &watcher{wake: make(chan struct{}, 1)}
	kv.mu.Lock()
	if kv.fail != nil {
		defer kv.mu.Unlock()
		return kv.fail
	}
	current := make([]event, 0, len(kv.entries))
	for key, value := range kv.entries {
		current = append(current, event{key, value})
	}
	kv.watchers[w] = struct{}{}
	kv.mu.Unlock()

	slices.SortFunc(current, func(a, b event) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	for _, e := range current {
		fn(e.key, e.value)
	}
	go kv.follow(ctx, w, fn)
	return nil
}

func (kv *KV) follow(ctx context.Context, w *watcher, fn func(key string, value []byte)) {
	defer func() {
		kv.mu.Lock()
		delete(kv.watchers, w)
		kv.mu.Unlock()
	}()
	for {
		kv.mu.Lock()
		events := w.events
		w.events = nil
		kv.mu.Unlock()
		for _, e := range events {
			if ctx.Err() != nil {
				return
			}
			fn(e.key, e.value)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

// put does one write. kv.mu is held.
func (kv *KV) put(key string, value []byte) error {
	if kv.fail != nil {
		return kv.fail
	}
	value = append([]byte{}, value...) // never nil, which would mean deleted
	kv.entries[key] = value
	kv.puts++
	kv.tell(event{key, value})
	return kv.lose
}

// tell hands e to every watcher. kv.mu is held.
func (kv *KV) tell(e event) {
	for w := range kv.watchers {
		w.events = append(w.events, e)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// wait takes the set delay, or as long as ctx lasts.
func (kv *KV) wait(ctx context.Context) error {
	kv.mu.Lock()
	delay := kv.delay
	kv.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
