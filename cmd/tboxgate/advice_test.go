package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
)

// TestNoGateway: a gateway that runs for another user is not taken for none.
func TestNoGateway(t *testing.T) {
	for _, tt := range []struct {
		errno syscall.Errno
		want  string
	}{
		{syscall.EACCES, "data directory d belongs to another user: run this as the one that the gateway runs as (sudo -u), or as root"},
		{syscall.ENOENT, "no gateway is running on data directory d: start tboxgate serve there, or choose another with --data-dir"},
		{syscall.ECONNREFUSED, "no gateway is running on data directory d: start tboxgate serve there, or choose another with --data-dir"},
	} {
		err := fmt.Errorf("%w: %w", admin.ErrNoGateway, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", tt.errno)})
		require.EqualError(t, noGateway("d", err), tt.want)
	}
}

// TestConfigCheckCertificates: files that serve could not use are found without starting it.
func TestConfigCheckCertificates(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("no.pem", []byte("nothing\n"), 0o600))
	require.NoError(t, os.WriteFile("t.yaml", []byte("listeners:\n- {address: \"127.0.0.1:0\"}\n- {address: \"127.0.0.1:0\", tls: {cert: none.crt, key: none.key}}\n"+
		"api: {tls: {cert: no.pem, key: no.pem}}\nmqtt: {listeners: [{address: \"127.0.0.1:0\", tls: {cert: m.crt, key: m.key}}]}\n"+
		"products: [{key: a}, {key: b, protocol: mqtt}]\n"), 0o600))
	code, stdout, stderr := tboxgate(t, "", "config", "check", "--config", "t.yaml")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Equal(t, "listeners[1].tls.cert none.crt, tls.key none.key: open none.crt: no such file or directory\n"+
		"api.tls.cert no.pem, tls.key no.pem: tls: failed to find any PEM data in certificate input\n"+
		"mqtt.listeners[0].tls.cert m.crt, tls.key m.key: open m.crt: no such file or directory\n", stderr)
}
