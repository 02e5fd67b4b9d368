// Package signature computes the two request signatures of Alibaba Cloud's RPC-style API: signature 1 (HMAC-SHA1 over all
// parameters) and V3 (ACS3-HMAC-SHA256 over a canonical request). The API front end verifies with it, the client signs with it.
package signature

import (
	"crypto/hmac"
	"crypto/sha1" // signature 1 is HMAC-SHA1 by definition
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// Names and values that signature 1 prescribes.
const (
	// Method1 is the only SignatureMethod of signature 1.
	Method1 = "HMAC-SHA1"
	// Version1 is the only SignatureVersion of signature 1.
	Version1 = "1.0"
	// TimeFormat is the layout of Timestamp and of x-acs-date, always UTC.
	TimeFormat = "2006-01-02T15:04:05Z"
)

// StringToSign returns the text that signature 1 signs: the HTTP method, the path "/" and all parameters of query and form
// body, decoded, empty ones included, without Signature itself; sorted by name and percent-encoded twice.
func StringToSign(method string, params map[string]string) string {
	return method + "&%2F&" + escape(canonical(params, false))
}

// Sign1 returns the Signature parameter: base64(HMAC-SHA1(secret + "&", stringToSign)).
func Sign1(secret, stringToSign string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(stringToSign))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// canonical joins name=value pairs sorted by name, both RFC 3986 encoded, with or without the parameter Signature.
func canonical(params map[string]string, withSignature bool) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name == "Signature" && !withSignature {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		escapeTo(&b, name)
		b.WriteByte('=')
		escapeTo(&b, params[name])
	}
	return b.String()
}

// escape percent-encodes by RFC 3986: everything but A-Z a-z 0-9 - _ . ~ becomes %XX with upper-case digits.
func escape(s string) string {
	var b strings.Builder
	escapeTo(&b, s)
	return b.String()
}

func escapeTo(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
}
