package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLogLines: every warning and error that the program can log is found in docs/troubleshooting.md by its words. A message
// that is put together begins with the words that are looked for.
func TestLogLines(t *testing.T) {
	text := strings.Join(strings.Fields(readPage(t, "docs/troubleshooting.md").text), " ")
	found := 0
	for _, dir := range []string{"cmd", "command", "gateway", "session"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "internal" || d.Name() == "node_modules") { // what measures the gateway
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if message, ok := logged(n); ok {
					found++
					assert.True(t, strings.Contains(text, strings.TrimSpace(message)), "docs/troubleshooting.md does not explain %q, which %s logs", message, path)
				}
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, found, 60)
}

// logged is the text of a call such as log.Warn("text", …), or what it begins with.
func logged(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name != "Warn" && method.Sel.Name != "Error" {
		return "", false
	}
	text := call.Args[0]
	for {
		sum, ok := text.(*ast.BinaryExpr)
		if !ok {
			break
		}
		text = sum.X
	}
	literal, ok := text.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	message, err := strconv.Unquote(literal.Value)
	return message, err == nil
}
