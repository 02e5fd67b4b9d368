package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// column is one column of a list for people.
type column[T any] struct {
	name  string
	width int // 0: the rest of the line
	text  func(T) string
}

// printer writes a list as a table or as JSON lines. It writes line by line, because a list may be long.
type printer[T any] struct {
	w       io.Writer
	json    bool
	columns []column[T]
	begun   bool
}

func (p *printer[T]) print(v T) error {
	if p.json {
		return printJSON(p.w, v)
	}
	var b strings.Builder
	if !p.begun {
		p.begun = true
		p.row(&b, func(c column[T]) string { return c.name })
	}
	p.row(&b, func(c column[T]) string { return c.text(v) })
	_, err := io.WriteString(p.w, b.String())
	return err
}

// all writes a whole list, up to the first error.
func (p *printer[T]) all(list iter.Seq2[T, error]) error {
	for v, err := range list {
		if err != nil {
			return err
		}
		if err := p.print(v); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer[T]) row(b *strings.Builder, cell func(column[T]) string) {
	var line strings.Builder
	for _, c := range p.columns {
		fmt.Fprintf(&line, "%-*s  ", c.width, printable(cell(c)))
	}
	b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// printable keeps what a peer sent from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return '?'
		}
		return r
	}, s)
}

func printJSON(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// shortTime is a time as tables show it, UTC; nothing for never.
func shortTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
