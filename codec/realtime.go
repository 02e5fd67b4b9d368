package codec

// Realtime is the data unit of a realtime report (0x02) and of a reissue (0x03), 2016 and 2025
// table 7. The order of the items is free and a type may stand twice.
type Realtime struct {
	Time Time
	Info []Item

	pass      uint64
	items2016 items2016
	items2025 items2025
}

// Item is an info item of a realtime report, a pointer to one of
//
//   - 2016: [Vehicle2016], [DriveMotors2016], [FuelCell2016], [Engine2016], [Position2016],
//     [Extremes2016], [Alarms2016], [StorageVoltages2016], [StorageTemperatures2016]
//   - 2025: [Vehicle2025], [DriveMotors2025], [FuelCell2025], [Engine2025], [Position2025],
//     [Alarms2025], [CellVoltages2025], [PackTemperatures2025], [FuelCellStacks2025],
//     [Supercapacitor2025], [SupercapacitorExtremes2025], [Signature2025]
//   - both: [Custom]
//
// The fields hold the raw integers of the wire. The methods that end in Value give them their
// physical meaning.
type Item interface {
	// ItemType returns the type byte (2016 table 8, 2025 table 9).
	ItemType() uint8

	// appendTo appends the item, type byte included, to a data unit of edition e.
	appendTo(dst []byte, e Edition) ([]byte, error)
	appendJSON(b []byte, w *jsonWriter) []byte
	parseJSON(o *object)
	clone() Item
}

// decode reads the items one after the other. There is no count and, but for custom data, no
// length: at an item that is unknown or cut, what follows is lost to the rest.
func (u *Realtime) decode(b []byte, d *decoding) (n, keys int) {
	if len(b) < TimeSize {
		return 0, 0
	}
	if cap(u.Info) > maxPooled {
		*u = Realtime{}
	}
	size := len(b)
	u.Time = Time(b[:TimeSize])
	b = b[TimeSize:]
	info := u.Info[:0]
	u.pass++
	for len(b) > 0 {
		var item Item
		var k int
		if d.edition == Edition2025 {
			item, k = u.items2025.decode(b[0], b[1:], d, u.pass)
		} else {
			item, k = u.items2016.decode(b[0], b[1:], d, u.pass)
		}
		if item == nil || k < 0 {
			d.fault = fault{code: CodeTruncated, list: "info", index: len(info)}
			if item == nil {
				d.fault.code = CodeUnknownItem
			}
			break
		}
		info = append(info, item)
		b = b[1+k:]
	}
	u.Info = info
	return size - len(b), 2
}

func (u *Realtime) keyCount() int { return 2 }

func (u *Realtime) keyAt(i int) string { return [...]string{"time", "info"}[i] }

func (u *Realtime) appendUnit(dst []byte, e Edition, keys int) ([]byte, error) {
	if keys < 1 {
		return dst, nil
	}
	dst = append(dst, u.Time[:]...)
	if keys < 2 {
		return dst, nil
	}
	var err error
	for i, item := range u.Info {
		if dst, err = item.appendTo(dst, e); err != nil {
			return dst, inList(err, "info", i)
		}
	}
	return dst, nil
}

func (u *Realtime) appendKeys(b []byte, w *jsonWriter, keys int) []byte {
	if keys < 1 {
		return b
	}
	b = w.time(append(b, `,"time":`...), "time", u.Time)
	if keys < 2 {
		return b
	}
	b = append(b, `,"info":[`...)
	signed := false
	for i, item := range u.Info {
		if i > 0 {
			b = append(b, ',')
		}
		w.at("info", i)
		if signed {
			w.problem("", CodeAfterSignature)
		}
		if item.ItemType() == itemSignature {
			signed = true
		}
		b = item.appendJSON(b, w)
	}
	w.at("", 0)
	return append(b, ']')
}

// itemSignature is the type byte of Signature2025.
const itemSignature = 0xFF

func (u *Realtime) parseKeys(o *object) (keys int) {
	if !o.next("time", "timeHex") {
		return 0
	}
	u.Time = o.time("time")
	if !o.next("info") {
		return 1
	}
	for i, n := range o.list("info") {
		sub := o.entry("info", i, &n)
		item := newItem(o.r.edition, sub.str("type"))
		if item == nil {
			sub.fail("type", n.offset, "no info item of edition "+editionText(o.r.edition))
			return 2
		}
		sub.asItem()
		item.parseJSON(sub)
		sub.endItem()
		u.Info = append(u.Info, item)
	}
	return 2
}

func (u *Realtime) clone() Body {
	c := &Realtime{Time: u.Time}
	for _, item := range u.Info {
		c.Info = append(c.Info, item.clone())
	}
	return c
}

// newItem returns an empty item by its JSON type, nil when the edition has none.
func newItem(e Edition, name string) Item {
	if e == Edition2025 {
		return newItem2025(name)
	}
	return newItem2016(name)
}

// pool keeps the items of one type between two calls of Decode.
type pool[T any] struct {
	items []*T
	n     int    // used in the present pass
	pass  uint64 // the pass that n belongs to
}

// maxPooled is the number of items above which a frame's memory is not kept: one hostile frame may
// hold thousands of empty items, a real one holds a dozen.
const maxPooled = 256

// next returns an item for the pass given. Pools are not reset one by one: most items of the
// standard are in no frame.
func (p *pool[T]) next(pass uint64) *T {
	if p.pass != pass {
		p.pass, p.n = pass, 0
	}
	if p.n == len(p.items) {
		p.items = append(p.items, new(T))
	}
	p.n++
	return p.items[p.n-1]
}
