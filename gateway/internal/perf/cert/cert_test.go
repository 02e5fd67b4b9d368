package cert

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHandshake: a client with the pool trusts the files, one without does not.
func TestHandshake(t *testing.T) {
	f, err := Write(t.TempDir())
	require.NoError(t, err)
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_ = c.(*tls.Conn).Handshake() // the client's side tells how it went
			_ = c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), f.Client())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "127.0.0.1"})
	require.Error(t, err, "nobody else trusts it")
	require.NoError(t, l.Close())
	<-ended
	_, err = Write("/nowhere")
	require.Error(t, err)
}
