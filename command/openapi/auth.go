package openapi

import (
	"cmp"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/command/openapi/signature"
)

// envelope is what is common to every call, wherever the signature in use puts it.
type envelope struct {
	action  string
	version string
}

// isV3 reports whether a request is signed by a V3 signature of any algorithm (they are named ACS3-...).
func isV3(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "ACS3-")
}

// readEnvelope finds action and version: in the parameters, or, under V3, in the headers first. Signature 1 does not cover
// headers, so there they mean nothing.
func (req *request) readEnvelope() envelope {
	e := envelope{action: req.all["Action"], version: req.all["Version"]}
	if isV3(req.http) {
		e.action = cmp.Or(req.http.Header.Get("x-acs-action"), e.action)
		e.version = cmp.Or(req.http.Header.Get("x-acs-version"), e.version)
	}
	return e
}

// claim is a signature that came with a request, ready to be checked against the secret of the key it names.
type claim struct {
	keyID  string
	token  string // security token, "" for none
	nonce  string
	signed time.Time
	// given is the signature in the request; compute makes the right one; text is what was signed (signature 1 only).
	given   string
	compute func(secret string) string
	text    string
}

// verify authenticates a request for an action and returns the access key that signed it.
func (h *Handler) verify(req *request, action string) (key Key, fail *frontError) {
	var c claim
	if isV3(req.http) {
		c, fail = claim3(req)
	} else {
		c, fail = claim1(req)
	}
	if fail != nil {
		return Key{}, fail
	}
	now := h.o.Now()
	if age := now.Sub(c.signed); age > h.o.Window || age < -h.o.Window {
		return Key{}, errTimeExpired
	}
	key, ok := h.o.Keys.Lookup(c.keyID)
	if !ok {
		if key.ID != "" {
			h.o.Unsigned.Error(sealedText, "accessKeyId", key.ID, "remote", req.http.RemoteAddr, "remedy", sealedRemedy)
			return Key{}, errKeySealed
		}
		return Key{}, errKeyNotFound
	}
	if key.Disabled {
		return Key{}, errKeyInactive
	}
	if subtle.ConstantTimeCompare([]byte(c.given), []byte(c.compute(key.Secret))) != 1 {
		if h.o.EchoStringToSign && c.text != "" {
			// SDKs of the old generation compare what follows the colon with their own text, so nothing may follow it.
			return Key{}, front(errSignatureMismatch.status, errSignatureMismatch.code, "Specified signature is not matched with our calculation. server string to sign is:"+c.text)
		}
		return Key{}, errSignatureMismatch
	}
	if fail := checkToken(&key, c.token, now); fail != nil {
		return Key{}, fail
	}
	// Only now: whoever cannot sign can neither fill the nonce memory nor use up a key's calls.
	if !h.limits.allow(c.keyID, now) {
		return Key{}, errThrottled
	}
	switch h.nonces.use(c.keyID, c.nonce, c.signed, now, h.o.Window) {
	case nonceUsed:
		return Key{}, errNonceUsed
	case nonceForgotten:
		return Key{}, errTimeExpired
	case nonceFull:
		return Key{}, errThrottled
	}
	if h.o.SharedNonces != nil && acts(action) {
		if fail := h.useEverywhere(req.http.Context(), c.keyID, c.nonce); fail != nil {
			return Key{}, fail
		}
	}
	return key, nil
}

// checkToken holds a call's security token against that of its key, and looks whether the key has expired.
func checkToken(key *Key, token string, now time.Time) *frontError {
	expired := !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt)
	switch {
	case key.SecurityToken == "" && token != "":
		return errNoSecurityToken
	case key.SecurityToken != "" && token == "":
		return errMissing("SecurityToken")
	case subtle.ConstantTimeCompare([]byte(token), []byte(key.SecurityToken)) != 1:
		return errSecurityToken
	case expired && token != "":
		return errTokenExpired
	case expired:
		return errKeyExpired
	}
	return nil
}

// claim1 reads signature 1: everything is in the parameters.
func claim1(req *request) (claim, *frontError) {
	p := req.all
	for _, name := range [...]string{"AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"} {
		if p[name] == "" {
			return claim{}, errMissing(name)
		}
	}
	if p["SignatureMethod"] != signature.Method1 || p["SignatureType"] != "" {
		return claim{}, errSignatureMethod
	}
	if p["SignatureVersion"] != signature.Version1 {
		return claim{}, errSignatureVersion
	}
	signed, err := time.Parse(signature.TimeFormat, p["Timestamp"])
	if err != nil {
		return claim{}, errTimeFormat
	}
	text := signature.StringToSign(req.http.Method, p)
	return claim{
		keyID: p["AccessKeyId"], token: p["SecurityToken"], nonce: p["SignatureNonce"], signed: signed, given: p["Signature"], text: text,
		compute: func(secret string) string { return signature.Sign1(secret, text) },
	}, nil
}

// claim3 reads signature V3: everything is in the headers, the parameters are signed by the query and the hash of the body.
func claim3(req *request) (claim, *frontError) {
	header := req.http.Header
	if !strings.HasPrefix(header.Get("Authorization"), signature.Algorithm3+" ") {
		return claim{}, errSignatureMethod
	}
	auth, err := signature.ParseAuthorization(header.Get("Authorization"))
	if err != nil {
		return claim{}, errMissing("Authorization")
	}
	for _, name := range [...]string{"x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"} {
		if header.Get(name) == "" {
			return claim{}, errMissing(name)
		}
	}
	signed, err := time.Parse(signature.TimeFormat, header.Get("x-acs-date"))
	if err != nil {
		return claim{}, errTimeFormat
	}
	if unsigned := unsignedHeader(header, auth.SignedHeaders); unsigned != "" {
		return claim{}, errUnsigned(unsigned)
	}
	hash := signature.BodyHash(req.body)
	if !strings.EqualFold(header.Get("x-acs-content-sha256"), hash) {
		return claim{}, errContentHash
	}
	canonical := signature.Request3{
		Method: req.http.Method, Path: "/", Query: req.query, SignedHeaders: auth.SignedHeaders, BodyHash: hash,
		Header: func(name string) string {
			if name == "host" {
				return req.http.Host
			}
			return strings.Join(header.Values(name), ",")
		},
	}.CanonicalRequest()
	return claim{
		keyID: auth.Credential, token: header.Get("x-acs-security-token"), nonce: header.Get("x-acs-signature-nonce"), signed: signed, given: strings.ToLower(auth.Signature),
		compute: func(secret string) string { return signature.Sign3(secret, canonical) },
	}, nil
}

// unsignedHeader returns a header that V3 demands to be signed and is not: host and every x-acs-* header.
func unsignedHeader(header http.Header, signed []string) string {
	have := make(map[string]bool, len(signed))
	for _, name := range signed {
		have[name] = true
	}
	if !have["host"] {
		return "host"
	}
	for name := range header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") && !have[lower] {
			return lower
		}
	}
	return ""
}
