package mqttdevice

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/seal"
)

// The errors of Devices, to be tested with errors.Is.
var (
	ErrNotRegistered = errors.New("mqttdevice: the device is not registered")
	ErrRegistered    = errors.New("mqttdevice: the device is registered already")
	ErrInvalid       = errors.New("mqttdevice: not valid")
)

// Devices knows the registered MQTT devices and their secrets. All are in memory, the secrets sealed; the bucket behind may be
// shared by several nodes, whose changes it follows.
type Devices struct {
	kv   session.KV
	box  *seal.Box
	log  *slog.Logger
	stop context.CancelFunc

	writing chan struct{} // has room for one: the change of this node that is on its way to the store

	mu         sync.RWMutex
	registered map[deviceKey]registration
	last       map[deviceKey]presence
	deleted    map[deviceKey]bool // by this node, until Watch has reported it: what it reports before is older
	onChange   func(deviceKey)    // told, without the lock, of every change that Watch reports
}

// OpenDevices loads the devices of the bucket and follows its changes until Close. ctx limits the loading only. logger, which
// may be nil, is told of entries that cannot be read.
func OpenDevices(ctx context.Context, kv session.KV, box *seal.Box, logger *slog.Logger) (*Devices, error) {
	d := &Devices{
		kv: kv, box: box, log: cmp.Or(logger, slog.New(slog.DiscardHandler)), writing: make(chan struct{}, 1),
		registered: map[deviceKey]registration{}, last: map[deviceKey]presence{}, deleted: map[deviceKey]bool{}, onChange: func(deviceKey) {},
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	loaded := context.AfterFunc(ctx, stop)
	err := kv.Watch(life, d.follow)
	if !loaded() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("mqttdevice: load the devices: %w", err)
	}
	d.stop = stop
	return d, nil
}

// Close stops following the bucket.
func (d *Devices) Close() { d.stop() }

// Lookup returns a device, and false when the product does not have it.
func (d *Devices) Lookup(productKey, deviceName string) (Device, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.device(deviceKey{productKey, deviceName})
}

func (d *Devices) device(k deviceKey) (Device, bool) {
	r, ok := d.registered[k]
	if !ok {
		return Device{}, false
	}
	p := d.last[k]
	return Device{
		ProductKey: k.product, DeviceName: k.name, RegisteredAt: r.RegisteredAt, Disabled: r.Disabled, ActivatedAt: p.ActivatedAt,
		LastOnlineAt: p.LastOnlineAt, LastOfflineAt: p.LastOfflineAt, OfflineReason: p.OfflineReason, Node: p.Node,
		Session: p.Session, Remote: p.Remote,
	}, true
}

// List returns the devices of a product, of all for "", in the order of products and names.
func (d *Devices) List(productKey string) iter.Seq[Device] {
	d.mu.RLock()
	keys := make([]deviceKey, 0, len(d.registered))
	for k := range d.registered {
		if productKey == "" || k.product == productKey {
			keys = append(keys, k)
		}
	}
	d.mu.RUnlock()
	slices.SortFunc(keys, func(a, b deviceKey) int {
		return cmp.Or(cmp.Compare(a.product, b.product), cmp.Compare(a.name, b.name))
	})
	return func(yield func(Device) bool) {
		for _, k := range keys {
			if v, ok := d.Lookup(k.product, k.name); ok && !yield(v) {
				return
			}
		}
	}
}

