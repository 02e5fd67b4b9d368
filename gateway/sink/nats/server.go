package nats

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// maxPayload is the embedded server's largest message: spec "Size" of the JSON of a frame.
const maxPayload = 8 << 20

// ErrCredentials says that the embedded server was asked to listen beyond this machine without a
// user and a password: anybody could read the vehicles' data and write into the streams.
var ErrCredentials = errors.New("a NATS listen address that is not loopback needs a user and a password")

// embedded is a nats-server in this process. It can be stopped and started again under clients that
// stay: they reconnect through InProcessConn to whichever server runs then.
type embedded struct {
	opts     *server.Options
	password string // of gatewayUser
	ready    time.Duration
	quit     <-chan struct{} // closed: start starts nothing more, and waits no longer; nil: never
	log      *slog.Logger

	mu   sync.Mutex
	srv  *server.Server // nil while stopped
	logs *serverLog
}

// newEmbedded prepares a server; it touches nothing yet.
func newEmbedded(o Options) (*embedded, error) {
	opts := &server.Options{
		ServerName: "tboxgate",
		DontListen: o.Listen == "",
		NoSigs:     true,
		MaxPayload: maxPayload,

		JetStream:    true,
		StoreDir:     o.Dir, // the server adds "jetstream"
		SyncInterval: o.SyncInterval,
		SyncAlways:   o.SyncAlways,
		// Streams carry their own limits; this only keeps the server from taking 75 % of the disk
		// as its limit, which would change with every start.
		JetStreamMaxStore:      2*o.MaxBytes + 16<<30,
		JetStreamMaxMemory:     256 << 20, // consumers that others make in memory
		DisableJetStreamBanner: true,
		// A slow live subscriber must not slow the vehicles down; it is cut off instead.
		NoFastProducerStall: true,
		// Every vehicle has its own subjects and every reply another one: a cache of them only turns
		// over (a tenth of the throughput with 10,000 vehicles).
		NoSublistCache: true,
	}
	if o.Listen != "" {
		host, port, err := splitListen(o.Listen)
		if err != nil {
			return nil, err
		}
		if !isLoopback(host) && (o.User == "" || o.Password == "") {
			return nil, fmt.Errorf("nats: listen address %s: %w", o.Listen, ErrCredentials)
		}
		opts.Host, opts.Port = host, port
	}
	return &embedded{opts: opts, password: users(opts, o), ready: o.ReadyTimeout, log: o.Logger}, nil
}

// splitListen reads host:port. Port 0 takes any free port.
func splitListen(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("nats: listen address %q: %w", addr, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("nats: listen address %q: the port is not a number from 0 to 65535", addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// isLoopback reports whether a listener on host is reached from this machine only. An empty host
// means all addresses.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// start starts the server and waits until it serves. The error is one line that says why not, or ErrClosed after quit: nothing runs
// then. What nats-server reads of its files when it starts it reads to the end, which can take its time and is waited for.
func (e *embedded) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.quit:
		return ErrClosed
	default:
	}
	dir := filepath.Join(e.opts.StoreDir, server.JetStreamStoreDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("nats: the store's directory cannot be made: %w", err)
	}
	opts := e.opts.Clone() // NewServer and Start fill defaults in
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("nats: embedded server: %w", err)
	}
	logs := newServerLog(e.log)
	srv.SetLoggerV2(logs, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		srv.Start()
	}()
	if err := e.await(srv, logs, started); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		<-started
		return err
	}
	e.srv, e.logs = srv, logs
	if !opts.DontListen {
		// A free port, once chosen, stays: clients find a server that is started again.
		if at, ok := srv.Addr().(*net.TCPAddr); ok {
			e.opts.Port = at.Port
		}
	}
	return nil
}

