package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Algorithm3 is the algorithm name of V3 that this package computes; it opens the Authorization header.
const Algorithm3 = "ACS3-HMAC-SHA256"

// ErrAuthorization reports an Authorization header that is not of the form
// "ACS3-HMAC-SHA256 Credential=<id>,SignedHeaders=<a;b;c>,Signature=<hex>".
var ErrAuthorization = errors.New("signature: malformed Authorization header")

// Authorization is a parsed V3 Authorization header.
type Authorization struct {
	Credential    string   // access key id
	SignedHeaders []string // lower-case header names in the order in which they were signed
	Signature     string   // 64 hex digits
}

// ParseAuthorization reads a V3 Authorization header. The error matches ErrAuthorization.
func ParseAuthorization(header string) (Authorization, error) {
	var a Authorization
	rest, ok := strings.CutPrefix(header, Algorithm3+" ")
	if !ok {
		return a, fmt.Errorf("%w: it does not begin with %s", ErrAuthorization, Algorithm3)
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			a.Credential = value
		case "SignedHeaders":
			a.SignedHeaders = strings.Split(strings.ToLower(value), ";")
		case "Signature":
			a.Signature = value
		default:
			return a, fmt.Errorf("%w: unknown part", ErrAuthorization)
		}
	}
	if a.Credential == "" || len(a.SignedHeaders) == 0 || a.SignedHeaders[0] == "" || a.Signature == "" {
		return a, fmt.Errorf("%w: Credential, SignedHeaders or Signature is missing", ErrAuthorization)
	}
	return a, nil
}

// Request3 is what V3 signs of an HTTP request.
type Request3 struct {
	Method        string
	Path          string            // "/" for RPC-style calls
	Query         map[string]string // decoded query parameters; a form body is signed by its hash only
	SignedHeaders []string          // lower case, in signing order
	Header        func(name string) string
	BodyHash      string // BodyHash of the raw body
}

// BodyHash returns the lower-case hex SHA-256 of a raw body, the value of x-acs-content-sha256.
func BodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// CanonicalRequest returns the text whose hash V3 signs. An empty line follows the header block.
func (r Request3) CanonicalRequest() string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.Path + "\n" + canonical(r.Query, true) + "\n")
	for _, name := range r.SignedHeaders {
		b.WriteString(name + ":" + strings.TrimSpace(r.Header(name)) + "\n")
	}
	b.WriteString("\n" + strings.Join(r.SignedHeaders, ";") + "\n" + r.BodyHash)
	return b.String()
}

// Sign3 returns the hex signature of a canonical request. Unlike signature 1 the key is the secret itself, without "&".
func Sign3(secret, canonicalRequest string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(Algorithm3 + "\n" + BodyHash([]byte(canonicalRequest))))
	return hex.EncodeToString(mac.Sum(nil))
}
