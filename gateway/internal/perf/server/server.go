//go:build linux

// Package server builds and runs the programs that are measured: the gateway, and the floor beside it.
package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
)

const module = "github.com/tboxgate/tboxgate"

// Build compiles packages of this module, given by their path in it, into dir. It is called within the module. It sets no
// flag with which go would compile everything a second time beside its tests.
func Build(ctx context.Context, dir string, packages ...string) error {
	args := []string{"build", "-o", dir + string(os.PathSeparator)}
	for _, p := range packages {
		args = append(args, module+"/"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", strings.Join(packages, ", "), err, out)
	}
	return nil
}

// Options is how a gateway runs.
type Options struct {
	Program string // the built tboxgate
	Dir     string // of its data; it may hold those of an earlier run
	Core    int    // negative: all
	Sink    string // nats or discard
	Payload string // json or raw
	Batch   int    // frames in one message; 0: one message a frame
	Cert    string // PEM files of a second listener, over TLS; empty: there is none
	Key     string
	Env     []string // NAME=VALUE, over this process's own
}

// Server is a running process.
type Server struct {
	PID      int
	Vehicles []netip.AddrPort // where vehicles connect: over TCP, over TLS
	Admin    string           // HOST:PORT of /metrics; "" for the floor
	API      string           // HOST:PORT of a gateway's API
	DataDir  string           // of a gateway

	cmd   *exec.Cmd
	log   logTail
	ended chan struct{} // closed when the process has ended
	how   error         // it ended; to be read after that
}

const (
	startLimit = 60 * time.Second
	stopLimit  = 60 * time.Second
)

// Start runs a gateway that lets every vehicle in, and returns when it serves.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(o.Dir, "perf.yaml")
	if err := os.WriteFile(config, []byte(o.yaml()), 0o600); err != nil {
		return nil, err
	}
	s := &Server{DataDir: filepath.Join(o.Dir, "data")}
	runFile := filepath.Join(s.DataDir, "run.json")
	if err := os.Remove(runFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	cmd := exec.Command(o.Program, "serve", "--dev", "--config", config)
	cmd.Env = append(os.Environ(), o.Env...)
	if err := s.start(cmd, o.Core); err != nil {
		return nil, err
	}
	err := s.await(ctx, runFile)
	if err != nil {
		return nil, errors.Join(err, s.Kill())
	}
	return s, nil
}

// yaml is the gateway's configuration. Limits are the defaults except the number of connections.
func (o Options) yaml() string {
	tls := ""
	if o.Cert != "" {
		tls = fmt.Sprintf(`, {address: "127.0.0.1:0", tls: {cert: %s, key: %s}}`, strconv.Quote(o.Cert), strconv.Quote(o.Key))
	}
	batch := ""
	if o.Batch > 0 { // of nats alone
		batch = fmt.Sprintf(", batch: {maxFrames: %d}", o.Batch)
	}
	return fmt.Sprintf(`dataDir: %s
node: perf
listeners: [{address: "127.0.0.1:0"}%s]
api: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
sinks: [{type: %s, payload: %s%s}]
limits: {connections: 60000}
log: {format: text, level: warn}
`, strconv.Quote(filepath.Join(o.Dir, "data")), tls, o.Sink, o.Payload, batch)
}

// StartFloor runs the built floor.
func StartFloor(ctx context.Context, program string, core int) (*Server, error) {
	s := &Server{}
	cmd := exec.Command(program)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.start(cmd, core); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "floor listens on "); ok {
			at, err := netip.ParseAddrPort(addr)
			s.Vehicles = []netip.AddrPort{at}
			go func() { _, _ = io.Copy(io.Discard, out) }() // until the program ends
			return s, err
		}
	}
	return nil, fmt.Errorf("%s does not say where it listens: %w", program, errors.Join(s.Kill(), context.Cause(ctx)))
}

func (s *Server) start(cmd *exec.Cmd, core int) error {
	cmd.Stderr = &s.log
	// An interrupt at the terminal is for us: we end the servers ourselves.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := proc.StartOn(cmd, core); err != nil {
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	s.cmd, s.PID, s.ended = cmd, cmd.Process.Pid, make(chan struct{})
	go func() {
		defer close(s.ended)
		s.how = cmd.Wait()
	}()
	return nil
}

// await waits for the file that a gateway writes when it serves.
func (s *Server) await(ctx context.Context, runFile string) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		text, err := os.ReadFile(runFile)
		if err == nil {
			return s.read(text)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the gateway ended at once: %w\n%s", s.how, s.log.String())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return fmt.Errorf("the gateway does not serve after %v\n%s", startLimit, s.log.String())
		case <-look.C:
		}
	}
}

func (s *Server) read(text []byte) error {
	var status admin.Status
	if err := json.Unmarshal(text, &status); err != nil {
		return fmt.Errorf("the gateway's run.json: %w", err)
	}
	s.Admin, s.API = status.Addresses.Admin, status.Addresses.API
	for _, addr := range status.Addresses.Vehicles {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			return fmt.Errorf("the gateway's run.json: %w", err)
		}
		s.Vehicles = append(s.Vehicles, at)
	}
	return nil
}

// Stop ends a gateway with SIGTERM and waits. The error says how it ended if not well.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping process %d: %w", s.PID, err)
	}
	select {
	case <-s.ended:
		if s.how != nil {
			return fmt.Errorf("process %d: %w\n%s", s.PID, s.how, s.log.String())
		}
		return nil
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("process %d does not stop within %v", s.PID, stopLimit), s.KeepDump())
	}
}

// Kill ends the process at once, which is how the floor ends.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.ended
	return nil
}

// KeepDump ends a process that seems to hang with SIGQUIT and leaves the end of its log, which the stacks of its
// goroutines close, in a file. The error, never nil, says in which.
func (s *Server) KeepDump() error {
	err := s.cmd.Process.Signal(syscall.SIGQUIT)
	if err == nil {
		select {
		case <-s.ended:
		case <-time.After(10 * time.Second):
			err = s.Kill()
		}
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("tboxgate-stall-%d.txt", s.PID))
	if err := errors.Join(err, os.WriteFile(file, []byte(s.log.String()+"\n"), 0o600)); err != nil {
		return err
	}
	return fmt.Errorf("the stacks of process %d are in %s", s.PID, file)
}

// Log returns the end of what the process has written on standard error.
func (s *Server) Log() string { return s.log.String() }

// Metrics reads the samples of a gateway's /metrics, by name with labels as they stand there.
func (s *Server) Metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // a connection that is kept would be a goroutine of the gateway
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics of the gateway: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of the gateway: HTTP %s", resp.Status)
	}
	return samples(resp.Body)
}

// samples reads the text format of Prometheus without its comments.
func samples(r io.Reader) (map[string]float64, error) {
	m := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics of the gateway: %q: %w", line, err)
		}
		m[line[:at]] = v
	}
	return m, lines.Err()
}

// logTail keeps the end of what a process writes.
type logTail struct {
	mu sync.Mutex
	b  []byte
}

const keepLog = 1 << 20

// Write keeps the last keepLog bytes.
func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if len(l.b) > 2*keepLog {
		l.b = append([]byte(nil), l.b[len(l.b)-keepLog:]...)
	}
	return len(b), nil
}

// String is the end of the log, without trailing newlines.
func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimRight(l.b, "\n"))
}
