package fuzz

import (
	"crypto/hmac"
	"crypto/sha1" // signature 1 is HMAC-SHA1 by definition
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The signatures are computed here a second time, from their description alone.

// escape percent-encodes by RFC 3986.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// sortedForm returns "a=1&b=2", sorted by the names as they are before encoding.
func sortedForm(params map[string]string) string {
	names := slices.Sorted(maps.Keys(params))
	for i, name := range names {
		names[i] = escape(name) + "=" + escape(params[name])
	}
	return strings.Join(names, "&")
}

// sign1 signs parameters without Signature.
func sign1(method, secret string, params map[string]string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(method + "&" + escape("/") + "&" + escape(sortedForm(params))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// goodCall returns the parameters of a call that is sent, and whether the extra one leaves it one.
func goodCall(name, value string) (map[string]string, bool) {
	p := map[string]string{
		"DeviceName": "LTEST000000000001", "ExtInfo": `{"commandType":128}`, "MessageContent": "GgsXCx4AAQI=", "ProductKey": product,
	}
	for _, known := range []string{"Action", "Version", "AccessKeyId", "SignatureMethod", "SignatureNonce", "SignatureVersion", "SignatureType",
		"Timestamp", "Signature", "SecurityToken", "Format", "DeviceName", "ExtInfo", "MessageContent", "ProductKey"} {
		if name == known {
			return p, false
		}
	}
	p[name] = value
	return p, true
}

// FuzzSignature1: a call signed by the rules of signature 1 is let in, whatever stands in one of its
// parameters; with any other signature, or one byte of a parameter changed, it is not.
func FuzzSignature1(f *testing.F) {
	f.Add(true, "Extra", "a b+c*~%/车", "Signature", uint(0))
	f.Add(false, "a&b=c", "\x00\xFF;", "yYV5hIqUT2RJXtPCnss+9fZ0Wdc=", uint(77))
	f.Add(true, "", "", "", uint(3))
	f.Fuzz(func(t *testing.T, post bool, name, value, forged string, at uint) {
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		p, ok := goodCall(name, value)
		if !ok {
			return
		}
		for key, v := range map[string]string{"Action": "AsyncRRpc", "Version": "2018-01-20", "Format": "JSON", "AccessKeyId": apiKey, "SignatureMethod": "HMAC-SHA1",
			"SignatureNonce": "n", "SignatureVersion": "1.0", "Timestamp": "2026-11-23T03:32:02Z"} {
			p[key] = v
		}
		right := sign1(method, apiSecret, p)
		p["Signature"] = right
		a := newAPI(t, false)
		got := a.call(t, request(method, sortedForm(p), ""))
		require.True(t, got.Success, "%v: %+v", p, got)
		require.Len(t, a.sent, 1)
		require.Equal(t, apiKey, a.sent[0].AccessKeyID)

		// A second time it is refused.
		require.Equal(t, "SignatureNonceUsed", a.call(t, request(method, sortedForm(p), "")).Code)

		a = newAPI(t, false)
		if forged != right {
			p["Signature"] = forged
			require.False(t, a.call(t, request(method, sortedForm(p), "")).Success, "%q is no signature of %v", forged, p)
		}
		// In the body instead of the query it is the same call; with one byte changed it is another.
		p["Signature"] = right
		require.True(t, a.call(t, request(method, "", sortedForm(p))).Success)
		keys := []string{"DeviceName", "ExtInfo", "MessageContent", "ProductKey", name}
		key := keys[at%uint(len(keys))]
		changed := []byte(p[key] + "x")
		changed[(at/8)%uint(len(changed))] ^= byte(1 + at%127)
		p[key] = string(changed)
		a = newAPI(t, false)
		require.False(t, a.call(t, request(method, sortedForm(p), "")).Success, "%s changed in %v", key, p)
	})
}

// FuzzSignature3 is FuzzSignature1 for V3, where headers sign the query and the hash of the body. Any
// other Authorization header is refused.
func FuzzSignature3(f *testing.F) {
	f.Add("Extra", "a b+c*~%/车", "x-acs-extra", " v ", "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=host,Signature=00", uint(0))
	f.Add("a&b=c", "\x00\xFF;", "accept", "application/json", "ACS3-RSA-SHA256 Credential=,SignedHeaders=;;,Signature=", uint(2))
	f.Add("", "", "X-Acs-Credentials-Provider", "static_ak", "ACS3-HMAC-SHA256 ", uint(4))
	f.Fuzz(func(t *testing.T, name, value, header, headerValue, forged string, at uint) {
		p, ok := goodCall(name, value)
		if !ok || !headerName(header) || strings.ContainsFunc(headerValue+forged, func(r rune) bool { return r < ' ' || r >= 0x7F }) {
			return // no HTTP server would hand it over
		}
		body := sortedForm(map[string]string{"MessageContent": p["MessageContent"]})
		delete(p, "MessageContent")
		h := map[string]string{
			"host": "example.com", "x-acs-action": "AsyncRRpc", "x-acs-version": "2018-01-20", "x-acs-date": "2026-11-23T03:32:02Z",
			"x-acs-signature-nonce": "n", "x-acs-content-sha256": sha256Hex(body),
		}
		lower := strings.ToLower(header)
		if _, known := h[lower]; known || lower == "authorization" || lower == "content-type" || lower == "x-acs-security-token" {
			return
		}
		h[lower] = headerValue
		var names []string
		for n := range h {
			names = append(names, n)
		}
		slices.Sort(names)
		text := "POST\n/\n" + sortedForm(p) + "\n"
		for _, n := range names {
			text += n + ":" + strings.TrimSpace(h[n]) + "\n"
		}
		text += "\n" + strings.Join(names, ";") + "\n" + sha256Hex(body)
		mac := hmac.New(sha256.New, []byte(apiSecret))
		mac.Write([]byte("ACS3-HMAC-SHA256\n" + sha256Hex(text)))
		right := "ACS3-HMAC-SHA256 Credential=" + apiKey + ",SignedHeaders=" + strings.Join(names, ";") + ",Signature=" + hex.EncodeToString(mac.Sum(nil))

		call := func(query, body, authorization string) (apiAnswer, *api) {
			r := request(http.MethodPost, query, body)
			for n, v := range h {
				if n != "host" {
					r.Header.Set(n, v)
				}
			}
			r.Header.Set("Authorization", authorization)
			a := newAPI(t, false)
			return a.call(t, r), a
		}
		got, a := call(sortedForm(p), body, right)
		require.True(t, got.Success, "%+v\n%s", got, text)
		require.Len(t, a.sent, 1)
		if !strings.EqualFold(forged, right) {
			got, _ = call(sortedForm(p), body, forged)
			require.False(t, got.Success, "%q is no signature of\n%s", forged, text)
		}
		// One byte changed in the query, the body or a header.
		switch at % 3 {
		case 0:
			p["DeviceName"] = "LTEST00000000000" + string(rune('2'+at%8))
		case 1:
			body += "&x=" + escape(string(rune(at)))
		case 2:
			h[lower] += "x"
		}
		got, _ = call(sortedForm(p), body, right)
		require.False(t, got.Success, "changed: %s", text)
	})
}

// headerName reports whether s may be the name of an HTTP header.
func headerName(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
