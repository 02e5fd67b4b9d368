// Package fuzz attacks the codec. It holds fuzz targets, helpers that make hostile but well-framed
// input, and a second decoder, slow and plain, that was written from the wire specification alone
// and says what the codec's JSON must be.
//
// Nothing of the gateway imports it. docs/fuzzing.md tells how to run it.
package fuzz
