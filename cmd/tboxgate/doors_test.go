package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command/openapi/signature"
)

// certificate writes a self-signed certificate of 127.0.0.1 with the given serial number to dir/name.crt and .key.
func certificate(t *testing.T, dir, name string, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".crt"), certPEM, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".key"), keyPEM, 0o600))
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	return pair
}

// TestAPIOverHTTPS: the API speaks HTTPS with client certificates, and takes a new certificate over without a restart.
func TestAPIOverHTTPS(t *testing.T) {
	files := t.TempDir()
	certificate(t, files, "server", 1)
	client := certificate(t, files, "client", 2)
	config := writeFile(t, "t.yaml", "api: {tls: {cert: "+files+"/server.crt, key: "+files+"/server.key, clientCA: "+files+"/client.crt}}\n")
	g := serve(t, dataDir(t), "--config", config, "--sink", "discard")
	require.True(t, g.Addresses.APITLS)
	require.Contains(t, g.stdout.String(), "  API       https://"+g.Addresses.API+"\n")
	call := func(certs ...tls.Certificate) (serial int64, body string, err error) {
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}}
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + g.Addresses.API + "/?Format=JSON")
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), string(text), err
	}
	serial, body, err := call(client)
	require.NoError(t, err)
	require.Contains(t, body, `"Code":"MissingAction"`)
	require.EqualValues(t, 1, serial)
	_, _, err = call()
	require.Error(t, err, "no client certificate")

	certificate(t, files, "server", 3)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool {
		serial, _, err := call(client)
		return err == nil && serial == 3
	}, patience, 10*time.Millisecond)

	code, _, stderr := tboxgate(t, "", "serve", "--data-dir", dataDir(t), "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0",
		"--config", writeFile(t, "bad.yaml", "api: {tls: {cert: none.crt, key: none.key}}\n"))
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: api.tls.cert none.crt, tls.key none.key: open none.crt: no such file or directory\n", stderr)
}

// TestLimitListener: a connection beyond the limit is taken when one before it has closed.
func TestLimitListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := newLimitListener(inner, 1)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		defer c.Close()
	}
	for range 2 {
		c := <-accepted
		require.Len(t, l.slots, 1)
		require.NoError(t, c.Close())
		require.Error(t, c.Close(), "a second time gives no second slot back")
	}
	last := <-accepted
	require.NoError(t, l.Close(), "while Accept waits for a slot")
	require.ErrorIs(t, <-ended, net.ErrClosed)
	require.NoError(t, last.Close())
}

// TestNoReplayAfterRestart: a signed call that was overheard cannot be made again, not even after a crash.
func TestNoReplayAfterRestart(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--access-key", "id:secret-secret", "--sink", "discard")
	params := map[string]string{
		"Action": "QueryDevice", "Version": "2018-01-20", "ProductKey": "gbt32960", "Format": "JSON", "AccessKeyId": "id", "SignatureNonce": "n1",
		"SignatureMethod": signature.Method1, "SignatureVersion": signature.Version1, "Timestamp": time.Now().UTC().Format(signature.TimeFormat),
	}
	params["Signature"] = signature.Sign1("secret-secret", signature.StringToSign(http.MethodGet, params))
	query := url.Values{}
	for name, value := range params {
		query.Set(name, value)
	}
	status, body := get(t, "http://"+g.Addresses.API+"/?"+query.Encode())
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"Total":0`)
	require.NoError(t, g.cmd.Process.Kill())
	g.exit(t)
	g = serve(t, dir, "--access-key", "id:secret-secret", "--sink", "discard")
	status, body = get(t, "http://"+g.Addresses.API+"/?"+query.Encode())
	require.Equal(t, 400, status, body)
	require.Contains(t, body, `"Code":"SignatureNonceUsed"`)
}

// TestUnusedConnections: a connection on which a client has asked nothing yet does not hold the end up, nor make it a failure.
func TestUnusedConnections(t *testing.T) {
	g := serve(t, dataDir(t), "--dev", "--sink", "discard")
	for _, addr := range []string{g.Addresses.API, g.Addresses.Admin} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
	}
	status, _ := get(t, "http://"+g.Addresses.API+"/") // they have been accepted by now
	require.Equal(t, 400, status)
	status, _ = get(t, "http://"+g.Addresses.Admin+"/healthz")
	require.Equal(t, 200, status)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
}
