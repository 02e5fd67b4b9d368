package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// program is one run of the command line.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	env    func(string) (string, bool)
}

// usageError is a mistake on the command line: exit code 2 and a pointer to the help.
type usageError struct {
	command string // "tboxgate send query"
	problem string
}

func (e *usageError) Error() string { return e.problem }

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// errReported ends a command that has written what went wrong already: exit code 1 and not a word more.
var errReported = errors.New("already reported")

// run runs the command line args (args[0] is the program) and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, env: os.LookupEnv}
	err := p.app().RunContext(ctx, args)
	var usage *usageError
	var ending *statusError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitError
	case errors.As(err, &ending):
		say(stderr, "tboxgate: %v\n", ending)
		return ending.status
	case errors.As(err, &usage):
		say(stderr, "%s: %s\nSee: %s --help\n", usage.command, usage.problem, usage.command)
		return exitUsage
	default:
		for line := range strings.Lines(err.Error()) { // of joined errors
			say(stderr, "tboxgate: %s\n", strings.TrimSuffix(line, "\n"))
		}
		return exitError
	}
}

// say writes to standard error. When that fails there is nobody left to tell.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func (p *program) app() *cli.App {
	version := buildVersion()
	app := &cli.App{
		Name:                      "tboxgate",
		HelpName:                  "tboxgate",
		Usage:                     "a GB/T 32960 vehicle gateway",
		Version:                   version.String(),
		UsageText:                 "tboxgate COMMAND [command options]",
		Description:               "Exit status: 0 it worked, 1 it did not, 2 the command line is wrong; send has more. Flags go before arguments.\ntboxgate COMMAND --help shows a command's flags, their defaults and an example.",
		Reader:                    p.stdin,
		Writer:                    p.stdout,
		ErrWriter:                 p.stderr,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // a comma is part of the value: --params 1,2
		EnableBashCompletion:      true,
		ExitErrHandler:            func(*cli.Context, error) {}, // run reports errors, once
		Commands: []*cli.Command{
			p.serveCommand(),
			p.decodeCommand(),
			p.encodeCommand(),
			p.simulateCommand(),
			p.probeCommand(),
			p.sendCommand(),
			p.statusCommand(),
			p.tailCommand(),
			p.exportCommand(),
			p.gapsCommand(),
			p.lastCommand(),
			p.sessionsCommand(),
			p.fleetCommand(),
			p.traceCommand(),
			p.vehiclesCommand(),
			p.devicesCommand(),
			p.platformsCommand(),
			p.keysCommand(),
			p.backupCommand(),
			p.restoreCommand(),
			p.configCommand(),
			p.completionCommand(),
		},
		Action: p.group,
	}
	app.OnUsageError = usageErrorOf
	show := examples()
	for _, c := range app.Commands {
		p.prepare(c, "tboxgate "+c.Name, show)
	}
	return app
}

// prepare gives a command, and those below it, our handling of mistakes and their examples.
func (p *program) prepare(c *cli.Command, path string, show map[string]string) {
	c.OnUsageError = usageErrorOf
	c.HideHelpCommand = true
	if c.Action == nil {
		c.Action = p.group
	}
	if len(c.Subcommands) > 0 {
		c.UsageText = path + " COMMAND [command options]"
	}
	if example := show[path]; example != "" {
		c.Description = strings.TrimPrefix(c.Description+"\n\nFor example:\n  "+strings.ReplaceAll(example, "\n", "\n  "), "\n\n")
	}
	for _, sub := range c.Subcommands {
		p.prepare(sub, path+" "+sub.Name, show)
	}
}

// group is the action of a command that only has commands below it.
func (p *program) group(c *cli.Context) error {
	commands := c.Command.Subcommands
	names := make([]string, len(commands))
	for i, sub := range commands {
		names[i] = sub.Name
	}
	if name := c.Args().First(); name != "" {
		return usagef(c, "unknown command %q%s", name, didYouMean(name, names))
	}
	if len(c.Lineage()) <= 2 { // tboxgate alone
		return cli.ShowAppHelp(c)
	}
	return usagef(c, "a command is missing: %s", strings.Join(names, ", "))
}

func usagef(c *cli.Context, format string, args ...any) error {
	return &usageError{command: c.Command.HelpName, problem: fmt.Sprintf(format, args...)}
}

