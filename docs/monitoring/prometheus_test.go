//go:build prometheus

package monitoring

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// TestPromtool: the rules are right in themselves, and their tests pass.
func TestPromtool(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "recording.yml", "alerts.yml"}, {"check", "config", "prometheus.yml"}, {"test", "rules", "rules_test.yml"},
	} {
		out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
		require.NoError(t, err, "promtool %s: %s", strings.Join(args, " "), out)
	}
}

// output collects what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a program until the end of the test.
func start(t *testing.T, name string, args ...string) *output {
	t.Helper()
	cmd, out := exec.Command(name, args...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = cmd.Wait()
		}()
		select {
		case <-done:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s:\n%s", name, out)
		}
	})
	return out
}

// server is a running Prometheus.
type server struct{ url string }

// query asks for an expression and returns the values of its series.
func (s server) query(ctx context.Context, expr string) (values []string, err error) {
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value, Histogram []any }
		}
	}
	if err := s.get(ctx, "/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	for _, r := range answer.Data.Result {
		v := append(r.Value, r.Histogram...)
		values = append(values, fmt.Sprint(v[1]))
	}
	return values, nil
}

func (s server) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// until waits for something.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, 200*time.Millisecond, what)
}

// TestScrape runs a gateway with everything switched on, vehicles and trouble on it, and a real Prometheus beside it, with
// the rules shipped here: every metric arrives, latencies as native histograms too, every rule is understood, and every panel of the
// dashboards has something to show.
func TestScrape(t *testing.T) {
	dir, err := os.MkdirTemp("", "tbm") // short, for the admin socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	bin := filepath.Join(dir, "tboxgate")
	out, err := exec.Command("go", "build", "-o", bin, "../../cmd/tboxgate").CombinedOutput()
	require.NoError(t, err, "%s", out)
	data, config := filepath.Join(dir, "data"), filepath.Join(dir, "tboxgate.yaml")
	own := "tls: {cert: " + filepath.Join(dir, "server.crt") + ", key: " + filepath.Join(dir, "server.key") + "}"
	certificate(t, dir)
	require.NoError(t, os.WriteFile(config, []byte(`
listeners: [{address: "127.0.0.1:0"}, {address: "localhost:0", `+own+`}]
api: {`+own+`}
mqtt: {listeners: [{address: "127.0.0.1:0", `+own+`}]}
sinks: [{type: nats}, {type: file, path: `+filepath.Join(dir, "files")+`}]
products: [{key: gbt32960}, {key: meters1, protocol: mqtt}]
limits: {acceptRate: 10}
`), 0o600))
	start(t, bin, "serve", "--dev", "--config", config, "--data-dir", data, "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	var running struct {
		Addresses struct {
			Vehicles []string
			Admin    string
		}
	}
	until(t, "the gateway runs", func() bool {
		text, err := os.ReadFile(filepath.Join(data, "run.json"))
		return err == nil && json.Unmarshal(text, &running) == nil
	})
	plain, secure := running.Addresses.Vehicles[0], running.Addresses.Vehicles[1]
	start(t, bin, "simulate", "--addr", plain, "--vehicles", "5", "--period", "200ms", "--edition", "both")
	start(t, bin, "simulate", "--addr", secure, "--tls", "--insecure", "--vehicles", "2", "--vin", "LTEST000000000101", "--period", "200ms")
	query := func() error {
		return exec.Command(bin, "send", "query", "--data-dir", data, "--vin", "LTEST000000000001", "--params", "1").Run()
	}
	until(t, "a command is answered", func() bool { return query() == nil })
	trouble(t, plain, secure, func() { _ = query() }) // the panels see whether it is answered

	s := prometheus(t, dir, running.Addresses.Admin)
	ctx := t.Context()
	value := func(expr string) bool { // there, and not zero
		v, err := s.query(ctx, expr)
		return err == nil && len(v) > 0 && v[0] != "0"
	}
	until(t, "the gateway is scraped", func() bool { return value(`up{job="tboxgate"} == 1`) })
	until(t, "frames are counted", func() bool {
		return value(`sum(rate(tboxgate_frames_total{outcome="stored",command="realtime"}[1m])) > 0`)
	})

	kernel := value("count(tboxgate_clock_synchronized)") // not every kernel tells
	for name, labels := range labelsOf(t) {
		if !strings.HasPrefix(name, "tboxgate_") || labels["le"] && !strings.HasSuffix(name, "_count") || // a histogram is there by its parts
			strings.HasPrefix(name, "tboxgate_clock_") && !kernel {
			continue
		}
		until(t, name+" has series", func() bool { return value("count(" + name + `{job="tboxgate"})`) })
	}
	require.True(t, value("sum(tboxgate_sessions) >= 7"))
	require.True(t, value(`sum(tboxgate_listener_connections{kind="vehicle"}) >= 7`))
	require.True(t, value(`tboxgate_commands_total{command="query",result="answered"} >= 1`))

	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m")
	for file, p := range readPages(t) {
		for _, panel := range p.Panels {
			for _, target := range panel.Targets {
				expr := variables.Replace(target.Expr)
				if strings.Contains(expr, "tboxgate_clock_") && !kernel {
					continue
				}
				shown := func() bool {
					v, err := s.query(ctx, expr)
					require.NoError(t, err, "%s: %s", file, panel.Title)
					return len(v) > 0
				}
				for end := time.Now().Add(patience); !shown(); time.Sleep(200 * time.Millisecond) {
					require.True(t, time.Now().Before(end), "%s: %s shows nothing: %s", file, panel.Title, expr)
				}
			}
		}
	}
	testRules(t, s)

	native := prometheus(t, dir, running.Addresses.Admin, "--enable-feature=native-histograms")
	for _, name := range []string{"tboxgate_answer_duration_seconds", "tboxgate_store_confirm_duration_seconds"} {
		for _, expr := range []string{"histogram_count(%s) > 0", "histogram_quantile(0.99, rate(%s[1m])) > 0"} {
			until(t, "native histogram "+name, func() bool {
				v, err := native.query(ctx, fmt.Sprintf(expr, name))
				return err == nil && len(v) == 1
			})
		}
	}
}

