package codec

import "slices"

// ParamQuery is the data unit of a parameter query (0x80), 2016 table B.9, 2025 table B.5.
type ParamQuery struct {
	Time     Time
	IDsCount Count
	IDs      List8
}

func (u *ParamQuery) decode(b []byte, d *decoding) (n, keys int) {
	*u = ParamQuery{}
	if len(b) < TimeSize {
		return 0, 0
	}
	u.Time = Time(b[:TimeSize])
	if len(b) < TimeSize+1 {
		return TimeSize, 1
	}
	k := d.count8(&u.IDsCount, b[TimeSize])
	ids := b[TimeSize+1:]
	if len(ids) < k {
		return TimeSize, 1
	}
	u.IDs = List8(ids[:k:k])
	return TimeSize + 1 + k, 2
}

func (u *ParamQuery) keyCount() int { return 2 }

func (u *ParamQuery) keyAt(i int) string { return [...]string{"time", "ids"}[i] }

func (u *ParamQuery) appendUnit(dst []byte, _ Edition, keys int) ([]byte, error) {
	if keys < 1 {
		return dst, nil
	}
	dst = append(dst, u.Time[:]...)
	if keys < 2 {
		return dst, nil
	}
	dst, err := appendCount8(dst, u.IDsCount, u.IDs.Len(), "ids")
	return append(dst, u.IDs...), err
}

func (u *ParamQuery) appendKeys(b []byte, w *jsonWriter, keys int) []byte {
	if keys < 1 {
		return b
	}
	b = w.time(append(b, `,"time":`...), "time", u.Time)
	if keys < 2 {
		return b
	}
	b = w.count(b, "ids", u.IDsCount, u.IDs.Len(), 0, maxParams, mark8)
	for i, id := range u.IDs {
		if !privateParam(id) && paramSpecOf(w.edition, id).key == "" {
			w.problemAt("ids", i, CodeUnknownParam)
		}
	}
	return appendRaw8(append(b, `,"ids":`...), u.IDs)
}

func (u *ParamQuery) parseKeys(o *object) (keys int) {
	if !o.next("time", "timeHex") {
		return 0
	}
	u.Time = o.time("time")
	if !o.next("ids", "idsCount") {
		return 1
	}
	u.IDsCount = o.count("ids", 8)
	u.IDs = o.raws8("ids")
	return 2
}

func (u *ParamQuery) clone() Body {
	c := *u
	c.IDs = slices.Clone(u.IDs)
	return &c
}
