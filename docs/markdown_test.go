// Package docs_test holds the documents to what is there: links lead somewhere, every page can be found, what is quoted
// is what the program says, and the languages say the same.
package docs_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what is made from other files")

// root is the repository, seen from this package.
const root = ".."

// page is a document of the repository.
type page struct {
	path     string // slashes, relative to the repository
	text     string
	prose    string // without code blocks and comments
	code     []block
	headings []heading
}

// block is a fenced code block.
type block struct{ language, text string }

// heading is a line that begins with #.
type heading struct {
	level int
	text  string
}

var (
	fence   = regexp.MustCompile("(?ms)^(`{3,})([^`\n]*)\n(.*?)^`{3,} *$")
	comment = regexp.MustCompile(`(?s)<!--.*?-->`)
	title   = regexp.MustCompile(`(?m)^(#{1,6}) +(.+?) *#*$`)
)

// readPage reads a document.
func readPage(t *testing.T, path string) page {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	require.NoError(t, err)
	p := page{path: path, text: string(b)}
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		p.code = append(p.code, block{strings.TrimSpace(m[2]), m[3]})
	}
	p.prose = comment.ReplaceAllString(fence.ReplaceAllString(p.text, ""), "")
	for _, m := range title.FindAllStringSubmatch(p.prose, -1) {
		p.headings = append(p.headings, heading{len(m[1]), m[2]})
	}
	return p
}

// pages reads every document of the repository.
func pages(t *testing.T) (all []page) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == ".git" || name == "node_modules" || name == "testdata" || name == "bin" || name == "tboxgate-data") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".md") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			all = append(all, readPage(t, filepath.ToSlash(rel)))
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(all), 10)
	return all
}

var (
	inlineCode = regexp.MustCompile("`+([^`]+?)`+")
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// anchors are the names that GitHub gives a page's headings: lower case, without punctuation, blanks as hyphens, a
// number behind one that was there before.
func (p page) anchors() map[string]bool {
	have := map[string]bool{}
	for _, h := range p.headings {
		text := linkText.ReplaceAllString(inlineCode.ReplaceAllString(h.text, "$1"), "$1")
		var b strings.Builder
		for _, r := range strings.ToLower(text) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				b.WriteRune(r)
			}
		}
		name := b.String()
		for i := 1; have[name]; i++ {
			name = b.String() + "-" + strconv.Itoa(i)
		}
		have[name] = true
	}
	return have
}

// link is [text](target) outside of code.
var link = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)

// links are the targets of a page's links, in order.
func (p page) links() (targets []string) {
	for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllStringFunc(p.prose, keepLinkText), -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// keepLinkText blanks code, which may show links that are none.
func keepLinkText(code string) string { return strings.Repeat("x", len(code)) }
