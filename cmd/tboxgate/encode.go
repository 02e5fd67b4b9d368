package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
)

func (p *program) encodeCommand() *cli.Command {
	return &cli.Command{
		Name:      "encode",
		Usage:     "make frames of JSON objects, one hex line each",
		ArgsUsage: "[FILE|-]...",
		Description: "The inverse of decode. Objects come from files, or from standard input (- or no argument): one a line, or\n" +
			"over several lines as decode --pretty prints them. What cannot be encoded is reported on standard error with the\n" +
			"line it begins on, the others are encoded, and the exit status is 1 at the end.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "binary", Usage: "write the frames' bytes instead of hex", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 0, anyNumber)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			e := &encoder{out: bufio.NewWriter(p.stdout), errors: p.stderr, binary: c.Bool("binary")}
			for _, a := range args {
				if err := p.encodeArgument(e, a); err != nil {
					return errors.Join(e.out.Flush(), err)
				}
			}
			if err := e.out.Flush(); err != nil {
				return err
			}
			if e.bad {
				return errReported
			}
			return nil
		},
	}
}

func (p *program) encodeArgument(e *encoder, a string) error {
	if a == "-" {
		return e.objects("standard input", p.stdin)
	}
	f, err := os.Open(a)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return e.objects(a, f)
}

// encoder prints the frames of JSON objects.
type encoder struct {
	out    *bufio.Writer
	errors io.Writer
	binary bool
	bad    bool
	frame  []byte
	line   []byte
}

func (e *encoder) objects(name string, src io.Reader) error {
	return eachObject(src, func(line int, object []byte, err error) error {
		var frame []byte
		if err == nil {
			frame, err = codec.EncodeJSON(e.frame[:0], object)
		}
		if err != nil {
			say(e.errors, "tboxgate: encode: %s:%d: %v\n", name, line, err)
			e.bad = true
			return nil
		}
		e.frame = frame
		if !e.binary {
			e.line = append(hex.AppendEncode(e.line[:0], frame), '\n')
			frame = e.line
		}
		_, err = e.out.Write(frame)
		return err
	})
}
