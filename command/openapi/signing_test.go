package openapi_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
)

// The request that the old Go SDK really sent, byte for byte.
func TestRecordedSignature1Request(t *testing.T) {
	a := newAPI(t)
	r := httptest.NewRequest(http.MethodPost, "/?AccessKeyId=testid&Action=AsyncRRpc&DeviceName=LTEST000000000001&ExtInfo=%7B%22commandType%22%3A128%7D&Format=JSON"+
		"&ProductKey=a1b2c3d4e5f&RegionId=cn-shanghai&Signature=yYV5hIqUT2RJXtPCnss%2B9fZ0Wdc%3D&SignatureMethod=HMAC-SHA1"+
		"&SignatureNonce=0182f4c92fb6e1371b203fc97252d62b&SignatureType=&SignatureVersion=1.0&Timestamp=2026-11-23T03%3A32%3A02Z&Version=2018-01-20",
		strings.NewReader("MessageContent=AQI%3D"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got := a.do(r)
	require.Equal(t, true, got.json["Success"], got.body)
	require.Equal(t, []byte{1, 2}, a.commands.last.Unit)
}

// v3Request is the request that the current Go SDK really sent.
func v3Request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:18080/?DeviceName=LTEST000000000001&ExtInfo=%7B%22commandType%22%3A128%7D&ProductKey=a1b2c3d4e5f",
		strings.NewReader("MessageContent=AQI%3D"))
	for name, value := range map[string]string{
		"accept": "application/json", "content-type": "application/x-www-form-urlencoded", "x-acs-action": "AsyncRRpc",
		"x-acs-content-sha256":       "fb589d983733cb0bc56222d49c1a5867af8c0a3d2d09f0ff6639adc662981fed",
		"x-acs-credentials-provider": "static_ak", "x-acs-date": "2026-11-23T03:33:06Z",
		"x-acs-signature-nonce": "7c2b52db1d4b7d78c4525e7b7f3b7379", "x-acs-version": "2018-01-20",
		"Authorization": "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;" +
			"x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=c364938d2eb5d2400863d16ff0ba4f7aa81670b0bb6f1fe22db125f3664e38c6",
	} {
		r.Header.Set(name, value)
	}
	return r
}

func TestRecordedSignature3Request(t *testing.T) {
	a := newAPI(t)
	got := a.do(v3Request())
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, "application/json;charset=utf-8", got.typ, "V3 has no Format")
	require.Equal(t, true, got.json["Success"])
	require.Equal(t, []byte{1, 2}, a.commands.last.Unit)
	require.Equal(t, "SignatureNonceUsed", a.do(v3Request()).json["Code"])
}

func TestSignature3Refusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		code   string
	}{
		"body changed":     {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("MessageContent=AQM%3D")) }, 400, "SignatureDoesNotMatch"},
		"query changed":    {func(r *http.Request) { r.URL.RawQuery += "&IotInstanceId=x" }, 400, "SignatureDoesNotMatch"},
		"action changed":   {func(r *http.Request) { r.Header.Set("x-acs-action", "GetAsyncRRpcResult") }, 400, "SignatureDoesNotMatch"},
		"host changed":     {func(r *http.Request) { r.Host = "elsewhere" }, 400, "SignatureDoesNotMatch"},
		"unsigned header":  {func(r *http.Request) { r.Header.Set("x-acs-other", "x") }, 400, "SignatureDoesNotMatch"},
		"no date":          {func(r *http.Request) { r.Header.Del("x-acs-date") }, 400, "Missingx-acs-date"},
		"no nonce":         {func(r *http.Request) { r.Header.Del("x-acs-signature-nonce") }, 400, "Missingx-acs-signature-nonce"},
		"no hash":          {func(r *http.Request) { r.Header.Del("x-acs-content-sha256") }, 400, "Missingx-acs-content-sha256"},
		"bad date":         {func(r *http.Request) { r.Header.Set("x-acs-date", "yesterday") }, 400, "InvalidTimeStamp.Format"},
		"old date":         {func(r *http.Request) { r.Header.Set("x-acs-date", "2026-11-22T03:33:06Z") }, 400, "InvalidTimeStamp.Expired"},
		"no action":        {func(r *http.Request) { r.Header.Del("x-acs-action") }, 400, "MissingAction"},
		"other algorithm":  {func(r *http.Request) { replaceAuth(r, "ACS3-HMAC-SHA256", "ACS3-HMAC-SM3") }, 400, "InvalidSignatureMethod"},
		"broken header":    {func(r *http.Request) { replaceAuth(r, "Credential=", "Cred=") }, 400, "MissingAuthorization"},
		"host not signed":  {func(r *http.Request) { replaceAuth(r, "host;", "") }, 400, "SignatureDoesNotMatch"},
		"unknown key":      {func(r *http.Request) { replaceAuth(r, "testid", "nobody") }, 404, "InvalidAccessKeyId.NotFound"},
		"wrong signature":  {func(r *http.Request) { replaceAuth(r, "Signature=c", "Signature=d") }, 400, "SignatureDoesNotMatch"},
		"signature cut":    {func(r *http.Request) { replaceAuth(r, "38c6", "") }, 400, "SignatureDoesNotMatch"},
		"not even a query": {func(r *http.Request) { r.URL.RawQuery = "" }, 400, "SignatureDoesNotMatch"},
	} {
		a := newAPI(t)
		r := v3Request()
		c.change(r)
		got := a.do(r)
		require.Equal(t, c.status, got.status, name)
		require.Equal(t, c.code, got.json["Code"], name)
		require.Zero(t, a.commands.sent, name)
	}
}

func replaceAuth(r *http.Request, old, with string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
}

func TestReplayIsRefused(t *testing.T) {
	a := newAPI(t)
	p := a.params("GET", nil)
	require.Equal(t, 200, a.do(httptest.NewRequest(http.MethodGet, "/?"+encode(p), nil)).status)
	got := a.do(httptest.NewRequest(http.MethodGet, "/?"+encode(p), nil))
	require.Equal(t, 400, got.status)
	require.Equal(t, "SignatureNonceUsed", got.json["Code"])
	require.Equal(t, 1, a.commands.sent)
	// A nonce that came with a wrong signature is not used up.
	p = a.params("GET", nil)
	wrong := maps.Clone(p)
	wrong["Signature"] = "x"
	require.Equal(t, 400, a.do(httptest.NewRequest(http.MethodGet, "/?"+encode(wrong), nil)).status)
	require.Equal(t, 200, a.do(httptest.NewRequest(http.MethodGet, "/?"+encode(p), nil)).status)
}

func TestEchoOfTheStringToSign(t *testing.T) {
	a := newAPI(t, func(o *openapi.Options) { o.EchoStringToSign = true })
	p := a.params("GET", map[string]string{"secret": "guess"})
	got := a.do(httptest.NewRequest(http.MethodGet, "/?"+encode(p), nil))
	require.Equal(t, "Specified signature is not matched with our calculation. server string to sign is:"+signature.StringToSign("GET", p), got.json["Message"])
}