// Register adds a device and returns its secret, which cannot be read again, when that is in the store. secret is that of a
// device that has one already; "" for a new one. The errors are ErrInvalid, ErrRegistered and those of the store.
func (d *Devices) Register(ctx context.Context, productKey, deviceName, secret string) (string, error) {
	k := deviceKey{productKey, deviceName}
	switch {
	case !validKey(productKey):
		return "", fmt.Errorf("%w: the product key %q is not 1 to 32 letters and digits", ErrInvalid, productKey)
	case !validName(deviceName):
		return "", fmt.Errorf("%w: the device name %q has not 4 to 32 of the characters A-Z a-z 0-9 - _ @ . : only", ErrInvalid, deviceName)
	case secret != "" && (len(secret) < 16 || len(secret) > 64):
		return "", fmt.Errorf("%w: the secret of %s has %d bytes, 16 to 64 are wanted", ErrInvalid, deviceName, len(secret))
	}
	done, err := d.write(ctx, k)
	if err != nil {
		return "", err
	}
	defer done()
	if _, there := d.Lookup(productKey, deviceName); there {
		return "", fmt.Errorf("%w: %s", ErrRegistered, k)
	}
	if secret == "" {
		random := make([]byte, 16)
		_, _ = rand.Read(random) // never fails: crypto/rand ends the process instead
		secret = hex.EncodeToString(random)
	}
	r := registration{RegisteredAt: session.At(time.Now()), Secret: d.box.Seal([]byte(secret), k.sealContext())}
	if err := d.put(ctx, k, r); err != nil {
		return "", err
	}
	return secret, nil
}

// Disable sets whether a device is kept from connecting, and returns when that is in the store. One that is connected is cut
// off on every node. The errors are ErrNotRegistered and those of the store.
func (d *Devices) Disable(ctx context.Context, productKey, deviceName string, disabled bool) error {
	k := deviceKey{productKey, deviceName}
	done, err := d.write(ctx, k)
	if err != nil {
		return err
	}
	defer done()
	d.mu.RLock()
	r, ok := d.registered[k]
	d.mu.RUnlock()
	if !ok {
		return fmt.Errorf("%w: %s", ErrNotRegistered, k)
	}
	r.Disabled = disabled
	return d.put(ctx, k, r)
}

// write waits until no other change of this node is on its way: two of one device at a time would leave memory with the one and the
// store with the other. done lets the next one go.
func (d *Devices) write(ctx context.Context, k deviceKey) (done func(), err error) {
	select {
	case d.writing <- struct{}{}:
		return func() { <-d.writing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("mqttdevice: %s: %w", k, context.Cause(ctx))
	}
}

func (d *Devices) put(ctx context.Context, k deviceKey, r registration) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("mqttdevice: %s: %w", k, err)
	}
	if err := d.kv.Put(ctx, k.bucketKey(), value); err != nil {
		return fmt.Errorf("mqttdevice: %s: %w", k, err)
	}
	d.mu.Lock()
	d.registered[k] = r
	delete(d.deleted, k)
	d.mu.Unlock()
	d.changed(k)
	return nil
}

// Delete removes a device and returns when that is in the store. One that is connected is cut off. The errors are
// ErrNotRegistered and those of the store.
func (d *Devices) Delete(ctx context.Context, productKey, deviceName string) error {
	k := deviceKey{productKey, deviceName}
	done, err := d.write(ctx, k)
	if err != nil {
		return err
	}
	defer done()
	if _, there := d.Lookup(productKey, deviceName); !there {
		return fmt.Errorf("%w: %s", ErrNotRegistered, k)
	}
	// Out of memory first: what is noted of its connection then must not be written behind the deletion.
	d.mu.Lock()
	r, p := d.registered[k], d.last[k]
	delete(d.registered, k)
	delete(d.last, k)
	d.deleted[k] = true
	d.mu.Unlock()
	for _, key := range []string{k.bucketKey() + lastSuffix, k.bucketKey()} {
		if err := d.kv.Delete(ctx, key); err != nil && d.restore(k, r, p) {
			return fmt.Errorf("mqttdevice: delete %s: %w", k, err)
		}
	}
	d.changed(k)
	return nil
}

// restore takes a device back into memory that is not deleted after all. It reports false when Watch has told of the deletion:
// then it is in the store, whatever became of the answer.
func (d *Devices) restore(k deviceKey, r registration, p presence) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.deleted[k] {
		return false
	}
	delete(d.deleted, k)
	d.registered[k], d.last[k] = r, p
	return true
}

// sealedRemedy is what the log line about a device whose secret nobody can read says to do.
const sealedRemedy = "put that key back (seal.key in the data directory, or TBOXGATE_SEAL_KEY) and restart, or delete the device and create it again"

