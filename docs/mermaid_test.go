//go:build mermaid

package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseDiagrams has Mermaid parse the diagrams of pages, which are paths relative to this package.
func parseDiagrams(pages ...string) (stdout, stderr string, err error) {
	var out, complaints strings.Builder
	cmd := exec.Command("node", append([]string{"mermaid/check.mjs"}, pages...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

// TestMermaid: Mermaid can parse every diagram of every page, and has seen all of them.
func TestMermaid(t *testing.T) {
	var paths []string
	diagrams := 0
	for _, p := range pages(t) {
		for _, b := range p.code {
			if b.language == "mermaid" {
				diagrams++
			}
		}
		paths = append(paths, filepath.Join(root, filepath.FromSlash(p.path)))
	}
	require.NotZero(t, diagrams)
	stdout, stderr, err := parseDiagrams(paths...)
	require.NoError(t, err, stderr)
	require.Equal(t, fmt.Sprintf("%d diagrams\n", diagrams), stdout)
}

// TestMermaidBroken: a diagram that cannot be parsed fails, whatever stands before and behind it, and is named.
func TestMermaidBroken(t *testing.T) {
	const good = "```mermaid\nflowchart LR\n  a -- \"b\" --> c\n```\n"
	for _, broken := range []string{
		"flowchart LR\n  a -- \"b --> c\n",
		"flowchart LR\n  a[(store] --> c\n",
		"sequenceDiagram\n  a ->> \n",
		"flowchrt LR\n  a --> b\n",
	} {
		page := filepath.Join(t.TempDir(), "page.md")
		require.NoError(t, os.WriteFile(page, []byte("# A page\n\n"+good+"\n```mermaid\n"+broken+"```\n\n"+good), 0o600))
		stdout, stderr, err := parseDiagrams(page)
		require.Error(t, err, broken)
		require.Contains(t, stderr, page+":8: this diagram cannot be parsed: ", broken)
		require.Equal(t, "3 diagrams\n", stdout)
	}
}
