package session

import "time"

// Note keeps in the registry that a vehicle went online or offline. It is made to be called from
// the table's onPresence: it never blocks, and the store is written in the background, several
// changes of one vehicle together. Vehicles that are not registered (any more) are passed over, and
// so is the offline event of one that another node serves by now.
func (r *Registry) Note(e PresenceEvent) {
	sh := r.shard(e.VIN)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rec, ok := sh.devices[e.VIN]
	if !ok {
		return
	}
	at := e.At.UnixMilli()
	if e.Online {
		// A login is later than all before it, whatever the clocks of the nodes say, and later
		// than the offline of a takeover in the same millisecond.
		at = max(at, rec.online+1, rec.offline+1)
		rec.online = at
		if rec.activated == 0 {
			rec.activated = at
		}
		rec.node, rec.platform = r.names.intern(e.Node), r.names.intern(e.Platform)
		rec.session, rec.iccid, rec.edition = e.Session, e.ICCID, e.Edition
	} else {
		if rec.session != e.Session || rec.node != r.names.intern(e.Node) {
			return
		}
		rec.offline = max(at, rec.online)
		rec.reason = r.names.intern(string(e.Reason))
	}
	sh.devices[e.VIN] = rec
	r.save(sh, e.VIN, nil)
}

// RecoverOnline ends the sessions that this node left open when it died: for every device that is
// online and was served by this node last it calls fn with the offline event of that session
// (ReasonGatewayRestart, at the given time) and keeps it in the registry. It returns their number.
// Call it at start, before the first vehicle can log in. A second crash before the store has the
// change repeats the event.
func (r *Registry) RecoverOnline(at time.Time, fn func(PresenceEvent)) int {
	var left []PresenceEvent
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		for vin, rec := range sh.devices {
			if rec.isOnline() && rec.node == r.node {
				left = append(left, PresenceEvent{
					VIN: vin, ProductKey: r.names.text(rec.product), Platform: r.names.text(rec.platform),
					Session: rec.session, Node: r.opt.Node, At: at, Reason: ReasonGatewayRestart,
					Edition: rec.edition, ICCID: rec.iccid,
				})
			}
		}
		sh.mu.RUnlock()
	}
	for _, e := range left {
		fn(e)
		r.Note(e)
	}
	return len(left)
}
