package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// registryShards is a power of two.
const registryShards = 64

// tombLife is how long a deletion is remembered. Echoes and late writes of other nodes come within
// seconds.
const tombLife = 15 * time.Minute

// The errors of a Registry.
var (
	// ErrNotRegistered: the product has no device with this VIN.
	ErrNotRegistered = errors.New("session: the vehicle is not registered")
	// ErrUnconfirmed: the store has not confirmed a change in time. It is in force on this node and
	// goes on being written in the background. Calling again waits again.
	ErrUnconfirmed = errors.New("session: the store has not confirmed the change yet")
	// ErrClosed: the Registry or Platforms is closed.
	ErrClosed = errors.New("session: closed")
)

// RegistryOptions says how a Registry works. The zero value will do, but for Node.
type RegistryOptions struct {
	// Node is this node's name. It must be the same after a restart, and different on every node
	// that shares the bucket.
	Node string
	// Window is the greatest number of writes under way at once, 256 if 0.
	Window int
	// RetryMin and RetryMax bound the pause before writing again when the store has failed; it
	// doubles from the first to the second. 100 ms and 5 s if 0.
	RetryMin, RetryMax time.Duration
	// OnBarred, if there is one, is told of each device that may no longer be online because it was
	// disabled or deleted, by this node or another. It must not block.
	OnBarred func(vin codec.VIN)
	// Logger is told of trouble with the store and its entries; nil for none.
	Logger *slog.Logger
}

// Registry knows the devices: which VINs are registered, in which product, and when each was online.
// All are in memory; the bucket behind it may be shared by several nodes, whose changes it follows.
//
// What is told about a device is in two parts, and in each the later one wins: the administrative
// part by the time of the change, the presence part by the time of the login. A node that finds an
// older part written over a newer one writes the newer one again, so nodes agree in the end without
// locks in the store.
//
// Every change is in force on this node at once and written by one background writer, one write of
// a VIN at a time, several changes of a VIN together.
type Registry struct {
	kv    KV
	opt   RegistryOptions
	log   *slog.Logger
	seed  maphash.Seed
	names *symbols
	node  symbol
	size  atomic.Int64

	shards [registryShards]registryShard

	writer  writer
	closed  atomic.Bool
	closing sync.Once
	closeBy error // of Close, set under closing
	stop    context.CancelFunc
	stopped chan struct{} // closed when no write will be confirmed any more
	running sync.WaitGroup
}

type registryShard struct {
	mu      sync.RWMutex
	devices map[codec.VIN]record
	writes  map[codec.VIN]*write
	tombs   map[tombKey]tomb
	swept   int64 // when old tombs were removed last, Unix ms
}

// tombKey names a bucket entry that this node has deleted.
type tombKey struct {
	product symbol
	vin     codec.VIN
}

// tomb remembers a deletion by this node, so that an entry that was written before, or by a node
// that had not heard of it, is not taken for a new one.
type tomb struct {
	registered int64 // of the deleted device: tells it from a later registration
	at         int64 // Unix ms
	echoes     int   // deletions sent to the store that Watch has not reported yet
}

// OpenRegistry loads all devices of the bucket, which takes as long as reading it does, and follows
// its changes until Close. ctx limits the loading only.
func OpenRegistry(ctx context.Context, kv KV, opt RegistryOptions) (*Registry, error) {
	opt.Window = cmp.Or(opt.Window, 256)
	opt.RetryMin = cmp.Or(opt.RetryMin, 100*time.Millisecond)
	opt.RetryMax = max(cmp.Or(opt.RetryMax, 5*time.Second), opt.RetryMin)
	r := &Registry{
		kv: kv, opt: opt, log: cmp.Or(opt.Logger, slog.New(slog.DiscardHandler)),
		seed: maphash.MakeSeed(), names: newSymbols(), stopped: make(chan struct{}),
	}
	r.node = r.names.intern(opt.Node)
	for i := range r.shards {
		r.shards[i].devices = make(map[codec.VIN]record)
		r.shards[i].writes = make(map[codec.VIN]*write)
		r.shards[i].tombs = make(map[tombKey]tomb)
	}
	r.writer = newWriter(opt)

	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	loaded := context.AfterFunc(ctx, stop)
	err := kv.Watch(life, r.follow)
	if !loaded() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("session: load the device registry: %w", err)
	}
	r.stop = stop
	r.running.Go(func() { r.writeLoop(life) })
	return r, nil
}

func (r *Registry) shard(vin codec.VIN) *registryShard {
	return &r.shards[maphash.Bytes(r.seed, vin[:])%registryShards]
}

// Lookup returns the device of a VIN, and false when it is not registered in any product.
func (r *Registry) Lookup(vin codec.VIN) (Device, bool) {
	rec, ok := r.find(vin)
	if !ok {
		return Device{}, false
	}
	return rec.device(vin, r.names), true
}

func (r *Registry) find(vin codec.VIN) (record, bool) {
	sh := r.shard(vin)
	sh.mu.RLock()
	rec, ok := sh.devices[vin]
	sh.mu.RUnlock()
	return rec, ok
}

// Len returns the number of devices in all products.
func (r *Registry) Len() int { return int(r.size.Load()) }

// List returns the devices of a product, of all products if productKey is "", in the order of their
// VINs. Devices that come or go during the loop may or may not be in it.
func (r *Registry) List(productKey string) iter.Seq[Device] {
	return func(yield func(Device) bool) {
		product, known := r.names.find(productKey)
		if !known {
			return
		}
		var vins []codec.VIN
		for i := range r.shards {
			sh := &r.shards[i]
			sh.mu.RLock()
			for vin, rec := range sh.devices {
				if product == 0 || rec.product == product {
					vins = append(vins, vin)
				}
			}
			sh.mu.RUnlock()
		}
		slices.SortFunc(vins, func(a, b codec.VIN) int { return bytes.Compare(a[:], b[:]) })
		for _, vin := range vins {
			rec, ok := r.find(vin)
			if ok && (product == 0 || rec.product == product) && !yield(rec.device(vin, r.names)) {
				return
			}
		}
	}
}

// Backlog returns the number of devices whose changes are not in the store yet.
func (r *Registry) Backlog() int { return int(r.writer.open.Load()) }

// Healthy returns nil while the store takes what is written, or else its last error.
func (r *Registry) Healthy() error { return r.writer.lastError() }

// Close writes what is not in the store yet, for as long as ctx lasts, and stops. The error says
// how many devices' changes were left unwritten. Later calls return the same.
func (r *Registry) Close(ctx context.Context) error {
	r.closing.Do(func() {
		r.closed.Store(true)
		err := r.writer.drain(ctx)
		left := r.Backlog()
		r.stop()
		close(r.stopped)
		r.running.Wait()
		if err != nil {
			r.closeBy = fmt.Errorf("session: close the device registry: the last changes of %d devices are not stored: %w", left, err)
			if last := r.Healthy(); last != nil {
				r.closeBy = fmt.Errorf("%w; the store says: %w", r.closeBy, last)
			}
		}
	})
	return r.closeBy
}
