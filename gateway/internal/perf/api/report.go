//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
)

// result is one measurement.
type result struct {
	calls              int
	callRate           float64 // calls a second
	frameRate          float64 // frames of other vehicles answered in a second
	frame50, frame99   time.Duration
	frameMax           time.Duration
	answer50, answer99 time.Duration
	cpu                float64 // of the gateway: CPU seconds in a second
}

// String is a line about how far it is.
func (r result) String() string {
	return fmt.Sprintf("%d calls, %.0f/s, to the frame p50 %s p99 %s, %.0f frames/s", r.calls, r.callRate, millis(r.frame50), millis(r.frame99), r.frameRate)
}

// results are the measurements of each scenario, by name.
type results map[string][]result

// text is the measured part of the page.
func (r results) text(o options) string {
	head := []string{"vehicles", "calls/s", "frames/s answered", "to the frame: p50 ms", "p99 ms", "longest ms", "to the answer: p50 ms", "p99 ms", "CPU gateway", "target p99", ""}
	var rows [][]string
	for _, s := range scenarios() {
		list := r[s.name]
		p99 := medianOf(list, func(r result) float64 { return float64(r.frame99) })
		rows = append(rows, []string{
			s.name, number(list, func(r result) float64 { return r.callRate }), number(list, func(r result) float64 { return r.frameRate }),
			spread(list, func(r result) time.Duration { return r.frame50 }), "**" + spread(list, func(r result) time.Duration { return r.frame99 }) + "**",
			spread(list, func(r result) time.Duration { return r.frameMax }), spread(list, func(r result) time.Duration { return r.answer50 }),
			spread(list, func(r result) time.Duration { return r.answer99 }), fmt.Sprintf("%.2f", medianOf(list, func(r result) float64 { return r.cpu })),
			"< " + millis(s.target), verdict(p99 < float64(s.target)),
		})
	}
	load := "unknown"
	if v, err := proc.LoadAverage(); err == nil {
		load = fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%s, %s; %d rounds of %s after %s, %d vehicles commanded in turn, %d access keys; load average at the end %s.\n\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), proc.Model(), o.Rounds, o.Length, o.Warm, o.vehicles, scenarios()[0].keys, load) +
		page.Table(head, rows)
}

// spread is the median of all rounds with the least and the greatest.
func spread(list []result, value func(result) time.Duration) string {
	all := make([]time.Duration, len(list))
	for i, r := range list {
		all[i] = value(r)
	}
	slices.Sort(all)
	return fmt.Sprintf("%s (%s–%s)", millis(all[len(all)/2]), millis(all[0]), millis(all[len(all)-1]))
}

func medianOf(list []result, value func(result) float64) float64 {
	all := make([]float64, len(list))
	for i, r := range list {
		all[i] = value(r)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func number(list []result, value func(result) float64) string {
	return fmt.Sprintf("%.0f", medianOf(list, value))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}
