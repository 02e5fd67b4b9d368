package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var bold = regexp.MustCompile(`\*\*([^*]+)\*\*`)

// measured finds the median in a table of docs/performance.md: the bold cell of the row that begins with the given cells.
func measured(t *testing.T, text, block string, row ...string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "<!-- begin "+block+" (measured) -->")
	require.True(t, ok, block)
	table, _, ok := strings.Cut(rest, "<!-- end "+block+" -->")
	require.True(t, ok, block)
	for line := range strings.Lines(table) {
		if cells, ok := strings.CutPrefix(line, "| "+strings.Join(row, " | ")+" | "); ok {
			m := bold.FindStringSubmatch(cells)
			require.NotNil(t, m, line)
			return m[1]
		}
	}
	t.Fatalf("docs/performance.md has no row %v in %s", row, block)
	return ""
}

// TestFigures: the figures that both READMEs show are those that were measured last. -update writes them.
func TestFigures(t *testing.T) {
	b, err := os.ReadFile("performance.md")
	require.NoError(t, err)
	text := string(b)
	want := []string{
		measured(t, text, "frames", "JetStream, JSON", "S"),
		measured(t, text, "frames", "JetStream, JSON", "P"),
		measured(t, text, "memory", "TCP, GOGC=100"),
		measured(t, text, "memory", "TLS, GOGC=100"),
	}
	const begin, end = "<!-- begin figures (measured) -->", "<!-- end figures -->"
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		p := readPage(t, name)
		before, rest, ok := strings.Cut(p.text, begin)
		require.True(t, ok, name)
		table, after, ok := strings.Cut(rest, end)
		require.True(t, ok, name)
		var have []string
		next := 0
		written := bold.ReplaceAllStringFunc(table, func(cell string) string {
			have = append(have, strings.Trim(cell, "*"))
			next++
			if next > len(want) {
				return cell
			}
			return "**" + want[next-1] + "**"
		})
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(before+begin+written+end+after), 0o644))
			continue
		}
		require.Equal(t, want, have, "%s: run make generate", name)
	}
}
