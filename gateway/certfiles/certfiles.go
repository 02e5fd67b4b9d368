// Package certfiles is a server's TLS configuration that follows its files: vehicle listeners and the API use it.
package certfiles

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

// Files are PEM files.
type Files struct {
	Cert     string // the server's certificate and its chain
	Key      string // its private key
	ClientCA string // whoever has a certificate of these may connect, nobody else; "": no client certificate is asked for
}

// Look is how often the files are looked at, at most.
const Look = 10 * time.Second

// Loader holds the TLS configuration as the files are now: TLS 1.2 and 1.3. It is safe for concurrent use.
type Loader struct {
	files   Files
	expires func(time.Time)
	config  atomic.Pointer[tls.Config]
	mu      sync.Mutex
	looked  time.Time
	version [3]time.Time // modification times of the files in use
}

// Load reads the files for the first time. expires, which may be nil, is told when the certificate in use expires, now and
// whenever another one is read.
func Load(files Files, expires func(time.Time)) (*Loader, error) {
	if expires == nil {
		expires = func(time.Time) {}
	}
	l := &Loader{files: files, expires: expires}
	return l, l.load()
}

// load reads the files; on an error what was read before stays in use.
func (l *Loader) load() error {
	if l.files.Cert == "" || l.files.Key == "" {
		return errors.New("tls needs cert and key")
	}
	version := l.modified()
	pair, err := tls.LoadX509KeyPair(l.files.Cert, l.files.Key)
	if err != nil {
		return fmt.Errorf("tls.cert %s, tls.key %s: %w", l.files.Cert, l.files.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if l.files.ClientCA != "" {
		pem, err := os.ReadFile(l.files.ClientCA)
		if err != nil {
			return fmt.Errorf("tls.clientCA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls.clientCA %s: no PEM certificate in it", l.files.ClientCA)
		}
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	l.config.Store(config)
	l.expires(pair.Leaf.NotAfter)
	l.version = version
	return nil
}

func (l *Loader) modified() (v [3]time.Time) {
	for i, name := range []string{l.files.Cert, l.files.Key, l.files.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			v[i] = info.ModTime()
		}
	}
	return v
}

// Current returns the configuration for a new connection. Every few seconds it looks at the files; the error is about files
// that have changed and cannot be used, the configuration is then the one before.
func (l *Loader) Current(now time.Time) (*tls.Config, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if now.Sub(l.looked) >= Look {
		l.looked = now
		if l.modified() != l.version {
			err = l.load()
		}
	}
	return l.config.Load(), err
}

// Reload reads the files whether they have changed or not.
func (l *Loader) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.load()
}
