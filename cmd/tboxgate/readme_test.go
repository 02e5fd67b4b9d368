package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readmeCommand is a line "$ …" of a console block.
type readmeCommand struct {
	args   []string // without "go run ./cmd/tboxgate"
	output string   // the lines below it; "" shows nothing of the output
}

const goRun = "go run ./cmd/tboxgate "

// readmeCommands reads the console blocks of a text.
func readmeCommands(t *testing.T, text string) []readmeCommand {
	t.Helper()
	var commands []readmeCommand
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			prompt, isCommand := strings.CutPrefix(line, "$ ")
			if !isCommand {
				require.NotEmpty(t, commands, line)
				commands[len(commands)-1].output += line
				continue
			}
			prompt, _, _ = strings.Cut(prompt, " #")
			args, ours := strings.CutPrefix(prompt, goRun)
			require.True(t, ours, "a command that is not tboxgate's cannot be run here: %s", line)
			require.NotContains(t, args, `"`, "this test splits at blanks: %s", line)
			commands = append(commands, readmeCommand{args: strings.Fields(args)})
		}
	}
	return commands
}

// TestREADME runs the README's console blocks against the gateway of its first command: everything it shows works as it
// stands there, and prints what it shows. What drives until Ctrl-C is started, and interrupted at the end.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	first := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(goRun) + "serve(.*?) +#").FindSubmatch(readme)
	require.NotNil(t, first, "the README starts a gateway")
	dir := dataDir(t)
	g := serve(t, dir, strings.Fields(string(first[1]))...)

	commands := readmeCommands(t, string(readme))
	ran := map[string]bool{}
	var driving []*process
	for _, c := range commands {
		for i, arg := range c.args {
			if arg == "DIR" {
				c.args[i] = dir
			}
		}
		ran[c.args[0]] = true
		if c.args[0] == "simulate" { // where the gateway listens is no part of the line: it takes the default port
			p := start(t, append(c.args, "--addr", g.Addresses.Vehicles[0])...)
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(p.stderr.String())
				}
			})
			driving = append(driving, p)
			waitSessions(t, dir, 3)
			continue
		}
		output := ok(t, c.args...)
		require.NotEmpty(t, output, c.args)
		if c.output != "" {
			require.Equal(t, c.output, output, c.args)
		}
	}
	for _, name := range []string{"simulate", "sessions", "send", "decode"} {
		require.True(t, ran[name], "the README shows %s", name)
	}
	for _, p := range driving {
		require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, p.exit(t), p.stderr.String())
	}
}
