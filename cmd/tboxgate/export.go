package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/stream/flat"
)

func (p *program) exportCommand() *cli.Command {
	return &cli.Command{
		Name:  "export",
		Usage: "write stored frames to a file",
		Description: "jsonl: the stream's JSON, one object a line. csv, parquet: one row a frame, the common measurements\n" +
			"as columns and the whole JSON; docs/reading.md lists the columns. Memory is bounded, however much it is.\n" +
			"A file appears whole or not at all; after Ctrl-C there is none.",
		Flags: operatorFlags(
			vinsFlag(), commandsFlag(), sincesFlag("the oldest"), untilsFlag(),
			&cli.StringFlag{Name: "format", Value: "jsonl", Usage: "jsonl, csv or parquet"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`", DefaultText: "standard output"},
			mergesFlag(),
			&cli.StringFlag{Name: "order", Value: orderReceived, Usage: "received: as the gateway received them; collected: by the vehicles' clocks, reissued frames where they belong"},
		),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			format := c.String("format")
			switch format {
			case "jsonl", "csv", "parquet":
			default:
				return usagef(c, "--format %q: jsonl, csv and parquet are possible", format)
			}
			order := c.String("order")
			if order != orderReceived && order != orderCollected {
				return usagef(c, "--order %q: received and collected are possible", order)
			}
			now := time.Now()
			q, err := frameQuery(c, now)
			if err != nil {
				return err
			}
			if q.Until.IsZero() {
				q.Until = now
			}
			var stop func()
			c.Context, stop = untilSignal(c.Context, p.stderr)
			defer stop()
			return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
				return p.export(ctx, o, q, exportTo{format, order, c.String("output")})
			})
		},
	}
}

// The orders of an export.
const (
	orderReceived  = "received"
	orderCollected = "collected"
)

// exportTo says how and where frames are written.
type exportTo struct {
	format, order string
	file          string // "" or "-": standard output
}

// export writes frames to a file.
func (p *program) export(ctx context.Context, o *operator, q admin.FrameQuery, e exportTo) (err error) {
	to, finish := p.stdout, func(err error) error { return err }
	if e.file != "" && e.file != "-" {
		f, end, err := createWhole(e.file)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		to, finish = f, end
	}
	defer func() { err = finish(err) }()
	buffered := bufio.NewWriterSize(to, 256<<10)
	w := newTable(e.format, buffered)
	if e.order == orderCollected {
		sorted, failed := newByCollection()
		if failed != nil {
			return fmt.Errorf("export: %w", failed)
		}
		defer func() { err = errors.Join(err, sorted.close()) }()
		w = w.after(ctx, sorted)
	}
	n, left := 0, 0
	for line, err := range o.StoredFrames(ctx, q) {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("export: interrupted after %d frames (%w)", n, context.Cause(ctx))
		case errors.Is(err, admin.ErrDamaged):
			left++
			say(p.stderr, "tboxgate: left out: %v\n", err)
			continue
		case err != nil:
			return err
		}
		if err := w.line(line); err != nil {
			return err
		}
		n++
	}
	if ctx.Err() != nil {
		return fmt.Errorf("export: interrupted after %d frames (%w)", n, context.Cause(ctx))
	}
	err = errors.Join(w.end(), buffered.Flush())
	if ctx.Err() != nil {
		return fmt.Errorf("export: interrupted after %d frames (%w)", n, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	say(p.stderr, "%d frames exported, %d left out\n", n, left)
	return nil
}

// table takes frames' JSON.
type table struct {
	line func(json []byte) error
	end  func() error
}

// after puts the lines into order before the table takes them.
func (t table) after(ctx context.Context, sorted *byCollection) table {
	return table{line: sorted.add, end: func() error { return errors.Join(sorted.each(ctx, t.line), t.end()) }}
}

func newTable(format string, to *bufio.Writer) table {
	if format == "jsonl" {
		return table{
			line: func(json []byte) error { return writeLine(to, json) },
			end:  func() error { return nil },
		}
	}
	create := flat.NewCSV
	if format == "parquet" {
		create = flat.NewParquet
	}
	w := create(to)
	return table{
		line: func(json []byte) error {
			r, err := flat.FromJSON(json)
			if err != nil {
				return err
			}
			return w.Write(r)
		},
		end: w.Close,
	}
}
