package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/stream/flat"
)

// TestReadingReference: docs/reading.md lists the columns of a table as they are. -update writes them.
func TestReadingReference(t *testing.T) {
	const path, head = "../../docs/reading.md", "| column | type | from | |\n|---|---|---|---|\n"
	var want strings.Builder
	for _, c := range flat.Columns() {
		from := ""
		if c.Item != "" {
			from = "`" + c.Item + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", c.Name, c.Type, from, c.Doc)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), head)
	require.True(t, found, "the head of the table")
	have, after, found := strings.Cut(rest, "\n## ")
	require.True(t, found, "the end of the table")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+head+want.String()+"\n## "+after), 0o644))
		return
	}
	require.Equal(t, want.String()+"\n", have+"\n", "run make generate")
}