// await waits until srv takes connections and its JetStream has recovered what is on disk.
func (e *embedded) await(srv *server.Server, logs *serverLog, started <-chan struct{}) error {
	deadline := time.Now().Add(e.ready)
	for {
		if err := logs.fatal(); err != nil {
			return fmt.Errorf("nats: embedded server: %w", err)
		}
		if srv.ReadyForConnections(20 * time.Millisecond) {
			break
		}
		select {
		case <-e.quit:
			return ErrClosed
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nats: embedded server in %s is not ready after %s", e.opts.StoreDir, e.ready)
		}
	}
	<-started // listening or not, Start has done its work once the server is ready
	if err := logs.fatal(); err != nil {
		return fmt.Errorf("nats: embedded server: %w", err)
	}
	if !srv.JetStreamEnabled() {
		return fmt.Errorf("nats: embedded server in %s runs without JetStream", e.opts.StoreDir)
	}
	return recoveredAll(srv, filepath.Join(e.opts.StoreDir, server.JetStreamStoreDir))
}

// UnreadableError says that a stream lies on the disk and could not be opened, because of its files' owner or because
// they are damaged. nats-server starts without such a stream; a new one in its place would be an empty fleet.
type UnreadableError struct {
	Dir string // of the stream
}

// Error names the directory and says what to do.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("nats: the stream in %s cannot be opened (nats-server's warning says why): give its files to the user that the gateway "+
		"runs as, or take the data directory out of a backup", e.Dir)
}

// recoveredAll returns an *UnreadableError unless srv has opened every stream below dir.
func recoveredAll(srv *server.Server, dir string) error {
	metas, err := fs.Glob(os.DirFS(dir), path.Join("*", "streams", "*", server.JetStreamMetaFile)) // the path to dir is no pattern
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	info, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("nats: embedded server: %w", err)
	}
	open := map[string]bool{}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			open[path.Join(account.Id, "streams", stream.Name)] = true
		}
	}
	for _, meta := range metas {
		if at := path.Dir(meta); !open[at] {
			return &UnreadableError{Dir: filepath.Join(dir, at)}
		}
	}
	return nil
}

// stop shuts the server down and waits until its files are closed.
func (e *embedded) stop() {
	e.mu.Lock()
	srv := e.srv
	e.srv = nil
	e.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// InProcessConn gives the client a connection to the server that runs now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	srv := e.srv
	e.mu.Unlock()
	if srv == nil {
		return nil, errors.New("the embedded NATS server does not run")
	}
	return srv.InProcessConn()
}

// addr returns where the server listens, "" when it does not.
func (e *embedded) addr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil || e.opts.DontListen {
		return ""
	}
	return e.srv.Addr().String()
}

// broken returns why the running server cannot store, or nil. After a failed write (a full disk)
// nats-server gives a stream, or all of JetStream, up until it is started again.
func (e *embedded) broken() error {
	e.mu.Lock()
	srv := e.srv
	e.mu.Unlock()
	if srv == nil {
		return errors.New("the embedded NATS server does not run")
	}
	// What is broken stays so. Asked once, a server says that it takes no connections when it gets no processor for a
	// millisecond (Healthz looks no longer), and a healthy one would be restarted.
	var why string
	for range 3 {
		if why = srv.Healthz(&server.HealthzOptions{}).Error; why == "" {
			return nil
		}
	}
	return errors.New(why)
}

// serverLog passes the server's warnings and errors to slog and remembers the first fatal one, which
// nats-server reports in no other way.
type serverLog struct {
	log   *slog.Logger
	mu    sync.Mutex
	first error
}

func newServerLog(log *slog.Logger) *serverLog { return &serverLog{log: log} }

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// Fatalf keeps the first message; nats-server expects the process to end and does nothing more.
func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = fmt.Errorf(format, args...)
	}
}

// Errorf logs an error.
func (l *serverLog) Errorf(format string, args ...any) {
	l.log.Error("nats-server: " + fmt.Sprintf(format, args...))
}

// plaintextWarning begins a warning about how a password stands in nats-server's own configuration. Ours comes from the
// gateway's, and nobody can follow the advice.
const plaintextWarning = "Plaintext passwords detected"

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, args ...any) {
	if !strings.HasPrefix(format, plaintextWarning) {
		l.log.Warn("nats-server: " + fmt.Sprintf(format, args...))
	}
}

// Noticef drops a notice: the gateway says itself what it starts and stops.
func (l *serverLog) Noticef(string, ...any) {}

// Debugf drops a debug message.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef drops a trace message.
func (l *serverLog) Tracef(string, ...any) {}
