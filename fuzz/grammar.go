package fuzz

// choices turns fuzzer input into decisions. When the input is used up every decision is 0.
type choices struct{ b []byte }

func (c *choices) byte() byte {
	if len(c.b) == 0 {
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

// below returns a number in [0, n), n at most 256.
func (c *choices) below(n int) int { return int(c.byte()) % n }

// fill appends n bytes: mostly the input's, now and then a mark.
func (c *choices) fill(dst []byte, n int) []byte {
	mode := c.byte()
	for range n {
		switch {
		case mode < 16:
			dst = append(dst, 0xFF)
		case mode < 32:
			dst = append(dst, 0xFE)
		default:
			dst = append(dst, c.byte())
		}
	}
	return dst
}

// count appends a count field of width bytes and returns the number of entries to write behind it:
// usually what the field says, sometimes a mark with none or one behind it, sometimes a lie.
func (c *choices) count(dst []byte, width, most int) ([]byte, int) {
	n := c.below(most + 1)
	said, written := n, n
	switch c.byte() {
	case 1:
		said, written = 1<<(8*width)-1, 0
	case 2:
		said, written = 1<<(8*width)-2, 0
	case 3:
		said, written = 1<<(8*width)-1, 1
	case 4:
		said, written = 1<<(8*width)-2, 1
	case 5:
		said = n + 1
	}
	if width == 2 {
		dst = append(dst, byte(said>>8))
	}
	return append(dst, byte(said)), written
}

// Grammar makes a frame from fuzzer input, usually one whose data unit follows the tables of its
// edition closely enough to reach every field, with the oddities that real traffic has.
func Grammar(input []byte) []byte {
	c := &choices{input}
	edition2025 := c.byte()&1 == 1
	commands := []byte{2, 2, 2, 2, 2, 3, 1, 4, 5, 6, 7, 8, 0x80, 0x81, 0x81, 0x82, 9, 10, 11, 0xC1}
	command := commands[c.below(len(commands))]
	flag := []byte{0xFE, 0xFE, 0xFE, 0xFE, 1, 2, 7, 0x1F}[c.below(8)]
	encryption := []byte{1, 1, 1, 1, 1, 1, 0, 3}[c.below(8)]
	identifier := []string{"LTEST000000000001", "LTEST", "LTEST            ", "\xb2\xe2\xca\xd4", "a\x01b", "\xff\xff"}[c.below(6)]
	unit := c.unit(edition2025, command, flag)
	switch c.byte() { // after the tables, their end
	case 1:
		unit = unit[:len(unit)-min(len(unit), c.below(40))]
	case 2:
		unit = c.fill(unit, c.below(12))
	case 3:
		if len(unit) > 0 {
			unit[int(c.byte())*int(c.byte())%len(unit)] = c.byte()
		}
	}
	return Build(edition2025, command, flag, encryption, identifier, unit)
}

func (c *choices) time(dst []byte) []byte {
	if c.byte() == 1 {
		return c.fill(dst, 6)
	}
	return append(dst, byte(c.below(100)), byte(1+c.below(12)), byte(1+c.below(28)), byte(c.below(24)), byte(c.below(60)), byte(c.below(60)))
}

// string appends n bytes of text and padding.
func (c *choices) string(dst []byte, n int) []byte {
	switch c.byte() {
	case 1:
		return c.fill(dst, n)
	case 2:
		dst, n = append(dst, "\xcd\xfe"[:min(n, 2)]...), n-min(n, 2)
	}
	used := c.below(n + 1)
	for i := range n {
		switch {
		case i < used:
			dst = append(dst, '0'+byte(c.below(75)))
		case used%5 == 4:
			dst = append(dst, ' ')
		default:
			dst = append(dst, 0)
		}
	}
	return dst
}

// unit makes the data unit of a command.
func (c *choices) unit(edition2025 bool, command, flag byte) []byte {
	if flag != 0xFE && c.below(3) == 0 {
		return c.time(nil)
	}
	switch command {
	case 10: // activation response
		return c.fill(nil, 2)
	case 11: // key exchange
		unit, n := c.count(c.fill(nil, 1), 2, 40)
		return c.time(c.time(c.fill(unit, n)))
	case 7, 8:
		return c.fill(nil, []int{0, 0, 6, 4, 41}[c.below(5)])
	}
	unit := c.time(nil)
	switch command {
	case 1:
		unit = c.string(c.fill(unit, 2), 20)
		if !edition2025 {
			var n int
			unit, n = c.count(unit, 1, 5)
			width := c.below(30)
			unit = append(unit, byte(width))
			for range n {
				unit = c.string(unit, width)
			}
			return unit
		}
		unit, n := c.count(unit, 1, 3)
		packs := 0
		for range n {
			var m int
			unit, m = c.count(unit, 1, 3)
			packs += m
		}
		for range packs {
			unit = c.string(unit, 24)
		}
		return unit
	case 4, 6:
		return c.fill(unit, 2)
	case 5:
		return c.fill(c.string(c.string(c.fill(unit, 2), 12), 20), 1)
	case 9:
		unit, n := c.count(c.string(unit, 16), 2, 40)
		unit = c.string(c.fill(unit, n), 17)
		if c.byte()&1 == 1 {
			unit = append(unit, 0xFF)
		}
		return c.signature(unit)
	case 0x80:
		if flag == 0xFE && c.byte() != 1 {
			unit, n := c.count(unit, 1, 20)
			return c.fill(unit, n)
		}
		return c.params(unit, edition2025)
	case 0x81:
		return c.params(unit, edition2025)
	case 0x82:
		return c.control(unit)
	case 2, 3:
		for range c.below(8) {
			unit = c.item(unit, edition2025)
		}
		return unit
	}
	return c.fill(unit, c.below(20))
}

func (c *choices) signature(dst []byte) []byte {
	dst, n := c.count(append(dst, byte(c.below(5))), 2, 32)
	dst, m := c.count(c.fill(dst, n), 2, 32)
	return c.fill(dst, m)
}

// params appends a parameter list; the widths are those of the edition.
func (c *choices) params(unit []byte, edition2025 bool) []byte {
	unit, n := c.count(unit, 1, 20)
	lengths := map[int]int{}
	last := 0
	for range n {
		id := 1 + c.below(17)
		if (last == 4 || last == 13) && c.byte() != 1 {
			id = last + 1 // a domain comes behind its length
		}
		last = id
		unit = append(unit, byte(id))
		width := []int{1: 2, 2, 2, 1, 0, 2, 5, 5, 1, 2, 2, 1, 1, 0, 2, 1, 3}[id]
		switch {
		case edition2025 && (id == 2 || id == 3):
			unit = c.fill(unit, 1)
		case id == 4 || id == 13:
			lengths[id] = c.below(30)
			unit = append(unit, byte(lengths[id]))
		case id == 5 || id == 14:
			unit = c.string(unit, lengths[id-1])
		case id == 7 || id == 8:
			unit = c.string(unit, width)
		default:
			unit = c.fill(unit, width)
		}
	}
	return unit
}

// control appends a control id and its arguments; upgrades come in all encodings that exist.
func (c *choices) control(unit []byte) []byte {
	id := []byte{1, 1, 2, 3, 4, 5, 6, 6, 7, 0x20, 0x90}[c.below(11)]
	unit = append(unit, id)
	switch id {
	case 6:
		return c.string(c.fill(unit, 1), c.below(30))
	case 1:
		switch c.below(4) {
		case 0: // binary
			for _, n := range []int{c.below(6), c.below(6), c.below(6)} {
				unit = append(c.string(unit, n), ';')
			}
			unit = append(c.fill(append(unit, 0, 0)[:len(unit)+2*c.below(2)], 4), ';')
			unit = append(c.fill(unit, 2), ';')
			unit = append(c.string(unit, 4), ';')
			unit = append(c.string(unit, 5), ';')
			unit = append(c.string(unit, 5), ';')
			unit = append(c.string(unit, c.below(30)), ';')
			return c.fill(unit, 2)
		case 1:
			return append(unit, "cmnet;user;pass;10.0.0.1;8080;TB01;1.0.0;0.0.1;ftp://up/x;60"[c.below(4):]...)
		case 2:
			return append(unit, "ftp://up/x;cmnet;user;pass;10.0.0.1;8080;TB01;1.0.0;0.0.1;60"[c.below(4):]...)
		}
	}
	return c.fill(unit, c.below(4))
}
