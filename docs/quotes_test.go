package docs_test

import (
	"bytes"
	"context"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quoting are the pages whose every piece of code in running text is something that the program, its configuration or its
// reference says.
var quoting = []string{"docs/troubleshooting.md", "docs/security.md", "docs/faq.md"}

// said is what can be quoted: the sources of the program, crypto/tls and its alerts, system errors, the keys of the
// configuration, the metrics, and the units that ship with it.
func said(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	add := func(dir string) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			literals(t, path, text, &b)
			return err
		})
		require.NoError(t, err)
	}
	for _, dir := range []string{"cmd", "codec", "command", "gateway", "session"} {
		add(filepath.Join(root, dir))
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	add(filepath.Join(strings.TrimSpace(string(goroot)), "src", "crypto", "tls"))
	for _, name := range []string{"configuration.md", "metrics.md", "stream.md", filepath.Join("monitoring", "alerts.yml")} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		b.Write(text)
	}
	for _, err := range []error{syscall.ENOSPC, syscall.EADDRINUSE, io.EOF, context.DeadlineExceeded} {
		b.WriteString(err.Error() + "\n")
	}
	return b.String()
}

// literals writes the texts of a source, which are all that a program can say.
func literals(t *testing.T, path string, source []byte, to *bytes.Buffer) {
	t.Helper()
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile(path, -1, len(source)), source, nil, 0)
	for {
		switch _, kind, text := s.Scan(); kind {
		case token.EOF:
			return
		case token.STRING:
			said, err := strconv.Unquote(text)
			require.NoError(t, err, path)
			to.WriteString(said + "\n")
		}
	}
}

// outside says of code that it is another program's: a command, a path, a header, what a user types.
func outside(code string) bool {
	for _, prefix := range []string{"tboxgate ", "sudo ", "go run ", "go ", "make ", "--", "/", "chmod ", "journalctl ", "ss ", "openssl ", "##", "$$", "#", "$", "%", "~", "*"} {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return false
}

// TestQuotes: log lines, error texts, metrics, codes and settings that a page quotes exist. … stands for what differs from
// time to time; a setting may be written with its value.
func TestQuotes(t *testing.T) {
	corpus := said(t)
	quoted := 0
	for _, name := range quoting {
		for _, m := range inlineCode.FindAllStringSubmatch(readPage(t, name).prose, -1) {
			code := m[1]
			if outside(code) || knownElsewhere[code] {
				continue
			}
			quoted++
			for part := range strings.SplitSeq(code, "…") {
				assert.True(t, isSaid(corpus, strings.TrimSpace(part)), "%s quotes `%s`: nothing says %q", name, code, part)
			}
		}
	}
	require.Greater(t, quoted, 100)
}

func isSaid(corpus, part string) bool {
	part = strings.TrimPrefix(part, "DATA_DIR/")
	if strings.Contains(corpus, part) {
		return true
	}
	// key: value, or a path of keys: each by itself.
	if key, value, ok := strings.Cut(part, ": "); ok {
		return isSaid(corpus, key) && isSaid(corpus, strings.Trim(value, "[]{}"))
	}
	keys := strings.Split(part, ".")
	if len(keys) < 2 {
		return false
	}
	for _, key := range keys {
		if !strings.Contains(corpus, `key:"`+strings.TrimSuffix(key, "[]")+`"`) && !strings.Contains(corpus, "| `"+key+"`") {
			return false
		}
	}
	return true
}

// knownElsewhere is what belongs to other programs and cannot be looked up here.
var knownElsewhere = map[string]bool{
	"Host": true, "msg": true, "send-proxy-v2": true, "proxy_protocol on": true, "max_payload": true, "advertised.listeners": true,
	"AmbientCapabilities=CAP_NET_BIND_SERVICE": true,
}
