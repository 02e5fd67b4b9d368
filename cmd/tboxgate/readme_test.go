package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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

// shown makes a pattern of output as it is shown: … stands for whatever else is in its line, and as a line of its own for
// any lines. Blanks at a line's end do not count.
func shown(output string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \n")
		if line == "…" {
			b.WriteString(`(.*\n)*`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + ` *\n`)
	}
	return regexp.MustCompile(b.String() + `\z`)
}

func TestShown(t *testing.T) {
	require.Regexp(t, shown("a … c\n…\nend\n"), "a b c\nx\ny\nend  \n")
	require.Regexp(t, shown("a (…)\n…\n"), "a (7)\n")
	require.NotRegexp(t, shown("a … c\n"), "a b c\nmore\n")
	require.NotRegexp(t, shown("a.c\n"), "abc\n")
}

// newcomersSteps are the commands that the README shows, in this order.
var newcomersSteps = []string{"serve", "simulate", "sessions", "tail", "send", "probe", "decode"}

// TestREADME takes a newcomer's steps as the README shows them, in its order: everything works as it stands there, in one
// directory, and prints what is shown. What goes on until Ctrl-C is started, and interrupted at the end.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	first := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(goRun) + "(serve .*?) +#(.*)").FindSubmatch(readme)
	require.NotNil(t, first, "the README starts a gateway")
	defaults, err := loadConfig(configSource{env: func(string) (string, bool) { return "", false }, flags: map[string][]string{"dev": {"true"}}})
	require.NoError(t, err)
	for _, address := range []string{defaults.Listeners[0].Address, defaults.API.Address, defaults.Admin.Address} {
		require.Contains(t, string(first[2]), " "+address, "the ports that are shown are those that it takes")
	}
	commands := append([]readmeCommand{{args: strings.Fields(string(first[1]))}}, readmeCommands(t, string(readme))...)

	// What is shown uses the default ports and the default directory in the one at hand. Here ports and directory are
	// others, and nothing else.
	dir := dataDir(t)
	var vehicles string
	var ran []string
	var running []*process
	for _, c := range commands {
		ran = append(ran, c.args[0])
		switch c.args[0] {
		case "serve":
			require.Equal(t, []string{"--data-dir", "tboxgate-data"}, c.args[len(c.args)-2:], "the directory that the other commands look in")
			g := serve(t, dir, c.args[1:len(c.args)-2]...)
			vehicles = g.Addresses.Vehicles[0]
			running = append(running, g.process)
			continue
		case "simulate":
			running = append(running, start(t, append(c.args, "--addr", vehicles)...))
			waitSessions(t, dir, 3)
			continue
		case "probe":
			require.Equal(t, "127.0.0.1:8999", c.args[len(c.args)-1])
			c.args[len(c.args)-1] = vehicles
		case "decode":
		default:
			c.args = append(c.args, "--data-dir", dir)
		}
		if c.args[0] == "tail" { // a reader is faster than the vehicle
			require.Eventually(t, func() bool { return shown(c.output).MatchString(ok(t, c.args...)) }, patience, 20*time.Millisecond, c.args)
		}
		output := ok(t, c.args...)
		if c.args[0] == "sessions" { // vehicles that log in within a millisecond stand in any order
			head, rows, _ := strings.Cut(output, "\n")
			lines := strings.SplitAfter(rows, "\n")
			slices.Sort(lines)
			output = head + "\n" + strings.Join(lines, "")
		}
		require.NotEmpty(t, output, c.args)
		if c.output != "" {
			require.Regexp(t, shown(c.output), output, c.args)
		}
	}
	require.Equal(t, newcomersSteps, ran)
	for i := len(running) - 1; i >= 0; i-- { // the vehicles before their gateway
		require.NoError(t, running[i].cmd.Process.Signal(os.Interrupt))
		require.Zero(t, running[i].exit(t), running[i].stderr.String())
	}
}
