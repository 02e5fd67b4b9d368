package docs_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/tboxgate/tboxgate/"

// TestRooms: docs/architecture.md has a word for every package and none for one that is gone, and each imports what the
// table lets it.
func TestRooms(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir = root
	out, err := list.Output()
	require.NoError(t, err)
	imports := map[string][]string{"docs/wireshark": nil} // tests under a build tag
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		path := strings.TrimPrefix(words[0], module)
		imports[path] = nil
		for _, word := range words[1:] {
			if of, ours := strings.CutPrefix(word, module); ours {
				imports[path] = append(imports[path], of)
			}
		}
	}

	named := map[string]bool{}
	p := readPage(t, "docs/architecture.md")
	_, rooms, ok := strings.Cut(p.prose, "\n## The rooms\n")
	require.True(t, ok)
	rooms, _, _ = strings.Cut(rooms, "\n## ")
	for line := range strings.Lines(rooms) {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") || !assert.Len(t, cells, 5, line) {
			continue
		}
		for _, m := range inlineCode.FindAllStringSubmatch(cells[1]+cells[2], -1) {
			room := m[1]
			if strings.ContainsAny(room, "*.") {
				continue
			}
			named[room] = true
			uses, there := imports[room]
			assert.True(t, there, "%s is no package", room)
			for _, of := range uses {
				assert.True(t, mayImport(room, of, cells[3]), "%s imports %s; the table says: %s", room, of, cells[3])
			}
		}
	}
	for path := range imports {
		if !strings.HasPrefix(path, "gateway/internal/perf/") { // what measures is one room
			assert.True(t, named[path], "docs/architecture.md does not name %s", path)
		}
	}
}

// mayImport reports whether a cell of the table lets a package import another.
func mayImport(from, of, cell string) bool {
	top := func(path string) string { before, _, _ := strings.Cut(path, "/"); return before }
	return strings.TrimSpace(cell) == "all" || top(from) == top(of) || strings.Contains(cell, "`"+top(of)+"`")
}
