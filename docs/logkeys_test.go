package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logLine is a call that writes a log line, or an attribute that lines share.
type logLine struct {
	where   string
	message string
	keys    []string
}

var (
	logMethod   = regexp.MustCompile(`^(Debug|Info|Warn|Error|Log|LogAttrs|With)$`)
	logReceiver = regexp.MustCompile(`(?i)(log|logger|warn|unsigned)$`)
	slogAttr    = regexp.MustCompile(`^(Any|String|Int|Int64|Uint64|Bool|Duration|Time|Float64|Group)$`)
)

// logLines finds what the gateway logs. Tools that are not part of it, and the simulator, are left out.
func logLines(t *testing.T) (lines []logLine) {
	t.Helper()
	for _, room := range []string{"cmd", "command", "gateway", "session"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && slices.Contains([]string{"perf", "sdktest", "vehicle", "probe", "testdata"}, d.Name()) {
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if l, ok := logCall(n); ok {
					l.where = files.Position(n.Pos()).String()
					lines = append(lines, l)
				}
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
	return lines
}

// logCall reads n as a call of a logger, of an attribute's maker, or as the arguments of a line that is written later.
func logCall(n ast.Node) (l logLine, ok bool) {
	if list, is := n.(*ast.CompositeLit); is { // []any{"error", err, "waiting", n}
		if a, is := list.Type.(*ast.ArrayType); is && nameOf(a.Elt) == "any" && len(list.Elts) > 0 && text(list.Elts[0]) != "" && len(list.Elts)%2 == 0 {
			return logLine{keys: keysOf(list.Elts)}, true
		}
		return l, false
	}
	call, is := n.(*ast.CallExpr)
	if !is {
		return l, false
	}
	method, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return l, false
	}
	if nameOf(method.X) == "slog" {
		if !slogAttr.MatchString(method.Sel.Name) || len(call.Args) < 2 || text(call.Args[0]) == "" {
			return l, false
		}
		return logLine{keys: []string{text(call.Args[0])}}, true
	}
	if !logMethod.MatchString(method.Sel.Name) || !logReceiver.MatchString(nameOf(method.X)) {
		return l, false
	}
	args := call.Args
	switch method.Sel.Name {
	case "With":
	case "Log", "LogAttrs":
		args = args[2:]
		fallthrough
	default:
		l.message, args = text(args[0]), args[1:]
	}
	l.keys = keysOf(args)
	return l, true
}

// keysOf lists the keys of what follows a message: keys and values by turns, or an attribute in place of both.
func keysOf(args []ast.Expr) (keys []string) {
	for i := 0; i < len(args); i++ {
		if key := text(args[i]); key != "" {
			keys = append(keys, key)
			i++
		} else if call, is := args[i].(*ast.CallExpr); is {
			if name := nameOf(call.Fun); strings.HasPrefix(name, "about") {
				keys = append(keys, "about()")
			}
		}
	}
	return keys
}

// text is a string that stands in the source, else "".
func text(e ast.Expr) string {
	if b, is := e.(*ast.BasicLit); is && b.Kind == token.STRING {
		s, _ := strconv.Unquote(b.Value)
		return s
	}
	if sum, is := e.(*ast.BinaryExpr); is {
		return text(sum.X)
	}
	return ""
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// withoutSession are the lines that name a vehicle or device and can have no session, with why.
var withoutSession = map[string]string{
	"vehicle registered by its first login":                                 "the session is made after it",
	"a vehicle is registered in two products; the later registration holds": "an entry of the bucket, of any node",
	"the store does not take device entries; they are written when it does": "an entry of the bucket",
	"a last known state cannot be brought up to date, trying again":         "what is stored, of any node",
	"MQTT device refused": "it has none",
}

// TestLogKeys: docs/logs.md lists every key of a log line and no other, and a line about a vehicle names its session.
func TestLogKeys(t *testing.T) {
	lines := logLines(t)
	used, messages := map[string]string{}, map[string]bool{}
	for _, l := range lines {
		messages[l.message] = true
		for _, key := range l.keys {
			if key != "about()" {
				used[key] = l.where
			}
		}
		if slices.Contains(l.keys, "vin") || slices.Contains(l.keys, "deviceName") {
			assert.True(t, l.message == "" || slices.Contains(l.keys, "session") || withoutSession[l.message] != "", "%s names a vehicle and no session: %q", l.where, l.message)
		}
		assert.NotContains(t, l.keys, "err", "%s: the key is error", l.where)
	}
	require.Greater(t, len(messages), 90)
	for message := range withoutSession {
		assert.True(t, messages[message], "nothing says %q", message)
	}

	p := readPage(t, "docs/logs.md")
	listed := map[string]bool{}
	for line := range strings.Lines(p.prose) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") {
			for _, m := range inlineCode.FindAllStringSubmatch(cells[1], -1) {
				listed[m[1]] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(used)) {
		assert.True(t, listed[key], "docs/logs.md does not name %s (%s)", key, used[key])
	}
	for _, key := range slices.Sorted(maps.Keys(listed)) {
		assert.True(t, used[key] != "" || slices.Contains([]string{"time", "level", "msg"}, key), "no line has the key %s", key)
	}
}
