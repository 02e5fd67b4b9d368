package session

import "context"

// KV is the bucket that a [Registry] or [Platforms] lives in. Several nodes may share it.
type KV interface {
	// Put stores value under key. It is durable when Put returns nil. An error with a method Newer() []byte says
	// that another node's later write stands there instead: its value, nil when it is a deletion.
	Put(ctx context.Context, key string, value []byte) error
	// PutAsync is Put without waiting: it does not block, keeps value until done, and calls done
	// exactly once, on any goroutine.
	PutAsync(key string, value []byte, done func(error))
	// Delete removes key. It is durable when Delete returns nil. A missing key is no error.
	Delete(ctx context.Context, key string) error
	// Watch calls fn for every current entry, returns, and goes on calling fn for every change in
	// the background until ctx ends, one call at a time and for one key in the store's order. A
	// nil value means deleted. Changes that a later one of the same key has replaced may be left
	// out, and after a lost connection all entries may come again. The node's own changes are delivered too. value is valid during the call only.
	Watch(ctx context.Context, fn func(key string, value []byte)) error
}
