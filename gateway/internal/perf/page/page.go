// Package page puts measured figures into a page that people write: what stands between two marks is replaced, the
// rest is left alone.
package page

import (
	"fmt"
	"os"
	"strings"
)

// Marks returns the comments between which the block of a name stands. Each is a line of its own.
func Marks(name string) (begin, end string) {
	return "<!-- begin " + name + " (measured) -->\n", "<!-- end " + name + " -->\n"
}

// Replace puts text, with an empty line around it, between the marks of a block. The error says which mark is missing.
func Replace(page, name, text string) (string, error) {
	begin, end := Marks(name)
	before, rest, ok := strings.Cut(page, begin)
	if !ok {
		return "", fmt.Errorf("page: no line %q", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("page: no line %q", strings.TrimSpace(end))
	}
	return before + begin + "\n" + strings.Trim(text, "\n") + "\n\n" + end + after, nil
}

// Block is a piece of a page.
type Block struct {
	Name, Text string
}

// Write replaces blocks of a file.
func Write(file string, blocks ...Block) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(b)
	for _, block := range blocks {
		if text, err = Replace(text, block.Name, block.Text); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// Table is a table of Markdown: a head, and rows of as many cells.
func Table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		line(r)
	}
	return b.String()
}