// verify reports whether a CONNECT was signed with the device's secret, and the device. The error is seal.ErrOpen: nobody can
// tell.
func (d *Devices) verify(s *signature) (device Device, signed, known bool, err error) {
	k := deviceKey{s.productKey, s.deviceName}
	d.mu.RLock()
	r := d.registered[k]
	device, known = d.device(k)
	d.mu.RUnlock()
	if !known {
		s.by(make([]byte, 32)) // so that it takes as long
		return device, false, false, nil
	}
	secret, err := d.box.Open(r.Secret, k.sealContext())
	if err != nil {
		return device, false, true, err
	}
	defer clear(secret)
	return device, s.by(secret), true, nil
}

// note keeps that a device went online or offline. It never blocks; the store is written in the background.
func (d *Devices) note(e PresenceEvent) {
	k := deviceKey{e.ProductKey, e.DeviceName}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.registered[k]; !ok {
		return // deleted meanwhile
	}
	p := d.last[k]
	at := session.At(e.At)
	if e.Online {
		// Later than all before it, whatever the clocks of the nodes say.
		for _, before := range []session.Timestamp{p.LastOnlineAt, p.LastOfflineAt} {
			if !at.After(before.Time) {
				at = session.At(before.Add(time.Millisecond))
			}
		}
		p.LastOnlineAt, p.Node, p.Session, p.Remote = at, e.Node, e.Session, e.Remote
		if p.ActivatedAt.IsZero() {
			p.ActivatedAt = at
		}
	} else {
		if p.Session != e.Session {
			return // another node serves it by now
		}
		if at.Before(p.LastOnlineAt.Time) {
			at = p.LastOnlineAt
		}
		p.LastOfflineAt, p.OfflineReason = at, e.Reason
	}
	d.last[k] = p
	value, err := json.Marshal(p)
	if err != nil {
		return // times and texts always encode
	}
	d.kv.PutAsync(k.bucketKey()+lastSuffix, value, func(err error) {
		if err != nil {
			d.log.Warn("the presence of an MQTT device is not stored", "productKey", k.product, "deviceName", k.name, "session", e.Session, "error", err)
		}
	})
}

// left returns the devices that a node served last and that are online.
func (d *Devices) left(node string) (list []Device) {
	for v := range d.List("") {
		if v.Node == node && v.Online() {
			list = append(list, v)
		}
	}
	return list
}

// watch has fn told of every change.
func (d *Devices) watch(fn func(deviceKey)) {
	d.mu.Lock()
	d.onChange = fn
	d.mu.Unlock()
}

func (d *Devices) changed(k deviceKey) {
	d.mu.RLock()
	fn := d.onChange
	d.mu.RUnlock()
	fn(k)
}

// follow takes one change of the bucket, of this node or another.
func (d *Devices) follow(key string, value []byte) {
	name, isLast := strings.CutSuffix(key, lastSuffix)
	k, err := parseKey(name)
	if err != nil {
		d.log.Warn("MQTT device bucket: a key that is none of ours", "key", key, "error", err)
		return
	}
	switch {
	case isLast:
		err = d.followLast(k, value)
	case value == nil:
		d.mu.Lock()
		delete(d.registered, k)
		delete(d.deleted, k)
		d.mu.Unlock()
	default:
		var r registration
		if err = json.Unmarshal(value, &r); err == nil {
			d.mu.Lock()
			if !d.deleted[k] {
				d.registered[k] = r
			}
			d.mu.Unlock()
		}
	}
	if err != nil {
		d.log.Warn("MQTT device bucket: an entry that cannot be read", "key", key, "error", err)
		return
	}
	d.changed(k)
}

func (d *Devices) followLast(k deviceKey, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if value == nil {
		delete(d.last, k)
		return nil
	}
	var p presence
	if err := json.Unmarshal(value, &p); err != nil {
		return err
	}
	if d.deleted[k] {
		return nil
	}
	have := d.last[k]
	order := cmp.Or(p.LastOnlineAt.Compare(have.LastOnlineAt.Time), strings.Compare(p.Session, have.Session), p.LastOfflineAt.Compare(have.LastOfflineAt.Time))
	if order >= 0 { // else it is an echo of what this node has passed
		d.last[k] = p
	}
	return nil
}
