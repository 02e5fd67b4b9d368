package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/gateway/admin"
)

// patience bounds every wait for a process.
const patience = 20 * time.Second

// buffer is a bytes.Buffer that a process writes while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// process is tboxgate as a process of its own.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr buffer
	ended          chan struct{}
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(os.Args[0], args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.Env = append(os.Environ(), runMain+"=1")
	return startEnv(t, cmd)
}

// startEnv starts a command that has its environment already.
func startEnv(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is looked at
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// exit waits for the end and returns the exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the process does not end; stderr:\n%s", p.stderr.String())
		return 0
	}
}

// gatewayProcess is a running serve.
type gatewayProcess struct {
	*process
	admin.Status
}

// serve starts serve on free loopback ports and waits until it runs.
func serve(t *testing.T, dir string, args ...string) *gatewayProcess {
	t.Helper()
	return untilRunning(t, dir, start(t, serveArgs(dir, args...)...))
}

func serveArgs(dir string, args ...string) []string {
	return append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
}

// untilRunning waits until the process runs as a gateway.
func untilRunning(t *testing.T, dir string, p *process) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{process: p}
	require.Eventually(t, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("serve ended: %s", p.stderr.String())
		default:
		}
		text, err := os.ReadFile(filepath.Join(dir, runFile))
		return err == nil && json.Unmarshal(text, &g.Status) == nil && strings.Contains(p.stdout.String(), "Try:")
	}, patience, 10*time.Millisecond)
	return g
}

// dataDir is a temporary directory whose path leaves room for a socket.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tbx")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "data")
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// ok runs a command that must succeed and returns its output.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := tboxgate(t, "", args...)
	require.Zero(t, code, "%v: %s", args, stderr)
	return stdout
}

// key is the access key that --dev printed, as ID:SECRET.
func key(t *testing.T, out string) string {
	t.Helper()
	m := regexp.MustCompile(`access key     (\S+)\n  access secret  (\S+)\n`).FindStringSubmatch(out)
	require.NotNil(t, m)
	return m[1] + ":" + m[2]
}

func waitSessions(t *testing.T, dir string, n int) {
	t.Helper()
	c := admin.NewClient(dir)
	defer c.Close()
	require.Eventually(t, func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Sessions == n
	}, patience, 20*time.Millisecond, "%d sessions", n)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
