package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLinks: no relative link of any document is dead, neither its file nor its anchor.
func TestLinks(t *testing.T) {
	byPath := map[string]page{}
	for _, p := range pages(t) {
		byPath[p.path] = p
	}
	links := 0
	for _, p := range byPath {
		for _, target := range p.links() {
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(target, "#")
			at := p.path
			if file != "" {
				at = path.Join(path.Dir(p.path), file)
			}
			if strings.HasPrefix(at, "../../") { // GitHub's own pages of the repository, such as ../../security
				continue
			}
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(at)))
			if !assert.NoError(t, err, "%s links to %s", p.path, target) || anchor == "" {
				continue
			}
			to, isPage := byPath[at]
			if assert.True(t, isPage, "%s links to an anchor of %s, which is no document", p.path, target) {
				assert.True(t, to.anchors()[anchor], "%s links to %s: no such heading", p.path, target)
			}
		}
	}
	require.Greater(t, links, 30)
}

// TestIndex: every page below docs can be reached from docs/README.md at once, and that from the README.
func TestIndex(t *testing.T) {
	linked := map[string]bool{"docs/README.md": true}
	for _, target := range readPage(t, "docs/README.md").links() {
		file, _, _ := strings.Cut(target, "#")
		linked[path.Join("docs", file)] = true
	}
	for _, p := range pages(t) {
		if strings.HasPrefix(p.path, "docs/") {
			assert.True(t, linked[p.path], "docs/README.md does not link to %s", p.path)
		}
	}
	require.Contains(t, readPage(t, "README.md").links(), "docs/README.md")
}

// TestAnchors: headings have the names that GitHub gives them.
func TestAnchors(t *testing.T) {
	p := page{headings: []heading{{2, "listeners[].tls"}, {2, "What `send` does: it's 2×"}, {2, "A [link](x.md)"}, {2, "A link"}, {2, "补发 (0x03)"}}}
	require.Equal(t, map[string]bool{
		"listenerstls": true, "what-send-does-its-2": true, "a-link": true, "a-link-1": true, "补发-0x03": true,
	}, p.anchors())
}
