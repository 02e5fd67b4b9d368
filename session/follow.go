package session

import (
	"cmp"

	"github.com/tboxgate/tboxgate/codec"
)

// follow takes one change of the bucket, of this node or another.
func (r *Registry) follow(key string, value []byte) {
	productKey, vin, err := parseDeviceKey(key)
	if err != nil {
		r.log.Warn("device bucket: a key that is none of ours", "key", key, "error", err)
		return
	}
	product := r.names.intern(productKey)
	if value == nil {
		r.followDelete(vin, product)
		return
	}
	rec, writer, err := parseStored(value, product, r.names)
	if err != nil {
		r.log.Warn("device bucket: an entry that cannot be read", "key", key, "error", err)
		return
	}
	r.followPut(vin, rec, writer)
}

// followPut takes an entry as the store has it now. Whatever of it is newer than memory goes into
// memory; when another node has written over something newer, that is stored again.
func (r *Registry) followPut(vin codec.VIN, in record, writer string) {
	sh := r.shard(vin)
	sh.mu.Lock()
	key := tombKey{in.product, vin}
	if t, ok := sh.tombs[key]; ok {
		if t.registered == in.registered {
			// From before our deletion, or by a node that had not heard of it: then Watch has
			// reported the deletion already.
			w := sh.writes[vin]
			if t.echoes == 0 && (w == nil || !w.drops(in.product)) {
				w = r.save(sh, vin, nil)
				w.drop = append(w.drop, in.product)
			}
			sh.mu.Unlock()
			return
		}
		if t.echoes > 0 { // the deletion is past, even if Watch has left it out
			t.echoes = 0
			sh.tombs[key] = t
		}
	}

	have, ok := sh.devices[vin]
	if ok && have.product != in.product {
		// Two nodes have registered the VIN at the same time. All nodes choose alike.
		r.log.Warn("a vehicle is registered in two products; the later registration holds", "vin", vin.String(),
			"productKey", r.names.text(have.product), "other", r.names.text(in.product))
		if cmp.Or(cmp.Compare(have.registered, in.registered),
			cmp.Compare(r.names.text(have.product), r.names.text(in.product))) > 0 {
			sh.mu.Unlock()
			return
		}
		ok = false
		r.size.Add(-1)
	}
	barred := have.product != 0 && in.disabled && !have.disabled
	if !ok {
		sh.devices[vin] = in
		r.size.Add(1)
	} else {
		merged, stale := merge(have, in)
		sh.devices[vin] = merged
		barred = merged.disabled && !have.disabled
		if stale && writer != r.opt.Node && sh.writes[vin] == nil {
			r.save(sh, vin, nil)
		}
	}
	sh.mu.Unlock()
	if barred {
		r.bar(vin)
	}
}

// followDelete takes the deletion of an entry.
func (r *Registry) followDelete(vin codec.VIN, product symbol) {
	sh := r.shard(vin)
	sh.mu.Lock()
	key := tombKey{product, vin}
	if t, ok := sh.tombs[key]; ok && t.echoes > 0 {
		t.echoes--
		sh.tombs[key] = t
		sh.mu.Unlock()
		return
	}
	rec, ok := sh.devices[vin]
	if !ok || rec.product != product {
		sh.mu.Unlock()
		return
	}
	if w := sh.writes[vin]; w != nil {
		ours := w.drops(product) // registered again after a deletion that is still being tried: this is one of its echoes
		if !ours && len(w.waiting)+len(w.aboard) > 0 {
			// Somebody registers or changes it here at this moment: theirs is the later word.
			r.save(sh, vin, nil)
			ours = true
		}
		if ours {
			sh.mu.Unlock()
			return
		}
	}
	delete(sh.devices, vin)
	r.size.Add(-1)
	sh.mu.Unlock()
	r.bar(vin)
}

// merge joins two states of one device, in any order with the same result. stale reports whether
// have knew something newer than in.
func merge(have, in record) (merged record, stale bool) {
	if c := cmp.Compare(have.registered, in.registered); c != 0 {
		// Deleted and registered again between the two: nothing of the older device stays.
		if c < 0 {
			return in, false
		}
		return have, true
	}
	merged = have
	switch c := cmp.Or(cmp.Compare(have.changed, in.changed), compareBool(have.disabled, in.disabled)); {
	case c < 0:
		merged.changed, merged.disabled = in.changed, in.disabled
	case c > 0:
		stale = true
	}
	switch c := cmp.Or(cmp.Compare(have.online, in.online), cmp.Compare(have.session, in.session), cmp.Compare(have.offline, in.offline)); {
	case c < 0:
		changed, disabled, activated := merged.changed, merged.disabled, merged.activated
		merged = in
		merged.changed, merged.disabled, merged.activated = changed, disabled, activated
	case c > 0:
		stale = true
	}
	switch {
	case merged.activated == 0 || in.activated != 0 && in.activated < merged.activated:
		merged.activated = in.activated
	case merged.activated != in.activated:
		stale = true
	}
	return merged, stale
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