// usageErrorOf rewords the flag package's errors.
func usageErrorOf(c *cli.Context, err error, _ bool) error {
	problem := err.Error()
	if name, ok := strings.CutPrefix(problem, "flag provided but not defined: -"); ok {
		var flags []string
		for _, f := range c.Command.Flags {
			flags = append(flags, "--"+f.Names()[0])
		}
		name = "--" + strings.TrimPrefix(name, "-")
		problem = "unknown flag " + name + didYouMean(name, flags)
	} else if name, ok := strings.CutPrefix(problem, "flag needs an argument: -"); ok {
		problem = "flag --" + strings.TrimPrefix(name, "-") + " needs a value"
	} else if m := badValue.FindStringSubmatch(problem); m != nil {
		dashes := "--"
		if len(m[2]) == 1 {
			dashes = "-"
		}
		problem = dashes + m[2] + ": " + m[1] + " is " + wanted(c, m[2])
	}
	return usagef(c, "%s", problem)
}

// badValue is what the flag package says of a value of the wrong kind.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^:]+): `)

// wanted says what a value of a flag's kind is not.
func wanted(c *cli.Context, name string) string {
	i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return "not possible"
	}
	switch c.Command.Flags[i].(type) {
	case *cli.DurationFlag:
		return "no duration such as 90s or 1h30m"
	case *cli.BoolFlag:
		return "neither true nor false"
	case *cli.Float64Flag:
		return "no number"
	}
	return "no whole number"
}

// arguments returns the arguments after the flags, of which there must be from least to most. A flag among them is a
// mistake that would otherwise read a file named --pretty.
func arguments(c *cli.Context, least, most int) ([]string, error) {
	args := c.Args().Slice()
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' {
			return nil, usagef(c, "flags go before the arguments: %s", a)
		}
	}
	switch {
	case len(args) < least:
		return nil, usagef(c, "an argument is missing: %s", c.Command.ArgsUsage)
	case len(args) > most:
		return nil, usagef(c, "unexpected argument %q", args[most])
	}
	return args, nil
}

// anyNumber is the most of a command that takes a list.
const anyNumber = 1 << 30

// configFlags are the flags that stand in the tags of a configuration type, those named in only, or all.
func configFlags(t reflect.Type, only ...string) []cli.Flag {
	var flags []cli.Flag
	for _, s := range settings(t) {
		name := s.Tag.Get("flag")
		if name != "" && (len(only) == 0 || slices.Contains(only, name)) {
			usage := s.Tag.Get("doc") + " [$" + envName(name) + "]"
			switch {
			case s.Type.Kind() == reflect.Slice:
				flags = append(flags, &cli.StringSliceFlag{Name: name, Usage: usage, DefaultText: s.Tag.Get("default")})
			case s.Type.Kind() == reflect.Bool:
				flags = append(flags, &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true})
			default:
				flags = append(flags, &cli.StringFlag{Name: name, Usage: usage, DefaultText: s.Tag.Get("default")})
			}
		}
		switch {
		case isScalar(s.Type):
		case s.Type.Kind() == reflect.Struct:
			flags = append(flags, configFlags(s.Type, only...)...)
		case !isScalar(s.Type.Elem()):
			flags = append(flags, configFlags(s.Type.Elem(), only...)...)
		}
	}
	return flags
}

const fileFlag = "config"

// configFileFlag is --config, which stands in no configuration.
func configFileFlag() cli.Flag {
	return &cli.StringFlag{Name: fileFlag, Aliases: []string{"c"}, Usage: "YAML `FILE` of settings, see docs/configuration.md [$" +
		envName(fileFlag) + "]"}
}

// configFile is the file that --config or its variable names, "" for none.
func (p *program) configFile(c *cli.Context) string {
	if name := c.String(fileFlag); name != "" {
		return name
	}
	name, _ := p.env(envName(fileFlag))
	return name
}

// config reads the configuration that the command's flags, but those named, the environment and the file make.
func (p *program) config(c *cli.Context, but ...string) (*Config, error) {
	src := configSource{file: p.configFile(c), env: p.env, flags: map[string][]string{}}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !c.IsSet(name) || slices.Contains(but, name) {
			continue
		}
		switch f.(type) {
		case *cli.StringSliceFlag:
			src.flags[name] = c.StringSlice(name)
		case *cli.BoolFlag:
			src.flags[name] = []string{fmt.Sprint(c.Bool(name))}
		default:
			src.flags[name] = []string{c.String(name)}
		}
	}
	return loadConfig(src)
}

// configProblem is what a command says of a configuration that cannot be used: one line, and a mistake on the command
// line when that is where the value comes from.
func configProblem(c *cli.Context, err error) error {
	first := firstOf(err)
	var bad *ConfigError
	if errors.As(first, &bad) && strings.HasPrefix(bad.Origin, "--") {
		return usagef(c, "%v", first)
	}
	return first
}

// firstOf shortens a joined error to its first line, for commands that promise one line.
func firstOf(err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return err
	}
	all := joined.Unwrap()
	if len(all) == 1 {
		return all[0]
	}
	return fmt.Errorf("%w (and %d more, see tboxgate config check)", all[0], len(all)-1)
}
