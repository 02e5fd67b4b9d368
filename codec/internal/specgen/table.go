package main

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// table is one edition of the standard; codec/spec/README.md explains the keys.
type table struct {
	Edition  int       `yaml:"edition"`
	Standard string    `yaml:"standard"`
	Title    string    `yaml:"title"`
	Units    []*record `yaml:"units"`
	Items    []*record `yaml:"items"`
	Params   []*field  `yaml:"params"`
}

// record is a data unit, an info item or an entry of a list: a struct in Go, an object in JSON.
type record struct {
	Command []int    `yaml:"command"` // of a unit
	ID      idRange  `yaml:"id"`      // of an item
	Type    string   `yaml:"type"`    // of an item: its JSON type
	Shared  string   `yaml:"shared"`  // the Go type that the 2016 table defines
	Embed   bool     `yaml:"embed"`   // the fields are also shown inside another object
	Go      string   `yaml:"go"`
	Zh      string   `yaml:"zh"`
	Doc     string   `yaml:"doc"`
	Table   string   `yaml:"table"`
	Note    string   `yaml:"note"`
	Fields  []*field `yaml:"fields"`

	edition int
	kind    recordKind
	origin  *record // of a shared record: the one with the fields
	both    bool    // the other edition shares the record
}

type recordKind int

const (
	kindUnit recordKind = iota
	kindItem
	kindEntry
)

// idRange is one type byte, or a range of them.
type idRange []int

func (r *idRange) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]int)(r))
	}
	*r = make(idRange, 1)
	return n.Decode(&(*r)[0])
}

// field is one field of a record, or a parameter.
type field struct {
	ID         int            `yaml:"id"` // of a parameter
	Key        string         `yaml:"key"`
	Go         string         `yaml:"go"`
	Zh         string         `yaml:"zh"`
	Doc        string         `yaml:"doc"`
	Table      string         `yaml:"table"`
	Note       string         `yaml:"note"`
	Wire       string         `yaml:"wire"` // u8 u16 u32 time text hex custom
	Measure    *measure       `yaml:"measure"`
	Range      []int64        `yaml:"range"`
	Marks      bool           `yaml:"marks"`
	Enum       map[int]string `yaml:"enum"`
	Enum2025   map[int]string `yaml:"enum2025"`
	Bits       map[int]bit    `yaml:"bits"`
	Reserved   uint32         `yaml:"reserved"`
	Derived    string         `yaml:"derived"` // gear, alarms, valid
	Sign       *sign          `yaml:"sign"`
	Secret     bool           `yaml:"secret"`
	Size       int            `yaml:"size"` // of a text
	Pad        int            `yaml:"pad"`
	LengthFrom int            `yaml:"lengthFrom"` // of a parameter: the one that holds its length
	Length     *count         `yaml:"length"`     // of hex
	TypeName   string         `yaml:"type"`       // of custom
	Layout     string         `yaml:"layout"`     // of custom, for the docs
	Count      *count         `yaml:"count"`      // of a list
	Each       *field         `yaml:"each"`       // of a list of numbers
	List       string         `yaml:"list"`       // of a list of records: the Go type of an entry
	ItemDoc    string         `yaml:"itemdoc"`
	Fields     []*field       `yaml:"fields"`

	entry *record // of a list of records
}

type measure struct {
	Res    string `yaml:"res"`
	Offset string `yaml:"offset"`
	Unit   string `yaml:"unit"`

	step, offset int64
	decimals     int
}

type bit struct {
	Name string `yaml:"name"`
	Doc  string `yaml:"doc"`
	Zh   string `yaml:"zh"`
}

type sign struct {
	Field string `yaml:"field"`
	Bit   int    `yaml:"bit"`
}

type count struct {
	Wire   string  `yaml:"wire"`
	Zh     string  `yaml:"zh"`
	Range  []int64 `yaml:"range"`
	Always bool    `yaml:"always"` // 0xFE and 0xFF are numbers too
}

