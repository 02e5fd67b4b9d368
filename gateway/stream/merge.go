package stream

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
)

// ErrMerged says that a record was merged from several frames and is no frame itself.
var ErrMerged = errors.New("the record was merged from the frames of a split pack: there is no frame of it")

// Merge puts the frames of split packs together. A vehicle of the 2016 edition whose pack has more than 200
// cells sends it in several frames of one collection time, each with the number of its first cell (table
// B.6); some makers repeat the other items in each frame. The merged record has
//
//   - the cells of each subsystem in one list, in the order of their numbers,
//   - the extremes (table 16) over all frames,
//   - other items once when the frames repeat them, side by side when they differ,
//   - the gateway's keys of the frame with the first cells, and "merged": the number of frames.
//
// Its body is JSON only: one frame could not hold it (AppendFrame: [ErrMerged]). All other records pass as
// they are, in their order; a frame of an incomplete pack waits for the vehicle's next report or the end,
// so at most one pack of each vehicle is held. A frame that repeats one already there passes on its own.
func Merge(records iter.Seq2[*Record, error]) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		packs := make(map[codec.VIN]*pack)
		var order []codec.VIN // of the packs that wait, oldest first
		release := func(vin codec.VIN) bool {
			p := packs[vin]
			delete(packs, vin)
			order = slices.DeleteFunc(order, func(v codec.VIN) bool { return v == vin })
			return yield(p.record(), nil)
		}
		for r, err := range records {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			report := r.Command == codec.CommandRealtime || r.Command == codec.CommandReissue
			p := packs[r.VIN]
			part := partOf(r, report)
			if p != nil && report && part != nil && p.takes(part) {
				p.add(part)
				if p.complete() && !release(r.VIN) {
					return
				}
				continue
			}
			if p != nil && report && (part == nil || part.time != p.parts[0].time) && !release(r.VIN) {
				return
			}
			if part != nil && packs[r.VIN] == nil {
				packs[r.VIN] = newPack(part)
				order = append(order, r.VIN)
				continue
			}
			if !yield(r, nil) {
				return
			}
		}
		for len(order) > 0 {
			if !release(order[0]) {
				return
			}
		}
	}
}

// part is one frame of a split pack.
type part struct {
	record  *Record // independent of the message that it came in
	message *codec.Message
	time    codec.Time
	cells   []cellRun
}

// cellRun is the cells of one subsystem that a frame holds.
type cellRun struct {
	subsystem uint8
	first, n  int // the first cell's number, counted from 1, and how many follow
	total     int // of the subsystem
}

// partOf returns the frame as a part of a split pack, nil when it is a whole one or none.
func partOf(r *Record, report bool) *part {
	if !report || r.Edition != codec.Edition2016 || r.Masked {
		return nil
	}
	frame, err := r.AppendFrame(nil)
	if err != nil {
		return nil
	}
	f, err := codec.ParseFrame(frame)
	if err != nil {
		return nil
	}
	p := &part{message: new(codec.Message)}
	p.message.Decode(f)
	body, ok := p.message.Body.(*codec.Realtime)
	if !ok || len(p.message.Rest) > 0 {
		return nil
	}
	p.time = body.Time
	split := false
	for _, item := range body.Info {
		v, ok := item.(*codec.StorageVoltages2016)
		if !ok {
			continue
		}
		for _, s := range v.Subsystems {
			if s.FirstCell == 0 || int(s.CellCount) >= 0xFFFE || s.CellVoltages.Len() == 0 {
				return nil
			}
			p.cells = append(p.cells, cellRun{s.Number, int(s.FirstCell), s.CellVoltages.Len(), int(s.CellCount)})
			split = split || s.CellVoltages.Len() < int(s.CellCount)
		}
	}
	if !split {
		return nil
	}
	p.record = r.Clone()
	return p
}

// pack is a split pack of which some frames have come.
type pack struct {
	parts []*part
}

func newPack(p *part) *pack { return &pack{parts: []*part{p}} }

// takes reports whether a frame belongs to the pack and brings cells that no other brought.
func (p *pack) takes(n *part) bool {
	if n.time != p.parts[0].time {
		return false
	}
	for _, have := range p.parts {
		for _, a := range have.cells {
			for _, b := range n.cells {
				if a.subsystem == b.subsystem && a.first < b.first+b.n && b.first < a.first+a.n {
					return false
				}
			}
		}
	}
	return true
}

func (p *pack) add(n *part) { p.parts = append(p.parts, n) }

// complete reports whether every cell of every subsystem is there.
func (p *pack) complete() bool {
	have, want := map[uint8]int{}, map[uint8]int{}
	for _, part := range p.parts {
		for _, c := range part.cells {
			have[c.subsystem] += c.n
			want[c.subsystem] = max(want[c.subsystem], c.total)
		}
	}
	for s, n := range want {
		if have[s] < n {
			return false
		}
	}
	return true
}

