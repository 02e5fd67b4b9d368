package nats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The headers of a deleted key, as every NATS client writes them.
const (
	kvOperation = "KV-Operation"
	kvDelete    = "DEL"
)

// kvSubjects begins the subjects of keys: then the bucket, a dot, the key.
const kvSubjects = "$KV."

// rewatchPause lies between tries to watch a bucket again.
const rewatchPause = 200 * time.Millisecond

// KV is one bucket of state. Writes are pipelined and retried until they are stored; all writes of
// this process to one key take effect in the order of the calls, and of values that follow each other quickly
// the older ones may be left out. On an external server a write that an outage has held up does not replace what
// another gateway has written later: it ends with a *SupersededError (order.go). Get a KV from Store.KV.
//
// Keys are tokens joined by dots: letters, digits and - _ = / (session.Token makes them of anything).
type KV struct {
	name   string
	prefix string // of the key's subject
	kv     jetstream.KeyValue
	writes *publisher
	order  *order        // on an external server
	back   *bell         // rings when the connection stands again
	quit   chan struct{} // the store closes
	repair func()        // asks for missing buckets to be made again
	log    *slog.Logger
}

// ErrKey is the kind of error for a key that no bucket takes.
var ErrKey = errors.New("bad key")

// Get returns the value of key. errors.Is(err, fs.ErrNotExist) when there is none.
func (k *KV) Get(ctx context.Context, key string) ([]byte, error) {
	e, err := k.kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, fmt.Errorf("nats: %s has no key %s: %w", k.name, key, fs.ErrNotExist)
	case errors.Is(err, jetstream.ErrInvalidKey):
		return nil, fmt.Errorf("nats: %s: %w %q", k.name, ErrKey, key)
	case err != nil:
		return nil, fmt.Errorf("nats: %s: get %s: %w", k.name, key, err)
	}
	return e.Value(), nil
}

// Put stores value under key; it is durable when Put returns nil. When ctx ends first, the write is
// still under way and may take effect later.
func (k *KV) Put(ctx context.Context, key string, value []byte) error {
	return k.await(ctx, "put", key, func(done func(error)) { k.write(key, value, "", done) })
}

// Create stores value under a key that has none; it is durable then. errors.Is(err, fs.ErrExist) when there is one, whoever wrote it:
// also an earlier Create whose confirmation was lost. When ctx ends first, it may take effect later, and replaces nothing then either.
func (k *KV) Create(ctx context.Context, key string, value []byte) error {
	_, err := k.kv.Create(ctx, key, value)
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return fmt.Errorf("nats: %s has a key %s: %w", k.name, key, fs.ErrExist)
	case errors.Is(err, jetstream.ErrInvalidKey):
		return fmt.Errorf("nats: %s: %w %q", k.name, ErrKey, key)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		k.repair()
	}
	if err != nil {
		return fmt.Errorf("nats: %s: create %s: %w", k.name, key, err)
	}
	return nil
}

// Delete removes key; that is durable when Delete returns nil. A missing key is no error. When ctx
// ends first, it is as with Put.
func (k *KV) Delete(ctx context.Context, key string) error {
	return k.await(ctx, "delete", key, func(done func(error)) { k.write(key, nil, kvDelete, done) })
}

// await makes a write and waits for its outcome.
func (k *KV) await(ctx context.Context, what, key string, write func(done func(error))) error {
	result := make(chan error, 1)
	write(func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		err := context.Cause(ctx)
		if why := k.writes.healthy(); why != nil {
			err = fmt.Errorf("%w (%w)", err, why)
		}
		return fmt.Errorf("nats: %s: %s %s: not confirmed: %w", k.name, what, key, err)
	}
}

// PutAsync is Put without waiting: it copies value, does not block, and calls done exactly once, on
// another goroutine: with nil when value is durable, with an error when it can never be stored
// (ErrKey, ErrTooLarge, *SupersededError) or was not before the store closed (ErrClosed). A done that blocks
// holds up all other writes.
func (k *KV) PutAsync(key string, value []byte, done func(error)) {
	k.write(key, value, "", done)
}