// load reads and checks one table.
func load(path string) (*table, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	t := &table{}
	if err := dec.Decode(t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func (t *table) check() error {
	ids := map[int]bool{}
	types := map[string]bool{}
	for _, r := range t.Units {
		r.kind = kindUnit
		if len(r.Command) == 0 {
			return fmt.Errorf("unit %s%s: no command", r.Go, r.Shared)
		}
		if err := t.checkRecord(r); err != nil {
			return err
		}
	}
	for _, r := range t.Items {
		r.kind = kindItem
		switch len(r.ID) {
		case 1, 2:
		default:
			return fmt.Errorf("item %s: an id or two are wanted", r.Go)
		}
		for id := r.ID[0]; id <= r.ID[len(r.ID)-1]; id++ {
			if ids[id] || id < 1 || id > 0xFF {
				return fmt.Errorf("item %s: id %#x stands twice or is no byte", r.Go, id)
			}
			ids[id] = true
		}
		if r.Shared == "" && (r.Type == "" || types[r.Type]) {
			return fmt.Errorf("item %s: no type, or one that stands twice", r.Go)
		}
		types[r.Type] = true
		if err := t.checkRecord(r); err != nil {
			return err
		}
	}
	for _, f := range t.Params {
		if f.ID < 1 || f.ID > 0xFE || ids[0x1000+f.ID] {
			return fmt.Errorf("param %s: bad id %d", f.Key, f.ID)
		}
		ids[0x1000+f.ID] = true
		if err := f.check(); err != nil {
			return fmt.Errorf("param %s: %w", f.Key, err)
		}
		switch {
		case f.Wire == "u8", f.Wire == "u16":
		case f.Wire == "text" && (f.Size > 0) != (f.LengthFrom > 0):
		default:
			return fmt.Errorf("param %s: a number of one or two bytes or a text is wanted", f.Key)
		}
	}
	return nil
}

var keyForm = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

func (t *table) checkRecord(r *record) error {
	r.edition = t.Edition
	if r.Shared != "" {
		return nil
	}
	if r.Go == "" || r.Doc == "" || r.Table == "" && r.kind != kindEntry || len(r.Fields) == 0 {
		return fmt.Errorf("%s%s: go, doc, table and fields are wanted", r.Type, r.Go)
	}
	keys := map[string]*field{}
	for _, f := range r.Fields {
		if keys[f.Key] != nil {
			return fmt.Errorf("%s.%s stands twice", r.Go, f.Key)
		}
		keys[f.Key] = f
		if err := f.check(); err != nil {
			return fmt.Errorf("%s.%s: %w", r.Go, f.Key, err)
		}
		if f.Sign != nil && (keys[f.Sign.Field] == nil || keys[f.Sign.Field].Wire != "u8") {
			return fmt.Errorf("%s.%s: sign: no byte %s before it", r.Go, f.Key, f.Sign.Field)
		}
		if r.kind != kindUnit && (f.Wire == "time" || f.Wire == "text" || f.Wire == "custom") {
			return fmt.Errorf("%s.%s: %s stands in data units only", r.Go, f.Key, f.Wire)
		}
		if f.Measure != nil && f.Measure.step != 1 || f.Sign != nil && f.Wire != "u32" {
			return fmt.Errorf("%s.%s: a resolution of one unit of its last decimal, and a sign on four bytes, are all there is", r.Go, f.Key)
		}
		if r.kind == kindUnit && (f.Measure != nil || f.Count != nil) {
			return fmt.Errorf("%s.%s: measurements and lists stand in info items only, which hold the lists of marks", r.Go, f.Key)
		}
		if f.List == "" {
			continue
		}
		if r.kind == kindEntry {
			return fmt.Errorf("%s.%s: a list of records inside a list of records", r.Go, f.Key)
		}
		f.entry = &record{Go: f.List, Doc: f.ItemDoc, Fields: f.Fields, kind: kindEntry}
		if err := t.checkRecord(f.entry); err != nil {
			return err
		}
	}
	return nil
}

func (f *field) check() error {
	if !keyForm.MatchString(f.Key) || f.Doc == "" || f.Zh == "" {
		return fmt.Errorf("key, doc and zh are wanted")
	}
	if f.Go == "" {
		f.Go = strings.ToUpper(f.Key[:1]) + f.Key[1:]
	}
	if f.Count != nil {
		return f.checkList()
	}
	switch f.Wire {
	case "u8", "u16", "u32":
		if f.Measure != nil && len(f.Range) == 0 {
			return fmt.Errorf("a measurement without range")
		}
	case "time", "custom":
	case "text":
		if f.Size == 0 && f.LengthFrom == 0 {
			return fmt.Errorf("a text without size")
		}
	case "hex":
		if f.Length == nil {
			return fmt.Errorf("hex without length")
		}
	default:
		return fmt.Errorf("wire %q", f.Wire)
	}
	if len(f.Range) != 0 && (len(f.Range) != 2 || f.Range[0] > f.Range[1] || f.Range[1] >= f.limit()) {
		return fmt.Errorf("range %v", f.Range)
	}
	if f.Measure != nil {
		if err := f.Measure.check(); err != nil {
			return err
		}
		// The writers take values inside the range as 32-bit numbers.
		for _, raw := range f.Range {
			if v := raw*f.Measure.step + f.Measure.offset; v < -1<<31 || v >= 1<<31 {
				return fmt.Errorf("%d does not fit 32 bits", v)
			}
		}
	}
	return nil
}

func (f *field) checkList() error {
	if f.Count.Wire != "u8" && f.Count.Wire != "u16" || len(f.Count.Range) != 2 || f.Count.Zh == "" {
		return fmt.Errorf("count: wire u8 or u16, range and zh are wanted")
	}
	switch {
	case (f.Each == nil) == (f.List == ""):
		return fmt.Errorf("a list has either each or list")
	case f.List != "" && f.ItemDoc == "":
		return fmt.Errorf("itemdoc is wanted")
	case f.Each == nil:
		return nil
	}
	f.Each.Key, f.Each.Zh, f.Each.Doc = f.Key, f.Zh, f.Doc
	if err := f.Each.check(); err != nil {
		return err
	}
	// These are the lists that package codec has writers and readers for.
	switch e := f.Each; {
	case e.Wire == "u32" && e.Measure == nil:
	case e.Wire == "u16" && e.Measure != nil && e.Measure.decimals == 3 && e.Measure.step == 1 && e.Measure.offset == 0 && e.Range[0] == 0:
	case e.Wire == "u8" && e.Measure != nil && e.Measure.decimals == 0 && e.Measure.step == 1 && e.Measure.offset == -40 && e.Range[0] == 0:
	default:
		return fmt.Errorf("no list of this kind: see jsonWriter.temperatures, cellVoltages, appendRaw32")
	}
	return nil
}

// limit returns the number that the field's width cannot hold any more.
func (f *field) limit() int64 { return 1 << f.bits() }

func (f *field) bits() int {
	return map[string]int{"u8": 8, "u16": 16, "u32": 32}[f.Wire]
}

// check turns resolution and offset into whole numbers of the last decimal.
func (m *measure) check() error {
	if m.Res == "" {
		m.Res = "1"
	}
	if m.Offset == "" {
		m.Offset = "0"
	}
	if i := strings.IndexByte(m.Res, '.'); i >= 0 {
		m.decimals = len(m.Res) - i - 1
	}
	var err error
	if m.step, err = scaled(m.Res, m.decimals); err != nil {
		return err
	}
	m.offset, err = scaled(m.Offset, m.decimals)
	return err
}

func scaled(s string, decimals int) (int64, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, fmt.Errorf("%q is no number", s)
	}
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	r.Mul(r, new(big.Rat).SetInt(p))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, fmt.Errorf("%q has more than %d decimals", s, decimals)
	}
	return r.Num().Int64(), nil
}

