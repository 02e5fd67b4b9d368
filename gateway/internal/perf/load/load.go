//go:build linux

// Package load drives a GB/T 32960 server over loopback from one thread and one epoll: every connection is a vehicle
// that logs in and keeps a window of realtime frames in flight, written in blocks of several frames. Every answer is
// parsed (start mark, command, flag, length) and counted, so that a server is credited only for what it has answered.
//
//	load.go     options, a run from beginning to end, its result
//	conn.go     one connection: blocks out, answers in
//	poll.go     epoll and the system calls on the hot path
//	frames.go   the frames sent
//	hist.go     latencies
//	idle.go     connections that log in and then do nothing, over TCP or TLS
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
)

// Options is what to drive and how.
type Options struct {
	Addr        netip.AddrPort // of the server, on loopback
	Connections int            // 1 to 60,000, each a vehicle with a VIN of its own
	Sources     int            // addresses 127.0.0.2 and up that they come from, 1 to 250
	OneVIN      bool           // all connections are the same vehicle

	Window int           // frames in flight on a connection
	Block  int           // frames written at once; at most Window
	Frame  []byte        // the frame sent; VIN and check byte are put in
	Warm   time.Duration // before anything is measured
	Length time.Duration // of one run
	Runs   int
	Stall  time.Duration // give up when nothing is answered for so long

	CheckAnswers bool // verify the check byte of every answer

	// PlatformUser and PlatformPassword log every connection in as an enterprise platform before the vehicle.
	PlatformUser     string
	PlatformPassword string

	Hold         time.Duration // of Idle: connections stay so long before the memory is read
	LoginTimeout time.Duration // for all logins together
	TLS          *tls.Config   // of Idle: nil is plain TCP

	PID int // of the server, for its CPU time and memory
}

// ErrStalled says that the server answered nothing for Options.Stall.
var ErrStalled = errors.New("load: nothing is answered")

// Validate says what is wrong with the options of a throughput measurement.
func (o Options) Validate() error {
	if err := o.validateIdle(); err != nil {
		return err
	}
	switch {
	case o.TLS != nil:
		return errors.New("load: over TLS there is only the idle mode")
	case o.Block < 1 || o.Window < o.Block || o.Window > 65536:
		return fmt.Errorf("load: a window of %d frames in blocks of %d: a block is at least 1 and at most the window", o.Window, o.Block)
	case o.Length <= 0 || o.Length > time.Minute || o.Runs < 1 || o.Runs > 20 || o.Warm < 0 || o.Warm > time.Minute:
		return fmt.Errorf("load: %d runs of %v after %v: 1 to 20 runs of up to a minute", o.Runs, o.Length, o.Warm)
	case o.Stall <= 0:
		return errors.New("load: no limit for stalls")
	}
	return checkFrame(o.Frame)
}

func (o Options) validateIdle() error {
	switch {
	case !o.Addr.Addr().IsLoopback() || !o.Addr.Addr().Is4():
		return fmt.Errorf("load: the address must be 127.x.x.x, not %s", o.Addr)
	case o.Connections < 1 || o.Connections > 60_000:
		return fmt.Errorf("load: %d connections: 1 to 60,000", o.Connections)
	case o.Sources < 1 || o.Sources > 250:
		return fmt.Errorf("load: %d source addresses: 1 to 250", o.Sources)
	case o.LoginTimeout <= 0:
		return errors.New("load: no time for logins")
	case len(o.PlatformUser) > 12 || len(o.PlatformPassword) > 20:
		return errors.New("load: a platform's user has at most 12 bytes, its password 20")
	}
	return nil
}

