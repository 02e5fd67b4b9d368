package openapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/session"
)

// KV is the bucket of access keys (GBT32960_KEYS): access key id -> sealed secret. Several nodes may share it.
type KV interface {
	// Put is durable when it returns.
	Put(ctx context.Context, key string, value []byte) error
	// Delete is durable when it returns; a missing key is no error.
	Delete(ctx context.Context, key string) error
	// Watch calls fn for all current entries, returns, and goes on in the background until ctx ends. A nil value means deleted.
	Watch(ctx context.Context, fn func(key string, value []byte)) error
}

// Sealer encrypts secrets for the bucket; seal.Box is one. context binds a sealed secret to its place.
type Sealer interface {
	Seal(plain []byte, context string) []byte
	Open(sealed []byte, context string) ([]byte, error)
}

// KeyStore holds the access keys: those in the bucket, kept in memory and up to date by watching it, and static ones.
type KeyStore struct {
	kv     KV
	box    Sealer
	logger *slog.Logger
	stop   context.CancelFunc

	changing sync.Mutex // one change at a time, so that what is put is based on what is there

	mu      sync.RWMutex
	stored  map[string]keyEntry
	static  map[string]keyEntry
	deleted map[string]bool // by this node, until the watch has told so
}

// OpenKeys loads the access keys, for which ctx is the limit, and follows the bucket until Close. A static key takes
// precedence over a stored one of the same id.
func OpenKeys(ctx context.Context, kv KV, box Sealer, static []Key, logger *slog.Logger) (*KeyStore, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &KeyStore{kv: kv, box: box, logger: logger, stored: map[string]keyEntry{}, static: map[string]keyEntry{}, deleted: map[string]bool{}}
	for i, k := range static {
		if !validKeyID(k.ID) || !validSecret(k.Secret) {
			return nil, fmt.Errorf("openapi: static access key %d: %w", i+1, ErrKeyFormat) // not quoted: the id may hold the secret
		}
		if _, twice := s.static[k.ID]; twice {
			return nil, &KeyError{k.ID, ErrKeyExists}
		}
		s.static[k.ID] = newStaticEntry(k)
	}
	// The watch outlives ctx, which limits the loading only.
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	loaded := context.AfterFunc(ctx, stop)
	err := kv.Watch(watch, s.follow)
	if !loaded() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("openapi: loading the access keys: %w", err)
	}
	return s, nil
}

// Close ends following the bucket.
func (s *KeyStore) Close() { s.stop() }

