//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/load"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

// results are the measurements of all rounds, in their order.
type results map[key][]load.Result

// throughput measures every configuration with every shape of load once in each round.
func (b *bench) throughput(ctx context.Context) (results, error) {
	r := results{}
	for round := range b.Rounds {
		for _, s := range shapes() {
			for _, c := range configs() {
				one, err := b.measure(ctx, c, s)
				if err != nil {
					return nil, fmt.Errorf("round %d, %s, %s: %w", round+1, c.name, s.name, err)
				}
				k := key{c.name, s.name}
				r[k] = append(r[k], one)
				b.say("round %d/%d  %-16s %s  %9.0f frames/CPU s  %5.1f %% of the floor  %8.0f frames/s  server CPU %.2f  gap %.0f ms",
					round+1, b.Rounds, c.name, s.name, one.PerCPU, 100*one.PerCPU/r[key{floorName, s.name}][round].PerCPU,
					one.Rate, one.ServerCPU, one.LongestGap)
			}
		}
	}
	return r, nil
}

// measure runs one server under one load.
func (b *bench) measure(ctx context.Context, c config, s shape) (r load.Result, err error) {
	data := filepath.Join(b.dir, "run")
	var srv *server.Server
	if c.sink == "" {
		srv, err = server.StartFloor(ctx, b.program("floor"), b.ServerCore)
	} else {
		srv, err = server.Start(ctx, server.Options{
			Program: b.program("tboxgate"), Dir: data, Core: b.ServerCore, Sink: c.sink, Payload: c.payload, Batch: c.batch,
		})
	}
	if err != nil {
		return r, err
	}
	r, err = b.load(ctx, srv, s)
	if errors.Is(err, load.ErrStalled) {
		return r, errors.Join(err, srv.KeepDump())
	}
	if err == nil && c.sink != "" {
		err = srv.Stop()
	} else {
		err = errors.Join(err, srv.Kill())
	}
	return r, errors.Join(err, os.RemoveAll(data))
}

// load runs the load generator as a process of its own, on its own core.
func (b *bench) load(ctx context.Context, srv *server.Server, s shape) (load.Result, error) {
	cmd := exec.CommandContext(ctx, b.program("loadgen"), "-json", "-bcc", "-addr", srv.Vehicles[0].String(), "-pid", strconv.Itoa(srv.PID),
		"-frame", b.frame, "-c", strconv.Itoa(s.connections), "-w", strconv.Itoa(s.window), "-b", strconv.Itoa(s.block),
		"-warm", b.Warm.String(), "-d", b.Length.String(), "-runs", "1")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := proc.StartOn(cmd, b.LoadCore); err != nil {
		return load.Result{}, err
	}
	err := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return load.Result{}, context.Cause(ctx)
	case bytes.Contains(complaint.Bytes(), []byte(load.ErrStalled.Error())):
		return load.Result{}, fmt.Errorf("%w: %s", load.ErrStalled, complaint.Bytes())
	case err != nil:
		return load.Result{}, fmt.Errorf("the load generator: %w\n%s\nserver: %s", err, complaint.Bytes(), srv.Log())
	}
	var r load.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("the load generator's result: %w", err)
	}
	return r, nil
}

// flaws says what a correct server would not have done.
func (r results) flaws() error {
	var errs []error
	for _, s := range shapes() {
		for _, c := range configs() {
			for i, one := range r[key{c.name, s.name}] {
				if one.Wrong+one.Refused > 0 || one.Closed > 0 {
					errs = append(errs, fmt.Errorf("round %d, %s, %s: %d wrong answers, %d refusals, %d connections closed",
						i+1, c.name, s.name, one.Wrong, one.Refused, one.Closed))
				}
			}
		}
	}
	return errors.Join(errs...)
}
