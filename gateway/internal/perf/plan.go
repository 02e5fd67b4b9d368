//go:build linux

package main

// config is a server that is measured.
type config struct {
	name          string
	sink, payload string // both empty: the floor
	batch         int    // frames in one message of the batched layout; 0: the other layout
}

// floorName is the first configuration of every round, what the others are compared with.
const floorName = "floor"

func configs() []config {
	return []config{
		{name: floorName},
		{name: "discard, JSON", sink: "discard", payload: "json"},
		{name: "discard, raw", sink: "discard", payload: "raw"},
		{name: "JetStream, JSON", sink: "nats", payload: "json"},
		{name: "JetStream, raw", sink: "nats", payload: "raw"},
		{name: "batched, JSON", sink: "nats", payload: "json", batch: batchFrames},
		{name: "batched, raw", sink: "nats", payload: "raw", batch: batchFrames},
	}
}

// batchFrames is what docs/configuration.md calls a good number.
const batchFrames = 64

// shape is a way in which vehicles send.
type shape struct {
	name        string
	connections int
	window      int
	block       int
}

func shapes() []shape {
	return []shape{
		{name: "S", connections: 200, window: 1, block: 1},
		{name: "P", connections: 50, window: 64, block: 16},
	}
}

// key names a series of measurements.
type key struct{ config, shape string }

// targets are the least shares of the floor that the project wants, in percent of frames for each second of CPU time.
func targets() map[key]float64 {
	return map[key]float64{
		{"discard, JSON", "S"}:   85,
		{"discard, JSON", "P"}:   25,
		{"discard, raw", "P"}:    65,
		{"JetStream, JSON", "S"}: 40,
		{"JetStream, JSON", "P"}: 3,
		{"JetStream, raw", "S"}:  50,
		{"JetStream, raw", "P"}:  6,
		{"batched, JSON", "P"}:   5,
		{"batched, raw", "P"}:    14,
	}
}

// The most that an idle vehicle may take, in KiB of resident memory.
const (
	targetTCP = 1.0
	targetTLS = 12.0
)
