package main

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// heapFloor is the size up to which the heap may grow before garbage is collected at all. A gateway with few vehicles
// has some twenty megabytes in use, and at Go's default it would collect dozens of times a second under load.
const heapFloor = 128 << 20

// usualPercent is Go's default: the heap may grow to twice what is in use.
const usualPercent = 100

// keepHeapFloor sets how often garbage is collected, again and again as what is in use changes, until stop is called.
// Whoever sets GOGC has decided it himself; a GOMEMLIMIT holds in any case.
func keepHeapFloor() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	quit, over := make(chan struct{}), make(chan struct{})
	before := debug.SetGCPercent(gcPercent(0))
	go func() {
		defer close(over)
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		set := gcPercent(0)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-tick.C:
			case <-quit:
				tick.Stop()
				debug.SetGCPercent(before)
				return
			}
			metrics.Read(live)
			// Setting it stops the world for a moment, so small changes are let be.
			if want := gcPercent(live[0].Value.Uint64()); math.Abs(float64(want-set)) > float64(set)/10 {
				debug.SetGCPercent(want)
				set = want
			}
		}
	}()
	return func() { close(quit); <-over }
}

// gcPercent is how much the heap may grow, in percent of what is in use.
func gcPercent(live uint64) int {
	return max(usualPercent, int(heapFloor*100/max(live, 4<<20))-100)
}
