package signature_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command/openapi/signature"
)

// The two vectors were recorded from Alibaba Cloud's own Go SDKs (old generation: signature 1, current: V3) with the published
// sample key testid / testsecret.

func TestSignature1Vector(t *testing.T) {
	params := map[string]string{
		"AccessKeyId": "testid", "Action": "AsyncRRpc", "DeviceName": "LTEST000000000001", "ExtInfo": `{"commandType":128}`,
		"Format": "JSON", "MessageContent": "AQI=", "ProductKey": "a1b2c3d4e5f", "RegionId": "cn-shanghai",
		"Signature": "not part of what is signed", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "0182f4c92fb6e1371b203fc97252d62b",
		"SignatureType": "", "SignatureVersion": "1.0", "Timestamp": "2026-11-23T03:32:02Z", "Version": "2018-01-20",
	}
	text := signature.StringToSign("POST", params)
	require.Equal(t, "POST&%2F&AccessKeyId%3Dtestid%26Action%3DAsyncRRpc%26DeviceName%3DLTEST000000000001%26ExtInfo%3D%257B%2522commandType%2522%253A128%257D"+
		"%26Format%3DJSON%26MessageContent%3DAQI%253D%26ProductKey%3Da1b2c3d4e5f%26RegionId%3Dcn-shanghai%26SignatureMethod%3DHMAC-SHA1"+
		"%26SignatureNonce%3D0182f4c92fb6e1371b203fc97252d62b%26SignatureType%3D%26SignatureVersion%3D1.0"+
		"%26Timestamp%3D2026-11-23T03%253A32%253A02Z%26Version%3D2018-01-20", text)
	require.Equal(t, "yYV5hIqUT2RJXtPCnss+9fZ0Wdc=", signature.Sign1("testsecret", text))
}

func TestSignature3Vector(t *testing.T) {
	headers := map[string]string{
		"content-type": "application/x-www-form-urlencoded", "host": "127.0.0.1:18080", "x-acs-action": "AsyncRRpc",
		"x-acs-content-sha256":       "fb589d983733cb0bc56222d49c1a5867af8c0a3d2d09f0ff6639adc662981fed",
		"x-acs-credentials-provider": "static_ak", "x-acs-date": "2026-11-23T03:33:06Z",
		"x-acs-signature-nonce": "7c2b52db1d4b7d78c4525e7b7f3b7379", "x-acs-version": " 2018-01-20 ",
	}
	auth, err := signature.ParseAuthorization("ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;" +
		"x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=c364938d2eb5d2400863d16ff0ba4f7aa81670b0bb6f1fe22db125f3664e38c6")
	require.NoError(t, err)
	require.Equal(t, "testid", auth.Credential)
	r := signature.Request3{
		Method: "POST", Path: "/",
		Query:         map[string]string{"DeviceName": "LTEST000000000001", "ExtInfo": `{"commandType":128}`, "ProductKey": "a1b2c3d4e5f"},
		SignedHeaders: auth.SignedHeaders,
		Header:        func(name string) string { return headers[name] },
		BodyHash:      signature.BodyHash([]byte("MessageContent=AQI%3D")),
	}
	require.Equal(t, headers["x-acs-content-sha256"], r.BodyHash)
	text := r.CanonicalRequest()
	require.Equal(t, "f233bd309886d8594008191553eb4d4ed7ce0a4dc5fe3dcd7283d4e7c5edf9e8", signature.BodyHash([]byte(text)))
	require.Equal(t, auth.Signature, signature.Sign3("testsecret", text))
}

func TestEmptyBodyHash(t *testing.T) {
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", signature.BodyHash(nil))
}

// TestStringToSignEscapes: a value is escaped as a parameter, and what came of it once more as a part of the text.
func TestStringToSignEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"AZaz09-_.~":          "AZaz09-_.~",
		" ":                   "%20",
		"*":                   "%2A",
		"+/=":                 "%2B%2F%3D",
		"\u8f66":              "%E8%BD%A6",
		"\x00\xff":            "%00%FF",
		`{"commandType":128}`: "%7B%22commandType%22%3A128%7D",
	} {
		twice := "GET&%2F&x%3D" + strings.ReplaceAll(want, "%", "%25")
		require.Equal(t, twice, signature.StringToSign("GET", map[string]string{"x": in}), "%q", in)
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	good := "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b"
	_, err := signature.ParseAuthorization(good)
	require.NoError(t, err)
	for _, bad := range []string{
		"", "Basic YTpi", "ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=b", "ACS3-HMAC-SHA256",
		strings.Replace(good, "Credential=a", "Credential=", 1), strings.Replace(good, "host", "", 1),
		strings.Replace(good, "Signature=b", "", 1), good + ",Extra=1",
	} {
		_, err := signature.ParseAuthorization(bad)
		require.ErrorIs(t, err, signature.ErrAuthorization, "%q", bad)
	}
}

// TestEmptyName: a parameter without a name is signed too, or anybody could add one.
func TestEmptyName(t *testing.T) {
	r := signature.Request3{Method: "POST", Path: "/", Query: map[string]string{"": "x", "a": "1"}, Header: func(string) string { return "" }}
	require.True(t, strings.HasPrefix(r.CanonicalRequest(), "POST\n/\n=x&a=1\n"), r.CanonicalRequest())
	require.Contains(t, signature.StringToSign("GET", map[string]string{"": "x"}), "%3Dx")
}
