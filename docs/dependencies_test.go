package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDependencies: docs/dependencies.md names every module that ours require themselves or take tools from, and the
// packages of Node's, and none that is gone.
func TestDependencies(t *testing.T) {
	used := map[string]bool{}
	files, err := exec.Command("git", "-C", root, "ls-files", "*go.mod", "*package.json").Output()
	require.NoError(t, err)
	for path := range strings.FieldsSeq(string(files)) {
		path = filepath.Join(root, filepath.FromSlash(path))
		if filepath.Base(path) == "go.mod" {
			goModules(t, path, used)
			continue
		}
		var node struct{ Dependencies map[string]string }
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &node))
		for name := range node.Dependencies {
			used[name] = true
		}
	}
	require.Greater(t, len(used), 30)

	named := map[string]bool{}
	for line := range strings.Lines(readPage(t, "docs/dependencies.md").prose) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "module" {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			name = strings.TrimSpace(name)
			named[name] = true
			assert.True(t, used[name], "docs/dependencies.md names %s, which no module requires itself", name)
		}
	}
	for name := range used {
		assert.True(t, named[name], "docs/dependencies.md does not name %s", name)
	}
}

// goModules adds what a go.mod requires itself or takes tools from. The page leaves github.com away.
func goModules(t *testing.T, path string, used map[string]bool) {
	out, err := exec.Command("go", "mod", "edit", "-json", path).Output()
	require.NoError(t, err)
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Tool []struct{ Path string }
	}
	require.NoError(t, json.Unmarshal(out, &mod))
	for _, r := range mod.Require {
		direct := !r.Indirect
		for _, tool := range mod.Tool {
			direct = direct || strings.HasPrefix(tool.Path, r.Path+"/")
		}
		if direct && r.Path+"/" != module {
			used[strings.TrimPrefix(r.Path, "github.com/")] = true
		}
	}
}