// record returns the merged record, or the only one there is.
func (p *pack) record() *Record {
	if len(p.parts) == 1 {
		return p.parts[0].record
	}
	sort.SliceStable(p.parts, func(i, j int) bool { return p.parts[i].cells[0].first < p.parts[j].cells[0].first })
	first := p.parts[0]
	merged := &codec.Realtime{Time: first.time}
	var voltages *codec.StorageVoltages2016
	var extremes *codec.Extremes2016
	seen := map[string]bool{}
	for _, part := range p.parts {
		for _, item := range part.message.Body.(*codec.Realtime).Info {
			switch v := item.(type) {
			case *codec.StorageVoltages2016:
				if voltages == nil {
					voltages = &codec.StorageVoltages2016{}
					merged.Info = append(merged.Info, voltages)
				}
				addCells(voltages, v)
			case *codec.Extremes2016:
				if extremes == nil {
					c := *v
					extremes = &c
					merged.Info = append(merged.Info, extremes)
				}
				widen(extremes, v)
			default:
				if text := itemText(item); !seen[text] {
					seen[text] = true
					merged.Info = append(merged.Info, item)
				}
			}
		}
	}
	m := codec.Message{Header: first.message.Header, Body: merged}
	r := *first.record
	r.Body, r.Raw, r.hex, r.merged = mergedBody(&m, first.record, len(p.parts)), false, nil, true
	_ = members(r.Body, func(key, value []byte) error { // just written: it is well-formed
		if string(key) == "time" {
			r.time = value
		}
		return nil
	})
	for _, part := range p.parts {
		r.Duplicate = r.Duplicate && part.record.Duplicate
	}
	return &r
}

// addCells joins the cells of v to those of the same subsystems. Frames come in the order of their cells.
func addCells(to, v *codec.StorageVoltages2016) {
	for _, s := range v.Subsystems {
		i := slices.IndexFunc(to.Subsystems, func(have codec.StorageVoltage2016) bool { return have.Number == s.Number })
		if i < 0 {
			s.CellVoltages, s.CellVoltagesCount = slices.Clone(s.CellVoltages), codec.Count{}
			to.Subsystems = append(to.Subsystems, s)
			continue
		}
		have := &to.Subsystems[i]
		// A hole between two parts is cells nobody sent: they are invalid.
		for int(have.FirstCell)+have.CellVoltages.Len() < int(s.FirstCell) {
			have.CellVoltages = append(have.CellVoltages, 0xFF, 0xFF)
		}
		have.CellVoltages = append(have.CellVoltages, s.CellVoltages...)
	}
}

// widen takes the more extreme of two values, and a value before a mark.
func widen(to, v *codec.Extremes2016) {
	if better16(v.MaxCellVoltage, to.MaxCellVoltage, true) {
		to.MaxVoltageSubsystem, to.MaxVoltageCell, to.MaxCellVoltage = v.MaxVoltageSubsystem, v.MaxVoltageCell, v.MaxCellVoltage
	}
	if better16(v.MinCellVoltage, to.MinCellVoltage, false) {
		to.MinVoltageSubsystem, to.MinVoltageCell, to.MinCellVoltage = v.MinVoltageSubsystem, v.MinVoltageCell, v.MinCellVoltage
	}
	if better8(v.MaxTemperature, to.MaxTemperature, true) {
		to.MaxTemperatureSubsystem, to.MaxTemperatureProbe, to.MaxTemperature = v.MaxTemperatureSubsystem, v.MaxTemperatureProbe, v.MaxTemperature
	}
	if better8(v.MinTemperature, to.MinTemperature, false) {
		to.MinTemperatureSubsystem, to.MinTemperatureProbe, to.MinTemperature = v.MinTemperatureSubsystem, v.MinTemperatureProbe, v.MinTemperature
	}
}

func better16(v, have uint16, higher bool) bool {
	const mark = 0xFFFE
	return v < mark && (have >= mark || v != have && v > have == higher)
}

func better8(v, have uint8, higher bool) bool {
	const mark = 0xFE
	return v < mark && (have >= mark || v != have && v > have == higher)
}

// itemText is an info item as JSON, to tell whether two are equal.
func itemText(item codec.Item) string {
	m := codec.Message{Header: codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime}, Body: &codec.Realtime{Info: []codec.Item{item}}}
	return string(m.AppendJSON(nil, codec.JSONOptions{}))
}

// mergedBody writes the JSON of a merged message with the gateway's keys of one of its records.
func mergedBody(m *codec.Message, r *Record, parts int) []byte {
	b := m.AppendJSON(nil, codec.JSONOptions{})
	b = dropCountProblems(b)
	own := r.AppendJSON(nil, nil)
	b = b[:len(b)-1]
	// The record's JSON was written by the gateway or by AppendJSON: it is well-formed.
	_ = members(own, func(key, value []byte) error {
		switch string(key) {
		case "receivedAt", "node", "session", "remote", "platform":
			b = append(append(append(b, `,"`...), key...), `":`...)
			b = append(b, value...)
		}
		return nil
	})
	b = append(b, `,"merged":`...)
	return append(strconv.AppendInt(b, int64(parts), 10), '}')
}

// dropCountProblems removes the problem that a merged list is longer than one frame's may be.
func dropCountProblems(b []byte) []byte {
	var problems []json.RawMessage
	var all []byte
	_ = members(b, func(key, value []byte) error {
		if string(key) == "problems" {
			all = value
			return json.Unmarshal(value, &problems)
		}
		return nil
	})
	if all == nil {
		return b
	}
	problems = slices.DeleteFunc(problems, func(p json.RawMessage) bool {
		return strings.Contains(string(p), `].cellVoltagesCount"`)
	})
	head := b[:len(b)-len(`,"problems":`)-len(all)-1]
	if len(problems) == 0 {
		return append(head, '}')
	}
	text, err := json.Marshal(problems)
	if err != nil {
		return b
	}
	return append(append(append(head, `,"problems":`...), text...), '}')
}
