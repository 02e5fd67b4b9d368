//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/load"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
)

// machine says where and when it is measured.
func (b *bench) machine(ctx context.Context) (string, error) {
	revision, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("the revision: %w", err)
	}
	busy, err := proc.LoadAverage()
	if err != nil {
		return "", err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	kernel := string(bytes.TrimRight(u.Release[:], "\x00"))
	return page.Table([]string{"", ""}, [][]string{
		{"measured", time.Now().UTC().Format("2006-01-02 15:04 MST") + ", revision " + strings.TrimSpace(string(revision))},
		{"processor", fmt.Sprintf("%s, %d cores; server on core %d, load on core %d", proc.Model(), runtime.NumCPU(), b.ServerCore, b.LoadCore)},
		{"system", fmt.Sprintf("Linux %s, %s; load average before the start %.2f", kernel, runtime.Version(), busy)},
		{"throughput", fmt.Sprintf("%d rounds, each measurement %v after %v", b.Rounds, b.Length, b.Warm)},
		{"memory", fmt.Sprintf("%d rounds of %s vehicles", b.idle, thousands(float64(b.vehicles)))},
	}), nil
}

// spread is the median of values with the least and the greatest.
type spread struct{ median, least, greatest float64 }

func spreadOf[T any](list []T, value func(T) float64) spread {
	if len(list) == 0 {
		return spread{}
	}
	v := make([]float64, len(list))
	for i, x := range list {
		v[i] = value(x)
	}
	slices.Sort(v)
	return spread{v[len(v)/2], v[0], v[len(v)-1]}
}

func (s spread) text(format func(float64) string) string {
	return fmt.Sprintf("**%s** (%s–%s)", format(s.median), format(s.least), format(s.greatest))
}

// shares are the frames per CPU second of a series as percentages of the floor's in the same round.
func (r results) shares(k key) []float64 {
	floor := r[key{floorName, k.shape}]
	out := make([]float64, len(r[k]))
	for i, one := range r[k] {
		out[i] = 100 * one.PerCPU / floor[i].PerCPU
	}
	return out
}

// text is the table of targets: frames for each second of CPU time, as shares of the floor.
func (r results) text() string {
	var rows [][]string
	for _, s := range shapes() {
		for _, c := range configs() {
			k := key{c.name, s.name}
			row := []string{c.name, s.name, spreadOf(r[k], func(x load.Result) float64 { return x.PerCPU }).text(thousands)}
			if c.name == floorName {
				rows = append(rows, append(row, "100 %", "", ""))
				continue
			}
			share := spreadOf(r.shares(k), func(x float64) float64 { return x })
			row = append(row, share.text(percent))
			if want, ok := targets()[k]; ok {
				row = append(row, fmt.Sprintf("≥ %.0f %%", want), verdict(share.median >= want))
			} else {
				row = append(row, "", "")
			}
			rows = append(rows, row)
		}
	}
	return page.Table([]string{"server", "load", "frames per server CPU second", "of the floor", "target", ""}, rows)
}

// details are the medians of everything else.
func (r results) details() string {
	var rows [][]string
	for _, s := range shapes() {
		for _, c := range configs() {
			list := r[key{c.name, s.name}]
			med := func(f func(load.Result) float64) float64 { return spreadOf(list, f).median }
			wrong := int64(0)
			gap := 0.0
			for _, one := range list {
				wrong += one.Wrong + one.Refused
				gap = max(gap, one.LongestGap)
			}
			rows = append(rows, []string{
				c.name, s.name,
				spreadOf(list, func(x load.Result) float64 { return x.Rate }).text(thousands),
				thousands(med(func(x load.Result) float64 { return x.P50 })),
				thousands(med(func(x load.Result) float64 { return x.P99 })),
				fmt.Sprintf("%.2f", med(func(x load.Result) float64 { return x.ServerCPU })),
				fmt.Sprintf("%.2f", med(func(x load.Result) float64 { return x.ClientCPU })),
				fmt.Sprintf("%.0f", med(func(x load.Result) float64 { return float64(x.RSS) / 1024 })),
				fmt.Sprintf("%.0f", gap),
				fmt.Sprint(wrong),
			})
		}
	}
	return page.Table([]string{"server", "load", "frames/s", "p50 µs", "p99 µs", "CPU server", "CPU load", "MiB", "longest gap ms", "wrong"}, rows)
}

// idleText is the table of the memory measurement.
func idleText(r map[idleKey][]idleResult, vehicles int) string {
	var rows [][]string
	for _, k := range idleKeys() {
		list := r[k]
		most := targetTCP
		if k.tls {
			most = targetTLS
		}
		grown := spreadOf(list, func(x idleResult) float64 { return x.grown })
		fresh := spreadOf(list, func(x idleResult) float64 { return x.overFresh })
		more := spreadOf(list, func(x idleResult) float64 { return x.goroutines[1] - x.goroutines[0] })
		with := spreadOf(list, func(x idleResult) float64 { return x.goroutines[1] })
		rows = append(rows, []string{
			k.String(), grown.text(kib), fmt.Sprintf("≤ %.1f", most), verdict(grown.median <= most), fresh.text(kib),
			fmt.Sprintf("%.0f (%+.0f)", with.median, more.median),
		})
	}
	return page.Table([]string{fmt.Sprintf("%s vehicles over", thousands(float64(vehicles))), "KiB resident each", "target", "",
		"over the fresh process", "goroutines (more than without)"}, rows)
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

func percent(v float64) string { return fmt.Sprintf("%.1f %%", v) }

func kib(v float64) string { return fmt.Sprintf("%.2f", v) }

// thousands writes a number without decimals, with a comma every three digits.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
