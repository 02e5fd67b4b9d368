package codec

import (
	"encoding/binary"
	"iter"
)

// List8 is a list of raw numbers of one byte, as they stand on the wire: a view of the frame, so that
// decoding a list of any length costs nothing. [MakeList8] makes one from values.
type List8 []byte

// List16 is a list of raw numbers of two bytes, big-endian; see [List8].
type List16 []byte

// List32 is a list of raw numbers of four bytes, big-endian; see [List8].
type List32 []byte

// MakeList8 returns the list of the raw values given.
func MakeList8(values ...uint8) List8 { return append(List8(nil), values...) }

// MakeList16 returns the list of the raw values given.
func MakeList16(values ...uint16) List16 {
	l := make(List16, 0, 2*len(values))
	for _, v := range values {
		l = binary.BigEndian.AppendUint16(l, v)
	}
	return l
}

// MakeList32 returns the list of the raw values given.
func MakeList32(values ...uint32) List32 {
	l := make(List32, 0, 4*len(values))
	for _, v := range values {
		l = binary.BigEndian.AppendUint32(l, v)
	}
	return l
}

// Len returns the number of entries.
func (l List8) Len() int { return len(l) }

// Len returns the number of entries.
func (l List16) Len() int { return len(l) / 2 }

// Len returns the number of entries.
func (l List32) Len() int { return len(l) / 4 }

// At returns the raw value of entry i, counted from 0.
func (l List8) At(i int) uint8 { return l[i] }

// At returns the raw value of entry i, counted from 0.
func (l List16) At(i int) uint16 { return binary.BigEndian.Uint16(l[2*i:]) }

// At returns the raw value of entry i, counted from 0.
func (l List32) At(i int) uint32 { return binary.BigEndian.Uint32(l[4*i:]) }

// All returns the entries with their index.
func (l List8) All() iter.Seq2[int, uint8] {
	return func(yield func(int, uint8) bool) {
		for i, v := range l {
			if !yield(i, v) {
				return
			}
		}
	}
}

// All returns the entries with their index.
func (l List16) All() iter.Seq2[int, uint16] {
	return func(yield func(int, uint16) bool) {
		for i := range l.Len() {
			if !yield(i, l.At(i)) {
				return
			}
		}
	}
}

// All returns the entries with their index.
func (l List32) All() iter.Seq2[int, uint32] {
	return func(yield func(int, uint32) bool) {
		for i := range l.Len() {
			if !yield(i, l.At(i)) {
				return
			}
		}
	}
}

// resize returns s with length n, in its own memory when that suffices. The entries are to be
// overwritten.
func resize[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}
