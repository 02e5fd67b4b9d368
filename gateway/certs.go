package gateway

import (
	"errors"
	"time"

	"github.com/tboxgate/tboxgate/gateway/certfiles"
)

// TLS makes a listener speak TLS 1.2 and 1.3. The files are read again when
// they change, and by Gateway.Reload.
type TLS struct {
	Cert            string // PEM file: the server's certificate and its chain
	Key             string // PEM file: its private key
	ClientCA        string // PEM file: whoever has a certificate of these may connect, nobody else; "": no client certificate is asked for
	RequireVINMatch bool   // a client's certificate must name its VIN, a platform's its code or user name (common name or DNS name); needs ClientCA
}

// loadCerts reads the files of a listener for the first time. expires is told
// when the certificate in use expires.
func loadCerts(opt TLS, expires func(time.Time)) (*certfiles.Loader, error) {
	if opt.RequireVINMatch && opt.ClientCA == "" {
		return nil, errors.New("tls.requireVinMatch needs tls.clientCA")
	}
	return certfiles.Load(certfiles.Files{Cert: opt.Cert, Key: opt.Key, ClientCA: opt.ClientCA}, expires)
}
