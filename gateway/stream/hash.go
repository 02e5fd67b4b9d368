package stream

import (
	"hash/maphash"
	"slices"
)

// hashSeed is the process's own: no peer can make two reports that are taken for one.
var hashSeed = maphash.MakeSeed()

// UnitHash is the hash by which repeated reports are found: of the whole data unit, collection time included. It is
// another in every process and never stored. About 30 ns for 300 bytes.
func UnitHash(unit []byte) uint64 { return maphash.Bytes(hashSeed, unit) }

// hashes is a set of UnitHashes: some nine bytes each, where a map takes twice as many. New ones wait in a short list until
// it is worth sorting them in.
type hashes struct {
	sorted []uint64
	added  []uint64
}

// minAdded is how many new ones wait at least.
const minAdded = 32

func (s *hashes) size() int { return len(s.sorted) + len(s.added) }

func (s *hashes) has(h uint64) bool {
	if slices.Contains(s.added, h) {
		return true
	}
	_, found := slices.BinarySearch(s.sorted, h)
	return found
}

func (s *hashes) add(h uint64) {
	if s.has(h) {
		return
	}
	s.added = append(s.added, h)
	if len(s.added) < max(minAdded, min(len(s.sorted)/16, 1024)) {
		return
	}
	slices.Sort(s.added)
	all := make([]uint64, 0, s.size())
	for _, h := range s.sorted {
		for len(s.added) > 0 && s.added[0] < h {
			all = append(all, s.added[0])
			s.added = s.added[1:]
		}
		all = append(all, h)
	}
	s.sorted, s.added = append(all, s.added...), nil
}
