package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/clock"
)

// runFile tells scripts and tests where a running gateway listens: an admin.Status as JSON, there while it runs.
const runFile = "run.json"

func (p *program) serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the gateway",
		Description: "Vehicles connect to --listen, applications call --api-listen, metrics are at --admin-listen.\n" +
			"Each flag can stand in the environment or in the file as well: flag, then environment, then file.\n" +
			"SIGTERM and SIGINT drain and exit 0; a second one stops at once.",
		Flags: append([]cli.Flag{configFileFlag()}, configFlags(reflect.TypeFor[Config]())...),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if runtime.GOOS == "windows" {
				return errors.New("serve runs on Linux and macOS, not on Windows; all else does here: decode, encode, simulate, and send with --addr or --api")
			}
			cfg, err := p.config(c)
			if err != nil {
				return configProblem(c, err)
			}
			ctx, stop := untilSignal(c.Context, p.stderr)
			defer stop()
			return p.serve(ctx, cfg, p.configFile(c), func() (*Config, error) { return p.config(c) })
		},
	}
}

// serve runs the gateway until ctx ends. On SIGHUP, and when the file changes, read gives the configuration anew.
func (p *program) serve(ctx context.Context, cfg *Config, file string, read func() (*Config, error)) (err error) {
	if cfg.DataDir == "" { // --dev
		if cfg.DataDir, err = os.MkdirTemp("", "tboxgate-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.DataDir)) }()
	}
	log, level := newLogger(p.stderr, cfg.Log)
	manager := newNotifier(log)
	warnDescriptors(log, cfg.Limits.Connections)
	defer keepHeapFloor()()
	n, err := startNode(ctx, cfg, log)
	if err != nil {
		return advise(err)
	}
	status := n.status()
	key, keyErr := p.devKey(ctx, n)
	serving := func() { manager.ready(n.state.registry.Len()) }
	r := reloader{file: file, read: read, cfg: cfg, certificates: n.reloadCertificates, level: level, begun: manager.reloading, ended: serving, log: log}
	r.listen()
	err = errors.Join(keyErr, n.held.announce(status))
	if err == nil {
		p.announce(cfg, status, key)
		log.Info("running", "vehicles", strings.Join(status.Addresses.Vehicles, ","), "api", status.Addresses.API,
			"admin", status.Addresses.Admin, "dataDir", status.DataDir, "version", status.Version)
		warnClock(log, clock.Read())
		serving()
		watching, stopWatching := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() { manager.watch(watching, n.vehicles.Responsive) })
		r.untilDone(ctx)
		stopWatching()
		watch.Wait()
		manager.stopping()
		log.Info("draining", "cause", context.Cause(ctx), "timeout", cfg.Drain.Timeout.String())
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain.Timeout)
	defer cancel()
	err = errors.Join(err, n.held.withdraw(), n.stop(stopCtx))
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// devKey makes the access key of --dev where there is none.
func (p *program) devKey(ctx context.Context, n *node) (key admin.Key, err error) {
	if !n.cfg.Dev || len(n.state.keys.List()) > 0 {
		return admin.Key{}, nil
	}
	return keyBackend{n.state.keys}.Create(ctx, admin.NewKey{})
}

// announce prints where everything is and what to try next.
func (p *program) announce(cfg *Config, s admin.Status, key admin.Key) {
	var b strings.Builder
	fmt.Fprintf(&b, "tboxgate %s is running, node %s\n\n", s.Version, s.Node)
	for _, a := range s.Addresses.Vehicles {
		fmt.Fprintf(&b, "  vehicles  %s\n", a)
	}
	for _, a := range s.Addresses.MQTT {
		fmt.Fprintf(&b, "  MQTT      %s\n", a)
	}
	fmt.Fprintf(&b, "  API       %s\n", apiURL(s.Addresses))
	fmt.Fprintf(&b, "  admin     http://%s/metrics /healthz /readyz\n", s.Addresses.Admin)
	if s.Addresses.NATS != "" {
		fmt.Fprintf(&b, "  NATS      nats://%s\n", s.Addresses.NATS)
	}
	fmt.Fprintf(&b, "  data      %s\n", s.DataDir)
	if key.ID != "" {
		fmt.Fprintf(&b, "\n  access key     %s\n  access secret  %s\n  (shown once)\n", key.ID, key.Secret)
	}
	name := commandName()
	if cfg.Dev && key.ID == "" {
		fmt.Fprintf(&b, "\n  access keys    there are some already; another: %s keys create --data-dir %s\n", name, s.DataDir)
	}
	b.WriteString("\nTry:\n")
	if cfg.Dev {
		fmt.Fprintf(&b, "  %s simulate --addr %s --vin %s\n", name, s.Addresses.Vehicles[0], exampleVIN)
		fmt.Fprintf(&b, "  %s send query --data-dir %s --vin %s --params 1,2\n\n", name, s.DataDir, exampleVIN)
	} else {
		fmt.Fprintf(&b, "  %s vehicles import --data-dir %s VINS.csv\n", name, s.DataDir)
		fmt.Fprintf(&b, "  %s keys create --data-dir %s\n\n", name, s.DataDir)
	}
	_, _ = io.WriteString(p.stdout, b.String()) // the gateway runs, whoever reads it
}

// apiURL is where applications call.
func apiURL(a admin.Addresses) string {
	if a.APITLS {
		return "https://" + a.API
	}
	return "http://" + a.API
}

// commandName is how this program is called again: `go run` leaves nothing behind that could be.
func commandName() string {
	if path, err := os.Executable(); err == nil && fromGoRun(path) {
		return "go run ./cmd/tboxgate"
	}
	return "tboxgate"
}

// fromGoRun says that the go command built the program to run it: in its temporary directory, or from the second time on
// in its cache. So it does with the test binary, which is called what tests want.
func fromGoRun(path string) bool {
	return strings.Contains(path, string(filepath.Separator)+"go-build") && !strings.HasSuffix(path, ".test")
}

// exampleVIN belongs to nobody.
const exampleVIN = "LTEST000000000001"

// writeRunFile puts the status where scripts look for it, whole or not at all.
func writeRunFile(s admin.Status) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.DataDir, runFile)
	if err := os.WriteFile(path+".tmp", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func removeRunFile(dataDir string) error {
	err := os.Remove(filepath.Join(dataDir, runFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
