package gateway

// wheelSlots seconds are one turn of the wheel: longer than the default idle
// limit, so that a connection is looked at about once per deadline.
const wheelSlots = 512

// wheel holds the deadlines of a loop's connections: one slot a second, each a
// doubly linked list threaded through the connections. Traffic only moves
// conn.deadline; the connection is moved to its new slot when the old one comes
// round, so a frame costs no list operation.
type wheel struct {
	slots [wheelSlots]*conn
	at    int64 // second of the loop's clock up to which slots have fired
}

// add puts c, which is in no slot, where its deadline falls due.
func (w *wheel) add(c *conn) {
	due := max(c.deadline, w.at+1)
	c.slot = int16(min(due, w.at+wheelSlots-1) % wheelSlots)
	head := w.slots[c.slot]
	c.wheelPrev, c.wheelNext = nil, head
	if head != nil {
		head.wheelPrev = c
	}
	w.slots[c.slot] = c
}

// remove takes c out; a connection in no slot stays as it is.
func (w *wheel) remove(c *conn) {
	if c.slot < 0 {
		return
	}
	if c.wheelPrev != nil {
		c.wheelPrev.wheelNext = c.wheelNext
	} else {
		w.slots[c.slot] = c.wheelNext
	}
	if c.wheelNext != nil {
		c.wheelNext.wheelPrev = c.wheelPrev
	}
	c.wheelPrev, c.wheelNext, c.slot = nil, nil, -1
}

// advance calls expired for every connection whose deadline is at or before
// now (seconds of the loop's clock) and re-arms those whose deadline has moved on. An expired
// connection is in no slot when expired runs.
func (w *wheel) advance(now int64, expired func(*conn)) {
	w.at = max(w.at, now-wheelSlots)
	for w.at < now {
		w.at++
		c := w.slots[w.at%wheelSlots]
		w.slots[w.at%wheelSlots] = nil
		for c != nil {
			next := c.wheelNext
			c.wheelPrev, c.wheelNext, c.slot = nil, nil, -1
			if c.deadline <= now {
				expired(c)
			} else {
				w.add(c)
			}
			c = next
		}
	}
}
