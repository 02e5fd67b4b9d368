package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// byCollection puts frames' JSON into the order in which the vehicles collected them; frames without a time stand at that of
// their receipt. The lines lie in a temporary file, so that memory holds 24 bytes a frame.
type byCollection struct {
	file   *os.File
	to     *bufio.Writer
	size   int64
	places []linePlace
}

// linePlace is where a line lies.
type linePlace struct {
	at     int64 // Unix milliseconds
	offset int64
	size   int
}

func newByCollection() (*byCollection, error) {
	f, err := os.CreateTemp("", "tboxgate-export-*")
	if err != nil {
		return nil, fmt.Errorf("a place to put frames in order: %w", err)
	}
	return &byCollection{file: f, to: bufio.NewWriterSize(f, 256<<10)}, nil
}

// add takes the next line.
func (b *byCollection) add(line []byte) error {
	var f struct {
		Time       *time.Time `json:"time"`
		ReceivedAt time.Time  `json:"receivedAt"`
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return fmt.Errorf("a frame's JSON: %w", err)
	}
	at := f.ReceivedAt
	if f.Time != nil {
		at = *f.Time
	}
	b.places = append(b.places, linePlace{at.UnixMilli(), b.size, len(line)})
	b.size += int64(len(line))
	_, err := b.to.Write(line)
	return err
}

// each calls fn for all lines in their order; those of one time come as they were added.
func (b *byCollection) each(ctx context.Context, fn func(line []byte) error) error {
	if err := b.to.Flush(); err != nil {
		return err
	}
	slices.SortStableFunc(b.places, func(x, y linePlace) int { return cmp.Compare(x.at, y.at) })
	var line []byte
	for _, p := range b.places {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line = slices.Grow(line[:0], p.size)[:p.size]
		if _, err := b.file.ReadAt(line, p.offset); err != nil {
			return err
		}
		if err := fn(line); err != nil {
			return err
		}
	}
	return nil
}

// close removes the file.
func (b *byCollection) close() error {
	return errors.Join(b.file.Close(), os.Remove(b.file.Name()))
}