// link resolves shared records, which the first table defines.
func link(tables []*table) error {
	defined := map[string]*record{}
	for _, t := range tables {
		for _, r := range append(append([]*record(nil), t.Units...), t.Items...) {
			if r.Shared == "" {
				if defined[r.Go] != nil {
					return fmt.Errorf("%s is defined twice", r.Go)
				}
				defined[r.Go] = r
				continue
			}
			if r.origin = defined[r.Shared]; r.origin == nil {
				return fmt.Errorf("edition %d: no %s to share", t.Edition, r.Shared)
			}
			r.origin.both = true
		}
	}
	return nil
}

// own returns the records that the table itself defines, entries of lists included, each list's
// entry after its record.
func (t *table) own() []*record {
	var all []*record
	for _, r := range append(append([]*record(nil), t.Units...), t.Items...) {
		if r.Shared != "" {
			continue
		}
		all = append(all, r)
		for _, f := range r.Fields {
			if f.entry != nil {
				all = append(all, f.entry)
			}
		}
	}
	return all
}

// ranged reports whether the record stands for a range of type bytes, one of which it keeps.
func (r *record) ranged() bool { return len(r.ID) == 2 }

// size returns the number of bytes of a record without lists, 0 for one with.
func (r *record) size() int {
	n := 0
	for _, f := range r.Fields {
		k := f.size()
		if k == 0 {
			return 0
		}
		n += k
	}
	return n
}

// minSize returns the number of bytes of a record whose lists are empty.
func (r *record) minSize() int {
	n := 0
	for _, f := range r.Fields {
		switch {
		case f.Count != nil:
			n += f.Count.size()
		case f.Wire == "hex":
			n += 2
		default:
			n += f.size()
		}
	}
	return n
}

// size returns the number of bytes of a field, 0 when it depends on the bytes.
func (f *field) size() int {
	if f.Count != nil {
		return 0
	}
	switch f.Wire {
	case "time":
		return 6
	case "text":
		return f.Size
	}
	return f.bits() / 8
}

func (c *count) size() int {
	if c.Wire == "u16" {
		return 2
	}
	return 1
}

// sorted returns the keys of an enumeration or of bits in order.
func sorted[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	return keys
}
