package codec

// Edition is the edition of GB/T 32960.3 that a frame follows. Its start mark tells.
type Edition uint16

// The editions that exist.
const (
	Edition2016 Edition = 2016 // GB/T 32960.3-2016, frames start with "##"
	Edition2025 Edition = 2025 // GB/T 32960.3-2025, frames start with "$$"
)

const (
	startMark2016 = '#'
	startMark2025 = '$'
)

// StartMark returns the byte that stands twice at the start of every frame of the edition.
func (e Edition) StartMark() byte {
	if e == Edition2025 {
		return startMark2025
	}
	return startMark2016
}

// editionOf returns the edition whose start mark consists of c.
func editionOf(c byte) Edition {
	if c == startMark2025 {
		return Edition2025
	}
	return Edition2016
}