// certificate writes a server's certificate for loopback and its key to dir/server.crt and .key.
func certificate(t *testing.T, dir string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"server.crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "server.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

// trouble does something, and what the panels of mishaps show, again and again: bytes that are no frame, a login that cannot be read, no TLS where there
// should be, encrypted reports, more connections at once than are accepted.
func trouble(t *testing.T, plain, secure string, also func()) {
	t.Helper()
	vin, err := codec.ParseVIN("LTEST000000000201")
	require.NoError(t, err)
	frame := func(c codec.Command, e codec.Encryption, unit []byte) []byte {
		f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: c, Flag: codec.FlagCommand, VIN: vin, Encryption: e}, unit)
		require.NoError(t, err)
		return f
	}
	login := append(codec.AppendTime(nil, time.Now()), 0, 1)
	login = append(append(login, "89860000000000000001"...), 0, 0)
	once := func(address string, frames ...[]byte) {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return // the test sees what is missing
		}
		defer func() { _ = c.Close() }()
		for _, f := range frames {
			_, _ = c.Write(f)
			_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			_, _ = c.Read(make([]byte, 1024))
		}
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	t.Cleanup(func() { close(done); all.Wait() })
	for _, one := range []func(){
		also,
		func() { once(plain, []byte("GET / HTTP/1.1\r\n\r\n")) },
		func() { once(plain, frame(codec.CommandVehicleLogin, codec.EncryptionNone, []byte{1})) },
		func() { once(secure, []byte("GET / HTTP/1.1\r\n\r\n")) },
		func() {
			sealed := frame(codec.CommandRealtime, codec.EncryptionAES, make([]byte, 32))
			once(plain, frame(codec.CommandVehicleLogin, codec.EncryptionNone, login), sealed, sealed)
		},
	} {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Second):
					one()
				}
			}
		})
	}
}

// prometheus runs a Prometheus that scrapes the gateway each second, by the rules shipped here.
func prometheus(t *testing.T, dir, target string, flags ...string) server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port; Prometheus takes none by itself
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	rules, err := filepath.Abs(".")
	require.NoError(t, err)
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [`+rules+`/recording.yml, `+rules+`/alerts.yml]
scrape_configs:
  - job_name: tboxgate
    static_configs: [{targets: ["`+target+`"]}]
`), 0o600))
	start(t, "prometheus", append([]string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "tsdb"+l.Addr().String()),
		"--web.listen-address=" + address, "--log.level=warn"}, flags...)...)
	return server{"http://" + address}
}

// testRules: Prometheus has evaluated all rules without an error.
func testRules(t *testing.T, s server) {
	t.Helper()
	until(t, "rules are evaluated", func() bool {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if s.get(t.Context(), "/api/v1/rules", &answer) != nil {
			return false
		}
		n := 0
		for _, g := range answer.Data.Groups {
			for _, r := range g.Rules {
				require.NotEqual(t, "err", r.Health, "%s: %s", r.Name, r.LastError)
				if r.Health == "ok" {
					n++
				}
			}
		}
		return n > 25
	})
}
