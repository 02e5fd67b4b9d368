package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tboxgate/tboxgate/gateway/certfiles"
	"github.com/tboxgate/tboxgate/gateway/metrics"
)

// doors are the HTTP servers of a node: two addresses and the admin socket.
type doors struct {
	api, admin, socket *door
}

// openDoors binds all three, or none. What connects before a door serves waits in the kernel.
func openDoors(cfg *Config, dir *holder, m *metrics.Metrics, log *slog.Logger) (*doors, error) {
	d := &doors{}
	for _, b := range []struct {
		to     **door
		name   string
		listen func() (net.Listener, error)
	}{
		{&d.api, "API", func() (net.Listener, error) { return listenTCP("API", cfg.API.Address) }},
		{&d.admin, "admin", func() (net.Listener, error) { return listenTCP("admin", cfg.Admin.Address) }},
		{&d.socket, "admin socket", dir.listenSocket},
	} {
		l, err := b.listen()
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		*b.to = newDoor(b.name, l, log)
	}
	if err := d.api.guard(cfg.API, m); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// close closes what was bound and does not serve.
func (d *doors) close() error {
	var errs []error
	for _, door := range []*door{d.api, d.admin, d.socket} {
		if door != nil {
			errs = append(errs, door.listener.Close())
		}
	}
	return errors.Join(errs...)
}

func listenTCP(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // the address is not repeated
	}
	if err != nil {
		return nil, fmt.Errorf("%s address %s: %w", name, address, err)
	}
	return l, nil
}

// advise says what to do about an address that cannot be bound; other errors stay as they are.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another process has it (ss -ltnp shows which); stop that one, or choose another address", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine does not have it; 0.0.0.0 stands for all that it has", err)
	case errors.Is(err, syscall.EACCES) && errors.As(err, new(*os.SyscallError)):
		return fmt.Errorf("%w: ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one, or grant it", err)
	}
	return err
}

// door is one HTTP server.
type door struct {
	name     string
	listener net.Listener
	server   *http.Server
	certs    *certfiles.Loader // nil: plain HTTP
	log      *slog.Logger
	ended    chan struct{} // nil until it serves

	mu     sync.Mutex
	unused map[net.Conn]bool // connections on which nothing has been asked yet
}

func newDoor(name string, l net.Listener, log *slog.Logger) *door {
	d := &door{name: name, listener: l, log: log, unused: map[net.Conn]bool{}, server: &http.Server{
		ReadHeaderTimeout: 10 * time.Second, // against slow peers
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("server", name).Handler(), slog.LevelDebug),
	}}
	d.server.ConnState = func(c net.Conn, state http.ConnState) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if delete(d.unused, c); state == http.StateNew {
			d.unused[c] = true
		}
	}
	d.server.RegisterOnShutdown(d.closeUnused)
	return d
}

// closeUnused closes the connections on which nothing has been asked yet: Go's clients keep some in stock, and Shutdown takes
// those of the last five seconds for busy.
func (d *door) closeUnused() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.unused {
		_ = c.Close() // nobody waits for anything on it
	}
}

// guard makes a door fit for strangers: HTTPS, a bounded number of connections, and deadlines both ways.
func (d *door) guard(c API, m *metrics.Metrics) (err error) {
	d.listener = newLimitListener(d.listener, c.Connections)
	d.server.ReadTimeout = 30 * time.Second
	d.server.WriteTimeout = time.Minute // longer than any call takes
	d.server.MaxHeaderBytes = 384 << 10 // some clients put everything into the URL: the longest data unit makes 260 KB there
	if c.TLS == (APITLS{}) {
		return nil
	}
	if d.certs, err = certfiles.Load(certfiles.Files{Cert: c.TLS.Cert, Key: c.TLS.Key, ClientCA: c.TLS.ClientCA}, m.Certificate(metrics.ServerAPI, c.Address)); err != nil {
		return fmt.Errorf("api.%w", err)
	}
	d.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config, err := d.certs.Current(time.Now())
		if err != nil {
			d.log.Error("certificate files have changed and cannot be used; the ones before stay in use", "server", d.name, "error", err)
		}
		return config, nil
	}}
	return nil
}

// reload reads the certificate files again.
func (d *door) reload() error {
	if d.certs == nil {
		return nil
	}
	if err := d.certs.Reload(); err != nil {
		return fmt.Errorf("api.%w", err)
	}
	return nil
}

// address is HOST:PORT as bound.
func (d *door) address() string { return d.listener.Addr().String() }

// serve answers in the background.
func (d *door) serve(h http.Handler) {
	d.server.Handler = h
	d.ended = make(chan struct{})
	go func() {
		defer close(d.ended)
		// They return when the server is shut down; accept errors before that are retried inside.
		if d.certs != nil {
			_ = d.server.ServeTLS(d.listener, "", "")
		} else {
			_ = d.server.Serve(d.listener)
		}
	}()
}

// shutdown stops accepting and waits for the requests under way, until ctx ends.
func (d *door) shutdown(ctx context.Context) error {
	if d.ended == nil {
		return d.listener.Close()
	}
	err := d.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, d.server.Close())
	}
	<-d.ended
	return err
}

// lateHandler answers 503 until it is given a handler.
type lateHandler struct {
	handler atomic.Pointer[http.Handler]
}

func (l *lateHandler) set(h http.Handler) { l.handler.Store(&h) }

func (l *lateHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := l.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"error":"the gateway is starting"}` + "\n"))
}
