package stream

import (
	"bytes"
	"errors"
	"fmt"
)

var errObject = errors.New("it is no JSON object on one line")

// members calls fn for the members of a JSON object, keys without quotes, values as they stand, and
// returns fn's first error. It looks no further into values than it must to find their end: a record
// has two thousand bytes of them, and a reader wants a dozen keys at the top.
func members(b []byte, fn func(key, value []byte) error) error {
	at := space(b, 0)
	if at >= len(b) || b[at] != '{' {
		return errObject
	}
	at = space(b, at+1)
	if at < len(b) && b[at] == '}' {
		return end(b, at+1)
	}
	for {
		keyEnd, err := skipString(b, at)
		if err != nil {
			return err
		}
		key := b[at+1 : keyEnd-1]
		at = space(b, keyEnd)
		if at >= len(b) || b[at] != ':' {
			return errObject
		}
		at = space(b, at+1)
		valueEnd, err := skipValue(b, at)
		if err != nil {
			return err
		}
		if err := fn(key, bytes.TrimRight(b[at:valueEnd], " \t\r\n")); err != nil {
			return err
		}
		at = space(b, valueEnd)
		switch {
		case at < len(b) && b[at] == ',':
			at = space(b, at+1)
		case at < len(b) && b[at] == '}':
			return end(b, at+1)
		default:
			return errObject
		}
	}
}

// end checks that nothing follows.
func end(b []byte, at int) error {
	if at = space(b, at); at != len(b) {
		return fmt.Errorf("%q follows the JSON object", clip(b[at:]))
	}
	return nil
}

func space(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n') {
		at++
	}
	return at
}

// skipString returns where the string that begins at ends.
func skipString(b []byte, at int) (int, error) {
	if at >= len(b) || b[at] != '"' {
		return 0, errObject
	}
	for at++; at < len(b); at++ {
		switch b[at] {
		case '"':
			return at + 1, nil
		case '\\':
			at++ // what is escaped
		}
	}
	return 0, errObject
}

// skipValue returns where the value that begins at ends.
func skipValue(b []byte, at int) (int, error) {
	if at < len(b) && b[at] == '"' {
		return skipString(b, at)
	}
	start, depth := at, 0
	for at < len(b) {
		switch b[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at, nonempty(start, at)
			}
			depth--
			if depth == 0 {
				return at + 1, nil
			}
		case '"':
			n, err := skipString(b, at)
			if err != nil {
				return 0, err
			}
			at = n
			continue
		case ',':
			if depth == 0 {
				return at, nonempty(start, at)
			}
		}
		at++
	}
	return 0, errObject
}

func nonempty(start, at int) error {
	if start == at {
		return errObject
	}
	return nil
}
