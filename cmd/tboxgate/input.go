package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// inputs are the arguments of a command that reads files; none means standard input.
func inputs(c *cli.Context) ([]string, error) {
	args, err := arguments(c, 0, anyNumber)
	if len(args) == 0 {
		args = []string{"-"}
	}
	return args, err
}

// input calls fn with the file that an argument names, or with standard input for "-", and with what messages call it.
func (p *program) input(argument string, fn func(src io.Reader, name string) error) error {
	if argument == "-" {
		return fn(p.stdin, "standard input")
	}
	f, err := os.Open(argument)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return fn(f, argument)
}
