package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"

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
			args, err := inputs(c)
			if err != nil {
				return err
			}
			e := &encoder{out: bufio.NewWriter(p.stdout), errors: p.stderr, binary: c.Bool("binary")}
			for _, a := range args {
				if err := p.input(a, e.objects); err != nil {
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

// encoder prints the frames of JSON objects.
type encoder struct {
	out    *bufio.Writer
	errors io.Writer
	binary bool
	bad    bool
	frame  []byte
	line   []byte
}

func (e *encoder) objects(src io.Reader, name string) error {
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
