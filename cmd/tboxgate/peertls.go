package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// peerTLSFlags are the flags of commands that connect as a vehicle or platform does.
func peerTLSFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "tls", Usage: "connect over TLS 1.2 or 1.3", DisableDefaultText: true},
		&cli.StringFlag{Name: "ca", Usage: "PEM `FILE` of the authorities that may sign the gateway's certificate", DefaultText: "the system's"},
		&cli.StringFlag{Name: "cert", Usage: "PEM `FILE` of the client certificate; {vin} in its name is replaced by each VIN"},
		&cli.StringFlag{Name: "key", Usage: "PEM `FILE` of its key, likewise"},
		&cli.StringFlag{Name: "server-name", Usage: "name that the gateway's certificate must have", DefaultText: "the host"},
		&cli.BoolFlag{Name: "insecure", Usage: "take any certificate: for tests only", DisableDefaultText: true},
	}
}

// peerTLS is what these flags say. Nil connects without TLS.
type peerTLS struct {
	base      *tls.Config
	cert, key string // templates, empty without a client certificate
}

// readPeerTLS reads the flags. Certificates whose name holds no {vin} are read at once, so that a wrong
// name is a mistake of the command line; others when their vehicle connects.
func readPeerTLS(c *cli.Context) (*peerTLS, error) {
	if !c.Bool("tls") {
		for _, name := range []string{"ca", "cert", "key", "server-name", "insecure"} {
			if c.IsSet(name) {
				return nil, usagef(c, "--%s needs --tls", name)
			}
		}
		return nil, nil
	}
	t := &peerTLS{cert: c.String("cert"), key: c.String("key"), base: &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.String("server-name"), InsecureSkipVerify: c.Bool("insecure"),
	}}
	if (t.cert == "") != (t.key == "") {
		return nil, usagef(c, "--cert and --key go together")
	}
	if name := c.String("ca"); name != "" {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		t.base.RootCAs = x509.NewCertPool()
		if !t.base.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", name)
		}
	}
	if t.cert != "" && !strings.Contains(t.cert+t.key, "{vin}") {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, err
		}
		t.base.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// dial connects as the vehicle or platform of the identifier given. Nil stands for plain TCP.
func (t *peerTLS) dial(id string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if t == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		cfg := t.base
		if t.cert != "" && len(cfg.Certificates) == 0 {
			fill := strings.NewReplacer("{vin}", id)
			pair, err := tls.LoadX509KeyPair(fill.Replace(t.cert), fill.Replace(t.key))
			if err != nil {
				return nil, errors.Join(errors.New("the client certificate cannot be read"), err)
			}
			cfg = cfg.Clone()
			cfg.Certificates = []tls.Certificate{pair}
		}
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
	}
}
