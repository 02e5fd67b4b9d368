package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

var (
	docsFence  = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	docsInline = regexp.MustCompile("`(tboxgate [^`]+)`")
	docsWord   = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s|;&<>()]+|[|;&<>()]`)
)

// docsCommands are the calls of this program in a document, as words.
func docsCommands(text string) (calls [][]string) {
	var lines []string
	for _, block := range docsFence.FindAllStringSubmatch(text, -1) {
		if slices.Contains([]string{"console", "sh", "bash", "shell"}, block[1]) {
			lines = append(lines, strings.Split(strings.ReplaceAll(block[2], "\\\n", " "), "\n")...)
		}
	}
	prose := docsFence.ReplaceAllString(text, "")
	for _, m := range docsInline.FindAllStringSubmatch(prose, -1) {
		lines = append(lines, m[1])
	}
	for line := range strings.Lines(prose) {
		if code, indented := strings.CutPrefix(line, "    "); indented {
			lines = append(lines, strings.TrimSuffix(code, "\n"))
		}
	}
	for _, line := range lines {
		line = strings.TrimPrefix(strings.ReplaceAll(line, "go run ./cmd/tboxgate", "tboxgate"), "$ ")
		calls = append(calls, callsOf(docsWord.FindAllString(line, -1))...)
	}
	return calls
}

// callsOf finds the calls in a line's words: what stands where a command does and is called tboxgate.
func callsOf(words []string) (calls [][]string) {
	start, ours := true, false // at a command's place; within a call
	for _, word := range words {
		switch {
		case strings.HasPrefix(word, "#"):
			return calls
		case strings.ContainsAny(word, "|;&<>()") && len(word) == 1:
			start, ours = word != "<" && word != ">", false
		case start && (word == "tboxgate" || strings.HasSuffix(word, "/tboxgate")):
			calls = append(calls, nil)
			start, ours = false, true
		case start && (word == "sudo" || strings.Contains(word, "=")): // sudo, NAME=VALUE
		case ours:
			calls[len(calls)-1] = append(calls[len(calls)-1], word)
		default:
			start = false
		}
	}
	return calls
}

// TestDocumentedCommands: every command and flag that a document shows exists.
func TestDocumentedCommands(t *testing.T) {
	app := (&program{}).app()
	found := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") || strings.HasSuffix(path, "CHANGELOG.md") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, words := range docsCommands(string(text)) {
			found++
			documentedCommand(t, app, path, words)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, found, 50)
}

// documentedCommand looks up the words of a call: commands by name, then flags by theirs.
func documentedCommand(t *testing.T, app *cli.App, path string, words []string) {
	t.Helper()
	commands, flags := app.Commands, slices.Clone(app.Flags)
	at, rest := "tboxgate", words
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(rest[0]) })
		if i < 0 {
			break
		}
		at, flags, commands, rest = at+" "+rest[0], append(flags, commands[i].Flags...), commands[i].Subcommands, rest[1:]
	}
	if at == "tboxgate" && len(rest) > 0 && (rest[0] == "--version" || rest[0] == "--help") {
		return
	}
	if !assert.NotEqual(t, "tboxgate", at, "%s: tboxgate %s: no such command", path, strings.Join(words, " ")) {
		return
	}
	// A command's own subcommands may follow its flags.
	for _, c := range commands {
		if slices.Contains(rest, c.Name) {
			flags = append(flags, c.Flags...)
		}
	}
	for _, word := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if !strings.HasPrefix(word, "-") || name == "" || name == "help" {
			continue
		}
		assert.True(t, slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }),
			"%s: tboxgate %s: %s has no flag %s", path, strings.Join(words, " "), at, word)
	}
}

func TestDocsCommands(t *testing.T) {
	require.Equal(t, [][]string{
		{"decode", "--dissect"}, {"send", "--message", "'Stop safely'"}, {"serve", "--dev"}, {"tail", "--vin", "V", "--raw"}, {"encode", "-"}, {"gaps"},
	}, docsCommands("say `tboxgate tail --vin V --raw | tboxgate encode -` or\n```sh\ntcpdump | A=b /usr/bin/tboxgate decode --dissect # look\n"+
		"install tboxgate\n$ tboxgate send --message 'Stop safely' > f\n  go run ./cmd/tboxgate serve --dev &\n```\nor `tboxgate`\n\n    tboxgate gaps  # b\n"))
}
