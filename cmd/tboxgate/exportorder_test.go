package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExportOrder: by collection time, frames of one time as they came, those without a time at their receipt.
func TestExportOrder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	line := func(n, at string) string {
		return strings.NewReplacer("2026-03-04T13:06:07+08:00", at, `"node":"gw1"`, `"node":"`+n+`"`).Replace(storedLine)
	}
	url, _ := halfStore(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		for _, l := range []string{
			line("4", "2026-03-04T13:07:00+08:00"), // received at 13:06:07.089
			line("1", "2026-03-04T13:05:00+08:00"), line("2", "2026-03-04T04:05:00-01:00"),
			strings.Replace(line("3", ""), `"time":""`, `"time":null,"timeHex":"1a0d00000000"`, 1),
			line("0", "2026-03-03T13:05:00+08:00"),
		} {
			_, _ = io.WriteString(w, l)
		}
	})
	nodes := func(args ...string) (all string) {
		for l := range strings.Lines(ok(t, append([]string{"export", "--addr", url, "--token", "t"}, args...)...)) {
			_, l, found := strings.Cut(l, `"node":"`)
			require.True(t, found)
			all += l[:1]
		}
		return all
	}
	require.Equal(t, "41230", nodes())
	require.Equal(t, "01234", nodes("--order", "collected"))
	csv := ok(t, "export", "--addr", url, "--token", "t", "--order", "collected", "--format", "csv")
	require.Contains(t, strings.Split(csv, "\n")[1], "2026-03-03T05:05:00.000Z")
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
	code, _, stderr := tboxgate(t, "", "export", "--addr", url, "--token", "t", "--order", "time")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, `--order "time": received and collected are possible`)
}
