package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Outcome is how a case ended.
type Outcome string

// The outcomes.
const (
	Pass          Outcome = "pass"
	Warn          Outcome = "warn"          // allowed, or not said by the standard, but likely to hurt somebody
	Fail          Outcome = "fail"          // against the standard
	NotApplicable Outcome = "notApplicable" // the gateway, or what the probe was given, leaves nothing to test
	NotRun        Outcome = "notRun"        // nothing is known: what the case needs was not there
)

// Case is one thing that is tested.
type Case struct {
	Name   string // "group.name"
	Expect string // what a conforming gateway does
	// Clause2016 and Clause2025 say where the standard says so; empty: the edition has nothing of it.
	Clause2016, Clause2025 string
	Platform               bool // it needs the credentials of a platform
	Commands               bool // it needs Options.Commands

	play func(*talk) verdict
}

// Clause returns where edition e says so, "" when the case does not exist in it.
func (c *Case) Clause(e codec.Edition) string {
	if e == codec.Edition2025 {
		return c.Clause2025
	}
	return c.Clause2016
}

// Cases returns all cases, in the order in which they are shown.
func Cases() []Case {
	return slices.Concat(framingCases(), answerCases(), oddCases(), resyncCases(), sessionCases(), activationCases(), signatureCases(),
		commandCases(), idleCases(), platformCases())
}

// Options say what to test, and how. Addr and VINs are needed.
type Options struct {
	Addr string // HOST:PORT
	// Dial returns how to connect as a vehicle, so that each may show a certificate of its own; nil is
	// plain TCP.
	Dial func(vin string) func(ctx context.Context, network, addr string) (net.Conn, error)

	// VINs are registered and used by nobody else. A case takes one for itself, so that as many cases
	// run at a time as there are VINs.
	VINs       []string
	UnknownVIN string // one that the gateway does not know, "LTESTUNKNOWN00000" by default

	Editions []codec.Edition // both by default
	Cases    []string        // patterns of names ("answer.*"), all by default

	// The credentials of a platform. Without Code its cases are not applicable.
	Code, User, Password string

	Commands *Commands // make the gateway send commands; without it their cases are not run

	// What the standard leaves to the gateway, and a case must be told to test it; 0: it is not run. Such cases take a while.
	Resend, ResendControl time.Duration // between two sends of a query or setting, and of a control
	Idle                  time.Duration // after which a connection without frames is closed
	LoginDeadline         time.Duration // after which a connection without a login is closed

	Timeout time.Duration // the wait for an answer that must come, 5 s by default
	Quiet   time.Duration // the wait for one that need not, or must not, 1 s by default
}

// Step is something that was sent or received.
type Step struct {
	At   time.Duration // since the start of the case
	Sent bool
	Conn int    // the connection, counted from 1
	Data []byte // what was sent or received: a frame if it is one
	Note string // an end of the connection
}

// Result is how a case ended in one edition.
type Result struct {
	Case    Case
	Edition codec.Edition
	Outcome Outcome
	Seen    string // what the gateway did
	Steps   []Step
	Took    time.Duration
}

// ErrPattern says that a pattern of [Options.Cases] names no case.
var ErrPattern = errors.New("probe: no such case")

// ErrUnreachable says that no connection to the gateway came about, so that no case was begun.
var ErrUnreachable = errors.New("probe: no connection")

