package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// eachObject calls fn for every JSON value of src with the line on which it begins, and for what is not JSON with an
// error instead of the value. After that it goes on with the next line, because the end of what is broken is not to be
// known: an object that is cut short stands before good ones as often as a comma is missing inside of a long one. Only
// lines that look like the rest of the broken value are passed over.
func eachObject(src io.Reader, fn func(line int, value []byte, problem error) error) error {
	s := objectScanner{r: bufio.NewReader(src), fn: fn}
	for {
		line, err := s.next()
		last := errors.Is(err, io.EOF)
		switch {
		case err != nil && !last:
			return err
		case !last:
			s.lines = append(s.lines, numbered{line.number, len(s.text), line.text})
			s.text = append(s.text, line.text...)
			if len(s.text) < 2*s.tried {
				continue // a value over many lines is looked at whenever it has doubled
			}
		}
		if err := s.values(last); err != nil {
			return err
		}
		if last && len(s.again) == 0 {
			return nil
		}
	}
}

// numbered is one line.
type numbered struct {
	number int
	offset int // in objectScanner.text
	text   []byte
}

// objectScanner is the work of eachObject.
type objectScanner struct {
	r      *bufio.Reader
	fn     func(line int, value []byte, problem error) error
	number int        // of the last line from r
	ended  bool       // r
	again  []numbered // lines behind a broken value, to be looked at once more

	text  []byte // lines with no whole value yet
	lines []numbered
	tried int // so much of text is known to hold none

	broken      bool // the lines that come may be the rest of a broken value
	indentation int  // of its first line
}

// next returns the next line that is not the rest of a broken value.
func (s *objectScanner) next() (numbered, error) {
	for {
		line, err := s.read()
		if err != nil {
			return line, err
		}
		if !s.broken || !s.rest(line.text) {
			s.broken = false
			return line, nil
		}
	}
}

func (s *objectScanner) read() (numbered, error) {
	if len(s.again) > 0 {
		line := s.again[0]
		s.again = s.again[1:]
		return line, nil
	}
	if s.ended {
		return numbered{}, io.EOF
	}
	text, err := s.r.ReadBytes('\n')
	s.ended = errors.Is(err, io.EOF) // a terminal would be asked once more
	if len(text) == 0 || err != nil && !errors.Is(err, io.EOF) {
		return numbered{}, err
	}
	s.number++
	if s.number == 1 {
		text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	}
	return numbered{number: s.number, text: text}, nil
}

// rest says that a line looks like the rest of a broken value: it is indented more than the value's first line or begins
// with a closing bracket, and is no object of its own.
func (s *objectScanner) rest(line []byte) bool {
	word := bytes.TrimSpace(line)
	switch {
	case len(word) == 0 || word[0] == '}' || word[0] == ']':
		return true
	case word[0] == '{' && json.Valid(word):
		return false
	}
	return indentation(line) > s.indentation
}

func indentation(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " \t")) }

// values calls fn for the values in text and leaves what is behind them there. With last set nothing more comes.
func (s *objectScanner) values(last bool) error {
	done := 0
	for {
		begin := len(s.text) - len(bytes.TrimLeft(s.text[done:], " \t\r\n"))
		if begin == len(s.text) {
			s.text, s.lines, s.tried = s.text[:0], s.lines[:0], 0
			return nil
		}
		d := json.NewDecoder(bytes.NewReader(s.text[begin:]))
		var value json.RawMessage
		switch err := d.Decode(&value); {
		case err == nil:
			if err := s.fn(s.lines[s.lineAt(begin)].number, value, nil); err != nil {
				return err
			}
			done = begin + int(d.InputOffset())
		case errors.Is(err, io.ErrUnexpectedEOF) && !last:
			s.cut(begin)
			return nil
		default:
			return s.reject(begin, err)
		}
	}
}

// lineAt returns the index of the line that holds an offset of text.
func (s *objectScanner) lineAt(offset int) int {
	return sort.Search(len(s.lines), func(i int) bool { return s.lines[i].offset > offset }) - 1
}

// cut takes off the values before an offset. What is left is known to hold none.
func (s *objectScanner) cut(offset int) {
	s.lines = append(s.lines[:0], s.lines[s.lineAt(offset):]...)
	for i := range s.lines {
		s.lines[i].offset -= offset // below 0 for a line whose beginning is gone
	}
	s.text = append(s.text[:0], s.text[offset:]...)
	s.tried = len(s.text)
}

// reject reports the value that begins at an offset, and has the lines behind its first one read again.
func (s *objectScanner) reject(begin int, err error) error {
	i := s.lineAt(begin)
	first := s.lines[i]
	problem := fmt.Errorf("not JSON: %w", err)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		if at := s.lines[s.lineAt(begin+int(syntax.Offset)-1)]; at.number != first.number {
			problem = fmt.Errorf("not JSON: line %d: %w", at.number, err)
		}
	}
	s.again = append(append([]numbered{}, s.lines[i+1:]...), s.again...)
	s.broken, s.indentation = true, indentation(first.text)
	s.text, s.lines, s.tried = s.text[:0], s.lines[:0], 0
	return s.fn(first.number, nil, problem)
}
