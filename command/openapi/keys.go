package openapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
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

// Errors of KeyStore, to be tested with errors.Is.
var (
	ErrKeyFormat   = errors.New("an access key id has 1 to 64 of A-Z a-z 0-9 - _, a secret 8 to 128 printable characters without spaces")
	ErrKeyExists   = errors.New("the access key exists already")
	ErrKeyNotFound = errors.New("no such access key")
	ErrKeyStatic   = errors.New("the access key is given by a flag, the environment or the configuration, not stored")
)

// KeyError says which access key an error is about.
type KeyError struct {
	ID  string
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("access key %q: %v", e.ID, e.Err) }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// Key is an access key as the verifier needs it. It prints without its secret.
type Key struct {
	ID       string
	Secret   string
	Disabled bool
}

// String hides the secret.
func (k Key) String() string { return "Key(" + k.ID + ")" }

// GoString hides the secret.
func (k Key) GoString() string { return k.String() }

// LogValue hides the secret.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// KeyInfo describes an access key without its secret.
type KeyInfo struct {
	ID        string            `json:"id"`
	CreatedAt session.Timestamp `json:"createdAt,omitzero"` // zero for a static key
	Static    bool              `json:"static,omitempty"`   // from a flag, the environment or the configuration: cannot be deleted
	// Unreadable: the secret was sealed with another seal key. The access key does not work; delete it and create it again.
	Unreadable bool `json:"unreadable,omitempty"`
}

// storedKey is the JSON of a bucket entry. The secret must be readable again: an HMAC cannot be verified by a hash.
type storedKey struct {
	ID        string            `json:"id"`
	Secret    []byte            `json:"secret"` // sealed
	CreatedAt session.Timestamp `json:"createdAt"`
}

type keyEntry struct {
	key  Key
	info KeyInfo
}

// KeyStore holds the access keys: those in the bucket, kept in memory and up to date by watching it, and static ones.
type KeyStore struct {
	kv     KV
	box    Sealer
	logger *slog.Logger
	stop   context.CancelFunc

	mu      sync.RWMutex
	stored  map[string]keyEntry
	static  map[string]keyEntry
	deleted map[string]bool // by this node, until the watch has told so
}

// OpenKeys loads the access keys, for which ctx is the limit, and follows the bucket until Close. static holds keys as "ID:SECRET"; a static key takes
// precedence over a stored one of the same id.
func OpenKeys(ctx context.Context, kv KV, box Sealer, static []string, logger *slog.Logger) (*KeyStore, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &KeyStore{kv: kv, box: box, logger: logger, stored: map[string]keyEntry{}, static: map[string]keyEntry{}, deleted: map[string]bool{}}
	for i, pair := range static {
		id, secret, _ := strings.Cut(pair, ":")
		if !validKeyID(id) || !validSecret(secret) {
			return nil, fmt.Errorf("openapi: static access key %d, want ID:SECRET: %w", i+1, ErrKeyFormat) // not quoted: it may hold the secret
		}
		if _, twice := s.static[id]; twice {
			return nil, &KeyError{id, ErrKeyExists}
		}
		s.static[id] = keyEntry{Key{ID: id, Secret: secret}, KeyInfo{ID: id, Static: true}}
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
		s.logger.Error("access key entry cannot be read", "key", name)
		return
	}
	entry := keyEntry{Key{ID: stored.ID}, KeyInfo{ID: stored.ID, CreatedAt: stored.CreatedAt}}
	if secret, err := s.box.Open(stored.Secret, sealContext(stored.ID)); err != nil {
		s.logger.Error("access key does not work: its secret was sealed with another seal key", "key", name)
		entry.info.Unreadable = true
	} else {
		entry.key.Secret = string(secret)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.deleted[name] {
		s.stored[name] = entry
	}
}

func sealContext(id string) string { return "accessKey/" + id }

// Lookup returns the key with the given id, if it works.
func (s *KeyStore) Lookup(id string) (Key, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	entry, ok := s.static[id]
	if !ok {
		entry, ok = s.stored[id]
	}
	return entry.key, ok && !entry.info.Unreadable
}

// Create makes an access key and returns it with its secret, which nobody will be shown again. With id "" both are
// generated; with an id and secret "" the secret is. It works on this node when Create returns. The error is a *KeyError.
func (s *KeyStore) Create(ctx context.Context, id, secret string) (Key, error) {
	if id == "" {
		id = "tbg" + randomText(20)
	}
	if secret == "" {
		secret = randomText(40)
	}
	if !validKeyID(id) || !validSecret(secret) {
		return Key{}, &KeyError{id, ErrKeyFormat}
	}
	s.mu.RLock()
	_, isStatic := s.static[id]
	_, isStored := s.stored[id]
	s.mu.RUnlock()
	if isStatic || isStored {
		return Key{}, &KeyError{id, ErrKeyExists}
	}
	stored := storedKey{ID: id, Secret: s.box.Seal([]byte(secret), sealContext(id)), CreatedAt: session.At(time.Now())}
	value, err := json.Marshal(stored)
	if err != nil {
		return Key{}, &KeyError{id, err}
	}
	if err := s.kv.Put(ctx, id, value); err != nil {
		return Key{}, &KeyError{id, err}
	}
	key := Key{ID: id, Secret: secret}
	s.mu.Lock()
	delete(s.deleted, id)
	s.stored[id] = keyEntry{key, KeyInfo{ID: id, CreatedAt: stored.CreatedAt}}
	s.mu.Unlock()
	return key, nil
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

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func validKeyID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	return strings.Trim(id, alphanumeric+"-_") == ""
}

func validSecret(secret string) bool {
	if len(secret) < 8 || len(secret) > 128 {
		return false
	}
	for i := 0; i < len(secret); i++ {
		if secret[i] <= ' ' || secret[i] > '~' {
			return false
		}
	}
	return true
}

// randomText returns n random letters and digits.
func randomText(n int) string {
	text := make([]byte, n)
	for i := range text {
		k, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphanumeric)))) // never fails: crypto/rand ends the process instead
		text[i] = alphanumeric[k.Int64()]
	}
	return string(text)
}
