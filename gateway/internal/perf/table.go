//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
)

// tableBenchmark runs the benchmark of the session table with a million VINs.
func tableBenchmark(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkTable$", "-benchmem", "./session")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("the table's benchmark: %w\n%s", err, out.Bytes())
	}
	return benchTable(out.String())
}

// benchTable makes a table of what go test -bench prints: a name, a count, then values each with its unit.
func benchTable(out string) (string, error) {
	var units []string
	values := []map[string]string{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		name, ok := strings.CutPrefix(strings.Join(fields[:min(1, len(fields))], ""), "Benchmark")
		if !ok || len(fields) < 4 {
			continue
		}
		row := map[string]string{"": strings.ReplaceAll(name, "_", " ")}
		for i := 2; i+1 < len(fields); i += 2 {
			unit := fields[i+1]
			if row[unit] = fields[i]; !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
		values = append(values, row)
	}
	if len(values) == 0 {
		return "", fmt.Errorf("no benchmark in what go test printed:\n%s", out)
	}
	rows := make([][]string, len(values))
	for i, v := range values {
		rows[i] = []string{v[""]}
		for _, u := range units {
			rows[i] = append(rows[i], v[u])
		}
	}
	return page.Table(append([]string{"benchmark"}, units...), rows), nil
}
