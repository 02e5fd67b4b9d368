package form

import "bytes"

// member returns the value of a key of the object itself, nil when it has none. The object is one of
// ours: compact, on one line, its keys without escapes.
func member(object []byte, key string) []byte {
	if len(object) < 2 || object[0] != '{' {
		return nil
	}
	for i := 1; i < len(object) && object[i] == '"'; {
		end := skipString(object, i)
		if end >= len(object) || object[end] != ':' {
			return nil
		}
		start := end + 1
		stop := skipValue(object, start)
		if string(object[i+1:end-1]) == key {
			return object[start:stop:stop]
		}
		if stop >= len(object) || object[stop] != ',' {
			return nil
		}
		i = stop + 1
	}
	return nil
}

// skipString returns the offset after the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		next := bytes.IndexByte(b[i:], '"')
		if next < 0 {
			return len(b)
		}
		i += next
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// skipValue returns the offset after the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of the object around a number
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(b)
}

// unquote takes the quotes off a string without escapes.
func unquote(s []byte) []byte {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return nil
	}
	return s[1 : len(s)-1]
}

// withoutRaw appends the object without the member whose value is raw, a slice of it.
func withoutRaw(dst, object, raw []byte) []byte {
	for i := 1; i < len(object); {
		value := skipString(object, i) + 1
		stop := skipValue(object, value)
		if value < len(object) && &object[value] == &raw[0] {
			start := i
			if object[start-1] == ',' {
				start--
			} else if stop < len(object) && object[stop] == ',' {
				stop++
			}
			dst = append(dst, object[:start]...)
			return append(dst, object[stop:]...)
		}
		i = stop + 1
	}
	return append(dst, object...)
}
