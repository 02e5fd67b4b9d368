package main

import (
	"fmt"

	"github.com/tboxgate/tboxgate/codec"
)

// bytesPerRow is the number of bytes in a row of a dump of bytes that are no frame.
const bytesPerRow = 32

// printDump prints a frame for decode --dissect: a line that says what it is, then every field.
func (d *decoder) printDump(f codec.Frame) error {
	if err := d.head(fmt.Sprintf("frame %d: %d %s %s, %s, %d bytes", d.good, f.Edition(), f.Command().Name(f.Edition()), f.Flag(), f.VIN(), len(f))); err != nil {
		return err
	}
	d.json = codec.AppendDump(d.json[:0], f)
	_, err := d.out.Write(d.json)
	return err
}

// printBad prints bytes that are no frame for decode --dissect.
func (d *decoder) printBad(text string, offset int64, raw []byte) error {
	text = "bad: " + text
	switch {
	case len(raw) > 0:
		text += fmt.Sprintf(", %d bytes at offset %d", len(raw), offset)
	case offset > 0:
		text += fmt.Sprintf(", at offset %d", offset)
	}
	if err := d.head(text); err != nil {
		return err
	}
	for i := 0; i < len(raw); i += bytesPerRow {
		if _, err := fmt.Fprintf(d.out, "%05X  % X\n", offset+int64(i), raw[i:min(i+bytesPerRow, len(raw))]); err != nil {
			return err
		}
	}
	return nil
}

// head prints the line before a dump, and an empty one between two.
func (d *decoder) head(text string) error {
	if d.good+d.bad > 1 {
		text = "\n" + text
	}
	if d.origin != nil {
		text += "\n" + d.origin.String()
	}
	_, err := fmt.Fprintln(d.out, text)
	return err
}
