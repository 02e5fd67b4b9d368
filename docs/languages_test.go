package docs_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const inChinese = ".zh-CN.md"

var codeComment = regexp.MustCompile(`(^| +)#.*$`)

// commands are a code block's lines without the comments, which are in the reader's language.
func commands(b block) (lines []string) {
	for line := range strings.Lines(b.text) {
		if line = strings.TrimRight(codeComment.ReplaceAllString(strings.TrimRight(line, "\n"), ""), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestLanguages: what a page says in two languages cannot drift apart where it can be compared. Code blocks are the same
// but for comments, diagrams but for their words; headings, tables and links are the same in number, order and target.
func TestLanguages(t *testing.T) {
	compared := 0
	for _, zh := range pages(t) {
		name, isChinese := strings.CutSuffix(zh.path, inChinese)
		if !isChinese {
			continue
		}
		compared++
		name += ".md"
		en := readPage(t, name)
		require.Contains(t, en.links(), path.Base(zh.path))
		require.Contains(t, zh.links(), path.Base(en.path))

		require.Len(t, zh.code, len(en.code), name)
		for i := range en.code {
			require.Equal(t, en.code[i].language, zh.code[i].language, "%s, code block %d", name, i+1)
			if en.code[i].language == "mermaid" {
				require.Equal(t, strings.Count(en.code[i].text, "\n"), strings.Count(zh.code[i].text, "\n"), "%s, diagram", name)
				continue
			}
			require.Equal(t, commands(en.code[i]), commands(zh.code[i]), "%s, code block %d", name, i+1)
		}

		require.Equal(t, commands(block{text: indented(en)}), commands(block{text: indented(zh)}), "indented code of %s", name)

		levels := func(p page) (l []int) {
			for _, h := range p.headings {
				l = append(l, h.level)
			}
			return l
		}
		require.Equal(t, levels(en), levels(zh), "headings of %s", name)
		require.Equal(t, tableRows(en), tableRows(zh), "rows of the tables of %s", name)
		require.Equal(t, targets(en), targets(zh), "links of %s", name)
	}
	require.NotZero(t, compared)
}

// indented are the lines of code that is indented instead of fenced.
func indented(p page) string {
	var b strings.Builder
	for line := range strings.Lines(p.prose) {
		if strings.HasPrefix(line, "    ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// tableRows are the numbers of cells of all rows of all tables.
func tableRows(p page) (rows []int) {
	for line := range strings.Lines(p.prose) {
		if strings.HasPrefix(line, "|") {
			rows = append(rows, strings.Count(line, "|")-strings.Count(line, `\|`))
		}
	}
	return rows
}

// targets are the pages that a page links to, whatever their language, and in alphabetical order, since sentences are
// built otherwise.
func targets(p page) (list []string) {
	for _, target := range p.links() {
		file, _, _ := strings.Cut(target, "#") // an anchor is in the page's language
		file = strings.Replace(file, inChinese, ".md", 1)
		if file != "" && path.Base(file) != path.Base(strings.Replace(p.path, inChinese, ".md", 1)) {
			list = append(list, file)
		}
	}
	slices.Sort(list)
	return list
}
