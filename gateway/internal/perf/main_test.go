//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/load"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
)

// TestRun is everything, shortly: the programs, one round, the page. It needs two cores.
func TestRun(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "..")) // the root, where it is called
	out := filepath.Join(t.TempDir(), "page.md")
	text := ""
	for _, name := range []string{"machine", "frames", "rates", "memory"} {
		begin, end := page.Marks(name)
		text += begin + end
	}
	require.NoError(t, os.WriteFile(out, []byte(text), 0o644))
	var log bytes.Buffer
	core := "0" // one core will do to see that it works
	require.NoError(t, run(t.Context(), []string{"-rounds", "1", "-warm", "0s", "-d", "100ms", "-idle", "1", "-vehicles", "100", "-settle", "100ms", "-table=false",
		"-load-core", core, "-temp", t.TempDir(), "-out", out}, &log))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, pattern := range []string{
		`\| floor \| S \| \*\*[1-9][0-9,]*\*\*`, `\| JetStream, raw \| P \| .* \| ≥ 6 % \|`, `\| TCP, GOGC=10 \|`, `\| TLS, GOGC=100 \|`,
	} {
		require.Regexp(t, regexp.MustCompile(pattern), string(got))
	}
	require.Contains(t, log.String(), "round 1/1  JetStream, raw   P")
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "51"}, {"-d", "1ms"}, {"-vehicles", "0"}, {"-fast"}} {
		require.Error(t, run(t.Context(), args, &bytes.Buffer{}))
	}
}

// TestEveryTargetIsMeasured: no target waits for a configuration that does not exist.
func TestEveryTargetIsMeasured(t *testing.T) {
	have := map[key]bool{}
	for _, c := range configs() {
		for _, s := range shapes() {
			have[key{c.name, s.name}] = true
		}
	}
	require.Equal(t, floorName, configs()[0].name, "shares are of the same round's floor, measured before")
	for k := range targets() {
		require.True(t, have[k], "%v", k)
	}
}

// TestShares: each round is compared with its own floor, and the median decides.
func TestShares(t *testing.T) {
	r := results{}
	for round, floor := range []float64{1000, 2000, 500} {
		r[key{floorName, "S"}] = append(r[key{floorName, "S"}], load.Result{PerCPU: floor})
		share := []float64{.80, .90, .84}[round]
		r[key{"discard, JSON", "S"}] = append(r[key{"discard, JSON", "S"}], load.Result{PerCPU: floor * share})
	}
	require.InDeltaSlice(t, []float64{80, 90, 84}, r.shares(key{"discard, JSON", "S"}), 1e-9)
	require.Contains(t, r.text(), "| discard, JSON | S | **800** (420–1,800) | **84.0 %** (80.0 %–90.0 %) | ≥ 85 % | **missed** |")
}

func TestFlaws(t *testing.T) {
	r := results{key{floorName, "P"}: {{}}}
	require.NoError(t, r.flaws())
	r[key{"discard, raw", "P"}] = []load.Result{{}, {Wrong: 3, Closed: 1}}
	require.ErrorContains(t, r.flaws(), "round 2, discard, raw, P: 3 wrong answers, 0 refusals, 1 connections closed")
}

func TestBenchTable(t *testing.T) {
	text, err := benchTable(`goos: linux
BenchmarkTable/Get-2         	 1000000	       100.5 ns/op	       0 B/op	       0 allocs/op
BenchmarkTable/TakeOver-2    	  500000	       300 ns/op	        61.2 bytes/VIN	      16 B/op	       1 allocs/op
PASS
`)
	require.NoError(t, err)
	require.Equal(t, `| benchmark | ns/op | B/op | allocs/op | bytes/VIN |
|---|---|---|---|---|
| Table/Get-2 | 100.5 | 0 | 0 |  |
| Table/TakeOver-2 | 300 | 16 | 1 | 61.2 |
`, text)
	_, err = benchTable("PASS\n")
	require.Error(t, err)
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.8: "1,234,568", -1234: "-1,234", -123: "-123"} {
		require.Equal(t, want, thousands(v))
	}
}