// reach connects once, so that an address where nobody listens or a certificate that is not taken is one error and not one for
// each case.
func reach(ctx context.Context, o *Options) error {
	if ctx.Err() != nil {
		return nil // its cases say that they were stopped
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	conn, err := o.Dial(o.VINs[0])(ctx, "tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("%w to %s: %w", ErrUnreachable, o.Addr, err)
	}
	return conn.Close()
}

// withDefaults fills the gaps.
func (o Options) withDefaults() (Options, error) {
	if o.Addr == "" || len(o.VINs) == 0 {
		return o, errors.New("probe: Addr and VINs are needed")
	}
	if o.UnknownVIN == "" {
		o.UnknownVIN = "LTESTUNKNOWN00000"
	}
	for _, vin := range append([]string{o.UnknownVIN}, o.VINs...) {
		if _, err := codec.ParseVIN(vin); err != nil {
			return o, fmt.Errorf("probe: %w", err)
		}
	}
	if o.Dial == nil {
		o.Dial = func(string) func(context.Context, string, string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext
		}
	}
	if len(o.Editions) == 0 {
		o.Editions = []codec.Edition{codec.Edition2016, codec.Edition2025}
	}
	if len(o.Cases) == 0 {
		o.Cases = []string{"*"}
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Quiet <= 0 {
		o.Quiet = time.Second
	}
	return o, nil
}

// choose returns the cases that the patterns name.
func choose(patterns []string) ([]Case, error) {
	var chosen []Case
	all := Cases()
	used := map[string]bool{}
	for _, c := range all {
		for _, p := range patterns {
			ok, err := path.Match(p, c.Name)
			if err != nil {
				return nil, fmt.Errorf("%w: %q: %w", ErrPattern, p, err)
			}
			if ok {
				used[p] = true
				if len(chosen) == 0 || chosen[len(chosen)-1].Name != c.Name {
					chosen = append(chosen, c)
				}
			}
		}
	}
	for _, p := range patterns {
		if !used[p] {
			return nil, fmt.Errorf("%w: %q", ErrPattern, p)
		}
	}
	return chosen, nil
}

// Run plays the cases, several at a time, and returns their results in the order of [Cases], editions
// inside. It takes a bounded time: no case waits for anything longer than Timeout, or what it was told. The error is of the
// options, [ErrUnreachable], or that of ctx; a gateway that stops to answer later fails its cases.
func Run(ctx context.Context, o Options) ([]Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	cases, err := choose(o.Cases)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, &o); err != nil {
		return nil, err
	}
	vins := make(chan string, len(o.VINs))
	for _, vin := range o.VINs {
		vins <- vin
	}
	var results []Result
	for _, c := range cases {
		for _, e := range o.Editions {
			if c.Clause(e) != "" {
				results = append(results, Result{Case: c, Edition: e})
			}
		}
	}
	var wg sync.WaitGroup
	platform := make(chan struct{}, 1) // one platform case at a time: its VINs may move between its links
	person := make(chan struct{}, 1)   // one command at a time, if a person sends them
	for i := range results {
		r := &results[i]
		if r.Case.Platform && o.Code == "" {
			r.Outcome, r.Seen = NotApplicable, "no platform was given"
			continue
		}
		if r.Case.Commands && o.Commands == nil {
			r.Outcome, r.Seen = NotRun, "nothing makes the gateway send a command (--api, --commands)"
			continue
		}
		wg.Go(func() {
			if r.Case.Commands && o.Commands.OneAtATime {
				person <- struct{}{}
				defer func() { <-person }()
			}
			if r.Case.Platform {
				platform <- struct{}{}
				defer func() { <-platform }()
			}
			vin := <-vins
			defer func() { vins <- vin }()
			if ctx.Err() != nil {
				r.Outcome, r.Seen = NotApplicable, "stopped"
				return
			}
			play(ctx, &o, vin, r)
		})
	}
	wg.Wait()
	return results, ctx.Err()
}

// verdict is what a case finds.
type verdict struct {
	outcome Outcome
	seen    string
}

func pass(format string, args ...any) verdict { return verdict{Pass, fmt.Sprintf(format, args...)} }
func warn(format string, args ...any) verdict { return verdict{Warn, fmt.Sprintf(format, args...)} }
func fail(format string, args ...any) verdict { return verdict{Fail, fmt.Sprintf(format, args...)} }
func notRun(format string, args ...any) verdict {
	return verdict{NotRun, fmt.Sprintf(format, args...)}
}

// play plays one case.
func play(ctx context.Context, o *Options, vin string, r *Result) {
	t := &talk{ctx: ctx, o: o, edition: r.Edition, began: time.Now()}
	t.vin, _ = codec.ParseVIN(vin) // checked before
	t.unknown, _ = codec.ParseVIN(o.UnknownVIN)
	v := func() (v verdict) {
		defer func() {
			if p := recover(); p != nil {
				stop, ok := p.(verdict) // see talk.stop
				if !ok {
					panic(p)
				}
				v = stop
			}
		}()
		return r.Case.play(t)
	}()
	for _, l := range t.lines {
		_ = l.conn.Close() // the case is over
	}
	r.Outcome, r.Seen, r.Steps, r.Took = v.outcome, v.seen, t.steps, time.Since(t.began)
	if ctx.Err() != nil {
		r.Outcome, r.Seen = NotApplicable, "stopped"
	}
}