// follow takes a change of the bucket.
func (s *KeyStore) follow(name string, value []byte) {
	if value == nil {
		s.mu.Lock()
		delete(s.stored, name)
		delete(s.deleted, name)
		s.mu.Unlock()
		return
	}
	var stored storedKey
	if err := json.Unmarshal(value, &stored); err != nil || stored.ID != name {
		s.logger.Error("access key entry cannot be read", "accessKeyId", name)
		return
	}
	entry, err := newStoredEntry(stored, s.box)
	if err != nil {
		s.logger.Error(sealedText, "accessKeyId", name, "remedy", sealedRemedy)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.stored[name]
	stale := known && old.stored.CreatedAt.Equal(stored.CreatedAt.Time) && old.stored.Revision > stored.Revision
	if !s.deleted[name] && !stale {
		s.stored[name] = entry
	}
}

// The log line about a key that cannot be used, when it is read and when somebody signs with it.
const (
	sealedText   = "an access key does not work: its secret was sealed with another seal key"
	sealedRemedy = "put that key back (seal.key in the data directory, or TBOXGATE_SEAL_KEY) and restart, or delete the access key and create it again"
)

// Lookup returns the key with the given id, if its secret can be read; if not, a key with its ID and false.
func (s *KeyStore) Lookup(id string) (Key, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	entry, ok := s.static[id]
	if !ok {
		entry, ok = s.stored[id]
	}
	if ok && entry.info.Unreadable {
		return Key{ID: id}, false
	}
	return entry.key, ok
}

// NewKey says what Create is to make. What is empty is made up or not limited.
type NewKey struct {
	ID, Secret string
	Grant      Grant
	ExpiresAt  time.Time // zero: never
	Temporary  bool      // with a security token, as STS gives them; needs ExpiresAt
}

// Create makes an access key and returns it with its secrets, which nobody will be shown again. It works on this node when
// Create returns. The error is a *KeyError.
func (s *KeyStore) Create(ctx context.Context, n NewKey) (Key, error) {
	k := Key{ID: n.ID, Secret: n.Secret, Grant: n.Grant, ExpiresAt: n.ExpiresAt}
	if k.ID == "" {
		k.ID = "tbg" + randomText(20)
		if n.Temporary {
			k.ID = "STS." + randomText(20)
		}
	}
	if k.Secret == "" {
		k.Secret = randomText(40)
	}
	if n.Temporary {
		k.SecurityToken = randomText(64)
	}
	switch {
	case !validKeyID(k.ID) || !validSecret(k.Secret):
		return Key{}, &KeyError{k.ID, ErrKeyFormat}
	case n.Temporary && n.ExpiresAt.IsZero():
		return Key{}, &KeyError{k.ID, fmt.Errorf("%w: a key with a security token expires", ErrKeyGrant)}
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(time.Now()):
		return Key{}, &KeyError{k.ID, fmt.Errorf("%w: it would have expired already", ErrKeyGrant)}
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.RLock()
	_, isStatic := s.static[k.ID]
	_, isStored := s.stored[k.ID]
	s.mu.RUnlock()
	if isStatic || isStored {
		return Key{}, &KeyError{k.ID, ErrKeyExists}
	}
	stored := storedKey{
		ID: k.ID, Secret: s.box.Seal([]byte(k.Secret), sealContext(k.ID)), CreatedAt: session.At(time.Now()),
		Products: k.Grant.Products, Allow: k.Grant.Allow,
	}
	if !k.ExpiresAt.IsZero() {
		stored.ExpiresAt = session.At(k.ExpiresAt)
	}
	if n.Temporary {
		stored.SecurityToken = s.box.Seal([]byte(k.SecurityToken), tokenContext(k.ID))
	}
	if err := s.put(ctx, stored); err != nil {
		return Key{}, err
	}
	return k, nil
}

// SetDisabled switches an access key off or on again: on this node before it returns, on others as soon as they hear of it.
// The error is a *KeyError; when the bucket does not answer, a key that was to be disabled stays so on this node.
func (s *KeyStore) SetDisabled(ctx context.Context, id string, disabled bool) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	_, isStatic := s.static[id]
	entry, isStored := s.stored[id]
	stored := entry.stored
	stored.Disabled = disabled
	stored.Revision++
	if isStored && disabled && !isStatic {
		entry.key.Disabled, entry.info.Disabled, entry.stored = true, true, stored
		s.stored[id] = entry
	}
	s.mu.Unlock()
	switch {
	case isStatic:
		return &KeyError{id, ErrKeyStatic}
	case !isStored:
		return &KeyError{id, ErrKeyNotFound}
	}
	return s.put(ctx, stored)
}

// put writes an entry to the bucket and takes it over.
func (s *KeyStore) put(ctx context.Context, stored storedKey) error {
	value, err := json.Marshal(stored)
	if err == nil {
		err = s.kv.Put(ctx, stored.ID, value)
	}
	if err != nil {
		return &KeyError{stored.ID, err}
	}
	entry, _ := newStoredEntry(stored, s.box) // an unreadable one says so itself
	s.mu.Lock()
	if stored.Revision == 0 { // a new key, also one that was deleted before
		delete(s.deleted, stored.ID)
	}
	if !s.deleted[stored.ID] {
		s.stored[stored.ID] = entry
	}
	s.mu.Unlock()
	return nil
}

// Delete revokes an access key: on this node before it returns, on others as soon as they hear of it. The error is a
// *KeyError; when the bucket does not answer, the key stays revoked on this node until it restarts, and Delete can be repeated.
func (s *KeyStore) Delete(ctx context.Context, id string) error {
	s.mu.Lock()
	_, isStatic := s.static[id]
	_, isStored := s.stored[id]
	isStored = isStored || s.deleted[id] // a deletion that failed may be repeated
	if !isStatic && isStored {
		delete(s.stored, id)
		s.deleted[id] = true
	}
	s.mu.Unlock()
	switch {
	case isStatic:
		return &KeyError{id, ErrKeyStatic}
	case !isStored:
		return &KeyError{id, ErrKeyNotFound}
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.kv.Delete(ctx, id); err != nil {
		return &KeyError{id, err}
	}
	return nil
}

// List returns all access keys, by id, without their secrets.
func (s *KeyStore) List() []KeyInfo {
	s.mu.RLock()
	list := make([]KeyInfo, 0, len(s.stored)+len(s.static))
	for _, entry := range s.static {
		list = append(list, entry.info)
	}
	for id, entry := range s.stored {
		if _, hidden := s.static[id]; !hidden {
			list = append(list, entry.info)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b KeyInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
