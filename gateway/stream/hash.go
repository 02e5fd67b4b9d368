package stream

import "github.com/cespare/xxhash/v2"

// UnitHash is the hash by which repeated reports are found: of the whole data unit, collection time included.
// About 20 ns for 300 bytes.
func UnitHash(unit []byte) uint64 { return xxhash.Sum64(unit) }
