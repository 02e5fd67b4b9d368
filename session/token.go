package session

import (
	"errors"
	"fmt"
)

// ErrToken is the kind of error that Untoken returns.
var ErrToken = errors.New("session: bad token")

const upperHex = "0123456789ABCDEF"

// Token writes any text as one token of a subject or a bucket key: bytes outside [A-Za-z0-9_-]
// become =XX (upper case hex), the empty text becomes "=". Different texts have different tokens.
func Token(s string) string {
	clean := s != ""
	for i := 0; clean && i < len(s); i++ {
		clean = tokenByte(s[i])
	}
	if clean {
		return s
	}
	return string(AppendToken(make([]byte, 0, 3*len(s)+1), s))
}

// AppendToken appends [Token] of s to dst. It does not allocate when dst has room for 3 bytes a
// byte of s (at least 1).
func AppendToken[T ~string | ~[]byte](dst []byte, s T) []byte {
	if len(s) == 0 {
		return append(dst, '=')
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; tokenByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// Untoken is the inverse of [Token]. It takes only what Token returns, so that no two keys mean the
// same text. The error is ErrToken.
func Untoken(token string) (string, error) {
	if token == "=" {
		return "", nil
	}
	text := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		switch {
		case tokenByte(c):
			text = append(text, c)
		case c == '=' && i+2 < len(token):
			hi, lo := unhex(token[i+1]), unhex(token[i+2])
			if hi > 15 || lo > 15 || tokenByte(hi<<4|lo) {
				return "", fmt.Errorf("%w: %q: %q at offset %d is no escape", ErrToken, token, token[i:i+3], i)
			}
			text = append(text, hi<<4|lo)
			i += 2
		default:
			return "", fmt.Errorf("%w: %q: byte 0x%02X at offset %d", ErrToken, token, c, i)
		}
	}
	if len(text) == 0 {
		return "", fmt.Errorf("%w: it is empty", ErrToken)
	}
	return string(text), nil
}

// tokenByte reports whether c stands for itself in a token.
func tokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// unhex returns the value of an upper case hex digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