// write queues a put, or with an operation header another write.
func (k *KV) write(key string, value []byte, operation string, done func(error)) {
	if !validKey(key) {
		go done(fmt.Errorf("nats: %s: %w %q", k.name, ErrKey, key))
		return
	}
	ended := func(err error) {
		if err != nil {
			err = fmt.Errorf("nats: %s: write %s: %w", k.name, key, err)
		}
		done(err)
	}
	if k.order != nil {
		w := &keyWrite{key: key, subject: k.prefix + key, value: bytes.Clone(value), operation: operation, done: []func(error){ended}}
		if !k.order.put(w) {
			go ended(ErrClosed)
		}
		return
	}
	m := k.writes.take()
	m.buf = append(append(append(m.buf[:0], k.prefix...), key...), value...)
	m.split = len(k.prefix) + len(key)
	if operation != "" {
		m.setHeader(kvOperation, operation)
	}
	m.done = ended
	if !k.writes.publish(m) {
		go ended(ErrClosed)
	}
}

// validKey is NATS' own rule for keys.
func validKey(key string) bool {
	dot := true // an empty token is not allowed
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c == '.' && dot:
			return false
		case c == '.':
			dot = true
			continue
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '=', c == '/':
			dot = false
		default:
			return false
		}
	}
	return !dot
}

// Watch calls fn for every current entry, returns, and goes on calling it for every change until ctx
// ends or the store closes: one call at a time, for one key in the order of its writes, with a nil
// value for a deleted key. Intermediate values that a later one has replaced may be left out, and
// after a lost connection all entries come again. value belongs to fn.
func (k *KV) Watch(ctx context.Context, fn func(key string, value []byte)) error {
	back := k.back.wait() // before the watch begins: no break is missed
	w, err := k.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("nats: %s: watch: %w", k.name, err)
	}
	for {
		select {
		case e, open := <-w.Updates():
			switch {
			case !open:
				return fmt.Errorf("nats: %s: watch: %w", k.name, ErrDisconnected)
			case e == nil: // that was all there is
				go k.follow(ctx, back, w, fn)
				return nil
			}
			deliver(e, fn)
		case <-ctx.Done():
			endWatch(w)
			return fmt.Errorf("nats: %s: watch: %w", k.name, context.Cause(ctx))
		}
	}
}

// follow passes changes on until ctx ends or the store closes. After a broken connection it begins
// again at once; the client would notice only after missing some heartbeats of the server.
func (k *KV) follow(ctx context.Context, back <-chan struct{}, w jetstream.KeyWatcher, fn func(string, []byte)) {
	for w != nil {
		select {
		case <-ctx.Done():
			endWatch(w)
			return
		case <-k.quit:
			endWatch(w)
			return
		case <-back:
			endWatch(w)
			back, w = k.rewatch(ctx)
		case e, open := <-w.Updates():
			if !open {
				back, w = k.rewatch(ctx)
			} else if e != nil {
				deliver(e, fn)
			}
		}
	}
}

// rewatch begins a watch again; nil when ctx has ended or the store closes.
func (k *KV) rewatch(ctx context.Context) (<-chan struct{}, jetstream.KeyWatcher) {
	for said := false; ; said = true {
		back := k.back.wait()
		w, err := k.kv.WatchAll(ctx)
		if err == nil {
			return back, w
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-k.quit:
			return nil, nil
		case <-time.After(rewatchPause):
		}
		if !said {
			k.log.Warn("store: a bucket cannot be watched, trying again", "bucket", k.name, "error", err)
		}
	}
}

// endWatch stops a watch and empties its channel: the client's goroutine may be waiting to send.
func endWatch(w jetstream.KeyWatcher) {
	_ = w.Stop() // fails when the subscription has ended already
	for range w.Updates() {
	}
}

// bell rings for everyone who waits.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that the next ring closes.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// deliver passes one entry on.
func deliver(e jetstream.KeyValueEntry, fn func(string, []byte)) {
	if e.Operation() != jetstream.KeyValuePut {
		fn(e.Key(), nil)
		return
	}
	value := e.Value()
	if value == nil {
		value = []byte{} // nil means deleted
	}
	fn(e.Key(), value)
}
