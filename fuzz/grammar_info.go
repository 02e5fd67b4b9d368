package fuzz

// item appends one info item: mostly of a type the edition knows, in its table's size.
func (c *choices) item(unit []byte, edition2025 bool) []byte {
	if edition2025 {
		return c.item2025(unit)
	}
	return c.item2016(unit)
}

func (c *choices) item2016(unit []byte) []byte {
	kind := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0x80, 0xE4, 0x0A}[c.below(12)]
	unit = append(unit, kind)
	var n int
	switch kind {
	case 1:
		return c.fill(unit, 20)
	case 2:
		unit, n = c.count(unit, 1, 4)
		return c.fills(unit, n, 12)
	case 3:
		unit, n = c.count(c.fill(unit, 6), 2, 30)
		return c.fill(c.fill(unit, n), 10)
	case 4:
		return c.fill(unit, 5)
	case 5:
		return c.fill(unit, 9)
	case 6:
		return c.fill(unit, 14)
	case 7:
		unit = c.fill(unit, 5)
		for range 4 {
			unit, n = c.count(unit, 1, 5)
			unit = c.fill(unit, 4*n)
		}
		return unit
	case 8:
		unit, n = c.count(unit, 1, 3)
		for range n {
			cells := c.below(12)
			if c.byte() == 1 {
				cells = 254 + c.below(2)
			}
			unit = c.mixed(append(c.fill(unit, 9), byte(cells)), cells, 2)
		}
		return unit
	case 9:
		unit, n = c.count(unit, 1, 3)
		for range n {
			var probes int
			unit, probes = c.count(c.fill(unit, 1), 2, 20)
			unit = c.mixed(unit, probes, 1)
		}
		return unit
	}
	return c.custom(unit)
}

func (c *choices) item2025(unit []byte) []byte {
	kind := []byte{1, 2, 3, 4, 5, 6, 7, 8, 0x30, 0x31, 0x32, 0x80, 0xFF, 0x09}[c.below(14)]
	unit = append(unit, kind)
	var n int
	switch kind {
	case 1, 0x32:
		return c.fill(unit, 18)
	case 2:
		unit, n = c.count(unit, 1, 4)
		return c.fills(unit, n, 10)
	case 3:
		return c.fill(unit, 12)
	case 4:
		return c.fill(unit, 2)
	case 5:
		return c.fill(unit, 10)
	case 6:
		unit = c.fill(unit, 5)
		for _, size := range []int{4, 4, 4, 4, 2} {
			unit, n = c.count(unit, 1, 5)
			unit = c.fill(unit, size*n)
		}
		return unit
	case 7, 8, 0x30:
		unit, n = c.count(unit, 1, 3)
		for range n {
			head := map[byte]int{7: 5, 8: 1, 0x30: 10}[kind]
			size := map[byte]int{7: 2, 8: 1, 0x30: 1}[kind]
			var entries int
			unit, entries = c.count(c.fill(unit, head), 2, 20)
			unit = c.mixed(unit, entries, size)
		}
		return unit
	case 0x31:
		unit, n = c.count(c.fill(unit, 5), 2, 20)
		unit, m := c.count(c.mixed(unit, n, 2), 2, 20)
		return c.mixed(unit, m, 1)
	case 0xFF:
		return c.signature(unit)
	}
	return c.custom(unit)
}

// custom appends the length and the bytes of a user-defined item.
func (c *choices) custom(unit []byte) []byte {
	n := c.below(20)
	return c.fill(append(unit, 0, byte(n)), n)
}

// fills appends n records of size bytes.
func (c *choices) fills(unit []byte, n, size int) []byte {
	for range n {
		unit = c.fill(unit, size)
	}
	return unit
}

// mixed appends n values of size bytes with runs of marks between them.
func (c *choices) mixed(unit []byte, n, size int) []byte {
	for n > 0 {
		run := min(n, 1+c.below(6))
		unit = c.fill(unit, run*size)
		n -= run
	}
	return unit
}
