package stream

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Entry is one record of a batch of which no more was read than whose it is.
type Entry struct {
	VIN     codec.VIN
	Command string // its JSON name
	Bytes   []byte // the entry, a view of the batch; ParseEntry reads it

	frame codec.Frame // nil for JSON
	time  []byte      // the JSON of the key "time"
}

// CollectedAt returns the time that the data unit begins with, as Record.CollectedAt does.
func (e *Entry) CollectedAt() (time.Time, bool) {
	if e.frame != nil {
		return e.frame.Time()
	}
	return timeOf(e.time)
}

// report says whether it is a realtime report or a reissue.
func (e *Entry) report() bool { return e.Command == realtime || e.Command == reissue }

// The JSON names of reports.
const (
	realtime = "realtime"
	reissue  = "reissue"
)

// Entries goes through the records of a batch and looks at the beginning of each only: some hundred
// nanoseconds a record, for those who want few of many. The loop ends with the first error, a *ParseError.
func Entries(subject string, body []byte) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for at, i := 0, 0; at < len(body); i++ {
			n, e, err := headOf(body[at:])
			if err != nil {
				yield(Entry{}, &ParseError{Subject: subject, Index: i, Offset: at, Err: err})
				return
			}
			e.Bytes = body[at : at+n]
			if !yield(e, nil) {
				return
			}
			at += n
		}
	}
}

// ParseEntry reads one entry. The record is a view of it.
func ParseEntry(entry []byte) (Record, error) {
	_, r, err := parseEntry(entry)
	return r, err
}

// errEnough ends the look at an object's members.
var errEnough = errors.New("enough")

// headOf reads whose the first entry of b is, and its length.
func headOf(b []byte) (n int, e Entry, err error) {
	line, frame, n, err := cutEntry(b)
	if err != nil {
		return 0, e, err
	}
	if frame != nil {
		f, err := codec.ParseFrame(frame)
		if err != nil {
			return 0, e, err
		}
		e.frame, e.VIN, e.Command = f, f.VIN(), f.Command().Name(f.Edition())
		return n, e, nil
	}
	var vin, vinHex []byte
	head := true
	err = members(line, func(key, value []byte) (err error) {
		switch string(key) {
		case "command":
			switch string(value) { // nearly all; no memory for them
			case `"` + realtime + `"`:
				e.Command = realtime
			case `"` + reissue + `"`:
				e.Command = reissue
			default:
				e.Command, err = text(value)
			}
		case "vin":
			vin = value
		case "vinHex":
			vinHex = value
		case "encryption":
			head = false
		case "time":
			e.time = value
			return errEnough
		default: // v, edition, flag; without a time, the key behind
			if !head {
				return errEnough
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, e, err
	}
	e.VIN, err = parseVIN(vin, vinHex)
	return n, e, err
}

// cutEntry cuts the first entry of b into its line and, when one follows, its frame. n is the length of all.
func cutEntry(b []byte) (line, frame []byte, n int, err error) {
	end := lineEnd(b)
	if end < 0 {
		return nil, nil, 0, errors.New("the line has no end")
	}
	line, rest := b[:end], b[end+1:]
	if !hasFrame(line) {
		return line, nil, end + 1, nil
	}
	digits := line[len(rawBytes):]
	stop := 0
	for stop < len(digits) && digits[stop] >= '0' && digits[stop] <= '9' {
		stop++
	}
	size, err := strconv.Atoi(string(digits[:stop]))
	if err != nil || size > codec.MaxFrameSize {
		return nil, nil, 0, fmt.Errorf("rawBytes %q is no length of a frame", digits[:stop])
	}
	if len(rest) < size+1 || rest[size] != '\n' {
		return nil, nil, 0, fmt.Errorf("the frame of %d bytes is cut", size)
	}
	return line, rest[:size:size], end + 1 + size + 1, nil
}
