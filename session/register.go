package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// RegisterStatus is what became of one VIN of a Register call.
type RegisterStatus string

// What can become of a VIN.
const (
	Registered        RegisterStatus = "registered"        // it is new
	AlreadyRegistered RegisterStatus = "alreadyRegistered" // the product had it, or it stood earlier in the list
	InvalidVIN        RegisterStatus = "invalid"           // it cannot be a VIN; Detail says why
	OtherProduct      RegisterStatus = "otherProduct"      // it belongs to the product named in Detail
)

// RegisterItem is the result for one VIN.
type RegisterItem struct {
	VIN    string         `json:"vin"` // as given
	Status RegisterStatus `json:"status"`
	Detail string         `json:"detail,omitempty"`
}

// RegisterResult holds one item for each VIN given, in that order.
type RegisterResult struct {
	Items []RegisterItem `json:"items"`
}

// Count returns the number of VINs with the given status.
func (r RegisterResult) Count(status RegisterStatus) int {
	n := 0
	for _, item := range r.Items {
		if item.Status == status {
			n++
		}
	}
	return n
}

// Register adds vehicles to a product and returns when all are in the store. A VIN is 1 to 17 bytes
// without control characters; trailing spaces do not count; alphabet and case are free. VINs that
// cannot be added are in the result and no error. Registering again changes nothing.
//
// The error is ErrUnconfirmed together with that of ctx when the store did not confirm in time; the
// result is complete all the same.
func (r *Registry) Register(ctx context.Context, productKey string, vins []string) (RegisterResult, error) {
	if productKey == "" {
		return RegisterResult{}, errors.New("session: register: the product key is empty")
	}
	if r.closed.Load() {
		return RegisterResult{}, ErrClosed
	}
	product := r.names.intern(productKey)
	result := RegisterResult{Items: make([]RegisterItem, len(vins))}
	rc := newReceipt()
	for i, text := range vins {
		item := &result.Items[i]
		item.VIN = text
		vin, err := parseRegistered(text)
		if err != nil {
			item.Status, item.Detail = InvalidVIN, err.Error()
			continue
		}
		switch owner := r.add(vin, product, rc); owner {
		case 0:
			item.Status = Registered
		case product:
			item.Status = AlreadyRegistered
		default:
			item.Status, item.Detail = OtherProduct, r.names.text(owner)
		}
	}
	return result, r.await(ctx, rc, "register")
}

// RegisterAsync adds one vehicle to a product without waiting for the store, for products where the
// first login registers. It never blocks, and does nothing when the VIN is registered in any product
// or the registry is closed.
func (r *Registry) RegisterAsync(productKey string, vin codec.VIN) {
	if productKey != "" && !vin.IsZero() && !r.closed.Load() {
		r.add(vin, r.names.intern(productKey), nil)
	}
}

// Delete removes a vehicle from a product and returns when that is in the store. The error is
// ErrNotRegistered when the product does not have it (and no deletion of it is under way), or
// ErrUnconfirmed as in Register. OnBarred is told.
func (r *Registry) Delete(ctx context.Context, productKey string, vin codec.VIN) error {
	if r.closed.Load() {
		return ErrClosed
	}
	product, known := r.names.find(productKey)
	rc := newReceipt()
	barred := known && r.remove(vin, product, rc)
	if barred {
		r.bar(vin)
	} else if rc.alone() {
		return notRegistered(productKey, vin)
	}
	return r.await(ctx, rc, "delete")
}

// Disable sets whether a vehicle of a product is kept from logging in, and returns when that is in
// the store. The error is ErrNotRegistered, or ErrUnconfirmed as in Register. OnBarred is told when
// the vehicle becomes disabled.
func (r *Registry) Disable(ctx context.Context, productKey string, vin codec.VIN, disabled bool) error {
	if r.closed.Load() {
		return ErrClosed
	}
	product, known := r.names.find(productKey)
	if !known {
		return notRegistered(productKey, vin)
	}
	rc := newReceipt()
	sh := r.shard(vin)
	sh.mu.Lock()
	rec, ok := sh.devices[vin]
	if !ok || rec.product != product {
		sh.mu.Unlock()
		return notRegistered(productKey, vin)
	}
	changes := rec.disabled != disabled
	if changes {
		rec.disabled = disabled
		// Later than what it replaces, whatever this node's clock says.
		rec.changed = max(time.Now().UnixMilli(), rec.changed+1)
		sh.devices[vin] = rec
		r.save(sh, vin, rc)
	} else if w := sh.writes[vin]; w != nil {
		w.join(rc)
	}
	sh.mu.Unlock()
	if changes && disabled {
		r.bar(vin)
	}
	return r.await(ctx, rc, "disable")
}

// parseRegistered reads a VIN as people give it.
func parseRegistered(text string) (codec.VIN, error) {
	vin, err := codec.ParseVIN(text)
	if err != nil {
		return vin, err
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] == 0x7F {
			return vin, fmt.Errorf("%w: %q has a control character at offset %d", codec.ErrVIN, text, i)
		}
	}
	return vin, nil
}

// add registers a VIN and returns 0, or returns the product that has it already. rc, which may be
// nil, waits for the store.
func (r *Registry) add(vin codec.VIN, product symbol, rc *receipt) (owner symbol) {
	sh := r.shard(vin)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if rec, ok := sh.devices[vin]; ok {
		if w := sh.writes[vin]; w != nil && rec.product == product {
			w.join(rc)
		}
		return rec.product
	}
	now := time.Now().UnixMilli()
	if t, ok := sh.tombs[tombKey{product, vin}]; ok {
		now = max(now, t.registered+1) // another device than the deleted one
	}
	sh.devices[vin] = record{product: product, registered: now, changed: now}
	r.size.Add(1)
	r.save(sh, vin, rc)
	return 0
}

// remove deletes a VIN of a product and reports whether it was there. rc waits for the store, also
// for a deletion that was under way before.
func (r *Registry) remove(vin codec.VIN, product symbol, rc *receipt) bool {
	sh := r.shard(vin)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rec, ok := sh.devices[vin]
	if !ok || rec.product != product {
		if w := sh.writes[vin]; w != nil && w.drops(product) {
			w.join(rc)
		}
		return false
	}
	now := time.Now().UnixMilli()
	sh.sweep(now)
	key := tombKey{product, vin}
	sh.tombs[key] = tomb{registered: rec.registered, at: now, echoes: sh.tombs[key].echoes}
	delete(sh.devices, vin)
	r.size.Add(-1)
	w := r.save(sh, vin, rc)
	w.drop = append(w.drop, product)
	return true
}

// sweep forgets old deletions. The shard is locked.
func (sh *registryShard) sweep(now int64) {
	life := tombLife.Milliseconds()
	if now-sh.swept < life {
		return
	}
	sh.swept = now
	for key, t := range sh.tombs {
		if now-t.at > life {
			delete(sh.tombs, key)
		}
	}
}

// bar tells that vin may no longer be online. No lock is held.
func (r *Registry) bar(vin codec.VIN) {
	if r.opt.OnBarred != nil {
		r.opt.OnBarred(vin)
	}
}

func notRegistered(productKey string, vin codec.VIN) error {
	return fmt.Errorf("%w: %q in product %q", ErrNotRegistered, vin.String(), productKey)
}
