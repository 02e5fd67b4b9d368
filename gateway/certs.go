package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// TLS makes a listener speak TLS 1.2 and 1.3. The files are read again when
// they change, and by Gateway.Reload.
type TLS struct {
	Cert            string // PEM file: the server's certificate and its chain
	Key             string // PEM file: its private key
	ClientCA        string // PEM file: whoever has a certificate of these may connect, nobody else; "": no client certificate is asked for
	RequireVINMatch bool   // a vehicle's certificate must name its VIN (common name or DNS name); needs ClientCA
}

// certLook is how often the files of a listener are looked at, at most.
const certLook = 10 * time.Second

// certs is the TLS configuration of a listener, as its files are now.
type certs struct {
	opt     TLS
	expires func(time.Time) // is told when the certificate in use expires
	config  atomic.Pointer[tls.Config]
	mu      sync.Mutex
	looked  time.Time
	version [3]time.Time // modification times of the files in use
}

func loadCerts(opt TLS, expires func(time.Time)) (*certs, error) {
	c := &certs{opt: opt, expires: expires}
	return c, c.load()
}

func (c *certs) validate() error {
	switch {
	case c.opt.Cert == "" || c.opt.Key == "":
		return errors.New("tls needs cert and key")
	case c.opt.RequireVINMatch && c.opt.ClientCA == "":
		return errors.New("tls.requireVinMatch needs tls.clientCA")
	}
	return nil
}

// load reads the files; on an error what was read before stays in use.
func (c *certs) load() error {
	if err := c.validate(); err != nil {
		return err
	}
	version := c.modified()
	pair, err := tls.LoadX509KeyPair(c.opt.Cert, c.opt.Key)
	if err != nil {
		return fmt.Errorf("tls.cert %s, tls.key %s: %w", c.opt.Cert, c.opt.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if c.opt.ClientCA != "" {
		pem, err := os.ReadFile(c.opt.ClientCA)
		if err != nil {
			return fmt.Errorf("tls.clientCA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls.clientCA %s: no PEM certificate in it", c.opt.ClientCA)
		}
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	c.config.Store(config)
	c.expires(pair.Leaf.NotAfter)
	c.version = version
	return nil
}

func (c *certs) modified() (v [3]time.Time) {
	for i, name := range []string{c.opt.Cert, c.opt.Key, c.opt.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			v[i] = info.ModTime()
		}
	}
	return v
}

// current returns the configuration for a new connection. Every few seconds it
// looks at the files; the error is about files that have changed and cannot be
// used, the configuration is then the one before.
func (c *certs) current(now time.Time) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if now.Sub(c.looked) >= certLook {
		c.looked = now
		if c.modified() != c.version {
			err = c.load()
		}
	}
	return c.config.Load(), err
}

// reload reads the files whether they have changed or not.
func (c *certs) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load()
}
