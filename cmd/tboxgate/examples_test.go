package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

// TestExamples: --help of every command that does something shows an example, which is of that command and has flags that
// exist, and there is none for a command that is gone.
func TestExamples(t *testing.T) {
	app, left := (&program{}).app(), examples()
	var visit func(path string, commands []*cli.Command)
	visit = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			name := path + " " + c.Name
			example, ok := left[name]
			delete(left, name)
			if !ok {
				assert.NotEmpty(t, c.Subcommands, "%s has no example", name)
			}
			for line := range strings.Lines(example) {
				calls := docsCommands("```sh\n" + line + "\n```\n")
				var own bool
				for _, words := range calls {
					documentedCommand(t, app, "examples.go", words)
					own = own || strings.HasPrefix("tboxgate "+strings.Join(words, " ")+" ", name+" ")
				}
				assert.True(t, own, "the example of %s is of another command: %s", name, line)
			}
			visit(name, c.Subcommands)
		}
	}
	visit("tboxgate", app.Commands)
	require.Empty(t, left)

	require.Contains(t, ok(t, "gaps", "--help"), "\n   For example:\n     tboxgate gaps --vin LTEST000000000001 --since 7d --period 10s\n")
	require.Contains(t, ok(t, "send", "--help"), "USAGE:\n   tboxgate send COMMAND [command options]\n")
	require.Contains(t, ok(t, "--help"), "Exit status: 0 it worked, 1 it did not, 2 the command line is wrong")
}
