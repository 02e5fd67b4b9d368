//go:build linux

// Command loadgen drives a GB/T 32960 server over loopback: see package load.
//
//	loadgen -addr 127.0.0.1:8999 -pid PID -c 50 -w 64 -b 16                  # P: pipelined
//	loadgen -addr 127.0.0.1:8999 -pid PID -c 200 -w 1 -b 1                   # S: one frame at a time
//	loadgen -addr 127.0.0.1:8999 -pid PID -c 10000 -srcs 16 -mode idle       # memory of an idle connection
//
// Run it on another core than the server's (taskset -c 1). Where the client's CPU is near 1.0 the client is the limit,
// and the frames for each second of the server's CPU time are the figure to read. VINs are LTEST000000000000 and up;
// the server must let them in (tboxgate serve --dev).
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/load"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/program"
)

func main() { program.Main("loadgen", run) }

// settings are the flags that are no options of a measurement.
type settings struct {
	idle, json bool
	label      string
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, s, err := parse(args)
	if err != nil {
		return err
	}
	if s.idle {
		r, err := load.Idle(ctx, o, nil)
		if err != nil {
			return err
		}
		return write(stdout, s, r, idleText(r))
	}
	r, err := load.Run(ctx, o)
	return errors.Join(err, write(stdout, s, r, text(r)))
}

func parse(args []string) (o load.Options, s settings, err error) {
	f := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	addr := f.String("addr", "127.0.0.1:8999", "address of the server, on loopback")
	mode := f.String("mode", "throughput", "throughput or idle")
	frame := f.String("frame", "codec/testdata/bench/realtime.bin", "file with the frame to be sent")
	platform := f.String("platform", "", "USER:PASSWORD: log in as a platform first")
	overTLS := f.Bool("tls", false, "idle: connect over TLS; the server's certificate is not verified")
	f.IntVar(&o.Connections, "c", 50, "connections")
	f.IntVar(&o.Window, "w", 64, "frames in flight on a connection")
	f.IntVar(&o.Block, "b", 16, "frames written at once")
	f.DurationVar(&o.Warm, "warm", 2*time.Second, "time before measuring")
	f.DurationVar(&o.Length, "d", 4*time.Second, "length of a run")
	f.IntVar(&o.Runs, "runs", 5, "runs")
	f.DurationVar(&o.Stall, "stall", 5*time.Second, "fail when nothing is answered for so long")
	f.IntVar(&o.PID, "pid", 0, "process of the server: its CPU time and memory are read")
	f.IntVar(&o.Sources, "srcs", 8, "source addresses, 127.0.0.2 and up")
	f.BoolVar(&o.CheckAnswers, "bcc", false, "verify the check byte of the answers")
	f.BoolVar(&o.OneVIN, "samevin", false, "all connections are one vehicle")
	f.DurationVar(&o.Hold, "hold", 5*time.Second, "idle: wait before the memory is read")
	f.DurationVar(&o.LoginTimeout, "logintimeout", time.Minute, "time for all logins together")
	f.StringVar(&s.label, "label", "", "what stands before the result")
	f.BoolVar(&s.json, "json", false, "print the result as a line of JSON")
	if err := f.Parse(args); err != nil {
		return o, s, err
	}
	if o.Addr, err = netip.ParseAddrPort(*addr); err != nil {
		return o, s, fmt.Errorf("-addr: %w", err)
	}
	if *platform != "" {
		var ok bool
		if o.PlatformUser, o.PlatformPassword, ok = strings.Cut(*platform, ":"); !ok {
			return o, s, errors.New("-platform: USER:PASSWORD is wanted")
		}
	}
	if *overTLS {
		o.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	switch *mode {
	case "idle":
		s.idle = true
		return o, s, nil
	case "throughput":
		o.Frame, err = os.ReadFile(*frame)
		return o, s, err
	}
	return o, s, fmt.Errorf("-mode %q: throughput or idle", *mode)
}

func write(w io.Writer, s settings, result any, text string) error {
	if s.json {
		return json.NewEncoder(w).Encode(result)
	}
	if s.label != "" {
		text = s.label + "\t" + text
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func text(r load.Result) string {
	runs := make([]string, len(r.Rates))
	for i, v := range r.Rates {
		runs[i] = fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("frames/s median=%.0f runs=[%s] per server CPU s=%.0f\tblock latency us p50=%.0f p99=%.0f p99.9=%.0f gap ms=%.0f\t"+
		"cpu server=%.2f client=%.2f\trss=%d KiB\tlogins/s=%.0f\tanswer=%d bytes wrong=%d refused=%d closed=%d of %d",
		r.Rate, strings.Join(runs, " "), r.PerCPU, r.P50, r.P99, r.P999, r.LongestGap, r.ServerCPU, r.ClientCPU, r.RSS,
		r.LoginsPerS, r.AnswerSize, r.Wrong, r.Refused, r.Closed, r.Connections)
}

func idleText(r load.IdleResult) string {
	return fmt.Sprintf("idle connections=%d\trss before=%d KiB after=%d KiB: %.2f KiB a connection", r.Alive, r.Before, r.After, r.PerConn)
}