// Result is what a throughput measurement found.
type Result struct {
	Connections int       `json:"connections"` // that logged in
	LoginsPerS  float64   `json:"loginsPerS"`
	Rates       []float64 `json:"rates"`      // frames answered in a second, by run
	Rate        float64   `json:"rate"`       // their median
	PerCPU      float64   `json:"perCPU"`     // frames answered in a second of the server's CPU time; 0 without a PID
	P50         float64   `json:"p50us"`      // microseconds from a block's first byte to its last answer
	P99         float64   `json:"p99us"`      //
	P999        float64   `json:"p999us"`     //
	ServerCPU   float64   `json:"serverCPU"`  // CPU seconds in a second
	ClientCPU   float64   `json:"clientCPU"`  // 1.0 means that this program is the limit
	LongestGap  float64   `json:"longestGap"` // milliseconds in which nothing was answered on any connection
	RSS         int64     `json:"rssKiB"`     // of the server at the end
	AnswerSize  int       `json:"answerSize"` // bytes of the last answer
	Wrong       int64     `json:"wrong"`      // answers that are none, or of another command, or with a wrong check byte
	Refused     int64     `json:"refused"`    // answers with another flag than success
	Closed      int       `json:"closed"`     // connections that the server ended
}

// Run measures throughput. The error is ErrStalled when the server stopped answering; the result then holds what there
// was until then.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.Validate(); err != nil {
		return Result{}, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g, err := newGenerator(o)
	if err != nil {
		return Result{}, err
	}
	defer g.close()
	took, err := g.connect(ctx)
	res := Result{Connections: g.up, LoginsPerS: float64(g.up) / took.Seconds(), Wrong: g.wrong, Refused: g.refused}
	if err != nil {
		return res, err
	}
	closed := g.closed
	for _, c := range g.conns {
		g.pump(c)
	}
	_, err = g.spin(ctx, o.Warm)
	g.hist, g.gap = histogram{}, 0
	var total span
	for range o.Runs {
		if err != nil {
			break
		}
		var s span
		s, err = g.spin(ctx, o.Length)
		res.Rates = append(res.Rates, float64(s.frames)/s.elapsed.Seconds())
		total.add(s)
	}
	res.fill(g, total)
	res.Closed = g.closed - closed
	if o.PID > 0 && err == nil {
		res.RSS, err = proc.RSS(o.PID)
	}
	return res, err
}

func (r *Result) fill(g *generator, total span) {
	r.Rate = median(r.Rates)
	if total.elapsed > 0 {
		r.ServerCPU = total.server.Seconds() / total.elapsed.Seconds()
		r.ClientCPU = total.client.Seconds() / total.elapsed.Seconds()
	}
	if total.server > 0 {
		r.PerCPU = float64(total.frames) / total.server.Seconds()
	}
	r.P50, r.P99, r.P999 = g.hist.quantile(.5), g.hist.quantile(.99), g.hist.quantile(.999)
	r.LongestGap = float64(g.gap) / float64(time.Millisecond)
	r.AnswerSize, r.Wrong, r.Refused = g.answerSize, g.wrong, g.refused
}

// span is what happened in a stretch of time.
type span struct {
	frames         int64
	elapsed        time.Duration
	server, client time.Duration // CPU time
}

func (s *span) add(o span) {
	s.frames += o.frames
	s.elapsed += o.elapsed
	s.server += o.server
	s.client += o.client
}

// spin drives all connections for d.
func (g *generator) spin(ctx context.Context, d time.Duration) (span, error) {
	server, client, err := g.cpu()
	if err != nil {
		return span{}, err
	}
	start, frames := time.Now(), g.answered
	var stalled error
	for now, last := start, start; now.Sub(start) < d; {
		before := g.answered
		g.poll(5, true)
		now = time.Now()
		if g.answered != before {
			g.gap = max(g.gap, now.Sub(last))
			last = now
		} else if now.Sub(last) > g.o.Stall {
			stalled = fmt.Errorf("%w for %v on %d connections, %d frames in flight", ErrStalled, g.o.Stall, g.up, g.inFlight())
		}
		if stalled != nil || ctx.Err() != nil {
			break
		}
	}
	s := span{frames: g.answered - frames, elapsed: time.Since(start)}
	server1, client1, err := g.cpu()
	s.server, s.client = server1-server, client1-client
	if stalled == nil {
		stalled = context.Cause(ctx)
	}
	return s, errors.Join(stalled, err)
}

// cpu returns the CPU time of the server, if it is known, and of this process.
func (g *generator) cpu() (server, client time.Duration, err error) {
	if g.o.PID > 0 {
		if server, err = proc.CPU(g.o.PID); err != nil {
			return 0, 0, err
		}
	}
	client, err = proc.CPU(os.Getpid())
	return server, client, err
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
