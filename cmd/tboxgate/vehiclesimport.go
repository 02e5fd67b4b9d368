package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tboxgate/tboxgate/session"
)

// importChunk is how many VINs go in one request.
const importChunk = 1000

// vehicleImport registers VINs in chunks.
type vehicleImport struct {
	p     *program
	o     *operator
	show  bool // progress on a terminal
	name  string
	vins  []string
	lines []int // where they stand
	total int
	count map[session.RegisterStatus]int
}

func (im *vehicleImport) file(ctx context.Context, src io.Reader, name string) error {
	im.name = name
	err := eachVIN(src, func(line int, vin string) error {
		im.vins, im.lines = append(im.vins, vin), append(im.lines, line)
		if len(im.vins) < importChunk {
			return nil
		}
		return im.send(ctx)
	})
	if err != nil {
		return fmt.Errorf("vehicles import: %s: %w", im.name, err)
	}
	return im.send(ctx)
}

func (im *vehicleImport) send(ctx context.Context) error {
	if len(im.vins) == 0 {
		return nil
	}
	result, err := im.o.Import(ctx, im.o.productKey, im.vins)
	if err != nil {
		return err
	}
	for i, item := range result.Items {
		im.count[item.Status]++
		if item.Status == session.InvalidVIN || item.Status == session.OtherProduct {
			im.erase()
			say(im.p.stderr, "tboxgate: %s:%d: %s: %s\n", im.name, im.lines[i], strconv.Quote(item.VIN), problemOf(item))
		}
	}
	im.total += len(im.vins)
	im.vins, im.lines = im.vins[:0], im.lines[:0]
	if im.show {
		say(im.p.stderr, "\r%d vehicles", im.total)
	}
	return nil
}

func problemOf(item session.RegisterItem) string {
	if item.Status == session.OtherProduct {
		return "it belongs to product " + item.Detail
	}
	return item.Detail
}

// erase clears the line of the progress.
func (im *vehicleImport) erase() {
	if im.show {
		say(im.p.stderr, "\r\x1b[K")
	}
}

// report prints the sum. Vehicles that could not be registered make an exit status of 1.
func (im *vehicleImport) report() error {
	im.erase()
	n := im.count
	_, err := fmt.Fprintf(im.p.stdout, "%d registered, %d already registered, %d invalid, %d of another product\n",
		n[session.Registered], n[session.AlreadyRegistered], n[session.InvalidVIN], n[session.OtherProduct])
	if err == nil && n[session.InvalidVIN]+n[session.OtherProduct] > 0 {
		return errReported
	}
	return err
}

// eachVIN calls fn for every VIN of a list and the line it stands on.
func eachVIN(src io.Reader, fn func(line int, vin string) error) error {
	in := bufio.NewReader(src)
	if mark, err := in.Peek(3); err == nil && string(mark) == "\xEF\xBB\xBF" {
		_, _ = in.Discard(3)
	}
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.Comment, r.LazyQuotes, r.TrimLeadingSpace, r.ReuseRecord = -1, '#', true, true, true
	column := -1
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if blank(record) {
			continue
		}
		line, _ := r.FieldPos(0)
		if column < 0 {
			var header bool
			if column, header, err = vinColumn(record); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
			if header {
				continue
			}
		}
		if column >= len(record) {
			return fmt.Errorf("line %d: %d columns, the VIN should be in column %d", line, len(record), column+1)
		}
		vin := strings.TrimSpace(record[column])
		if vin == "" {
			continue
		}
		if err := fn(line, vin); err != nil {
			return err
		}
	}
}

// blank says that a record has nothing but separators, as spreadsheets leave behind.
func blank(record []string) bool {
	return !slices.ContainsFunc(record, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

// vinColumn finds the column in the first record, and whether that is a header. The error is that of a header without
// such a column: there are several, and the first is no VIN, because a VIN ends with the digits of its serial number.
func vinColumn(record []string) (column int, header bool, err error) {
	for i, name := range record {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "vin", "devicename":
			return i, true, nil
		}
	}
	if len(record) > 1 && !strings.ContainsAny(record[0], "0123456789") {
		return 0, false, fmt.Errorf("the columns are %q; one called vin or deviceName is wanted, or the VIN in the first and no header", record)
	}
	return 0, false, nil
}
