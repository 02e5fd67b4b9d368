package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

func (p *program) simulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "simulate",
		Usage: "drive simulated vehicles against a gateway",
		Description: "The vehicles log in, report, send heartbeats, answer commands and log out, and every answer they get is checked.\n" +
			"At the end, after --duration, --reports or SIGINT, a summary is printed as JSON; the exit status is 1 when something was\n" +
			"answered wrongly or not at all. With --platform they are relayed over one connection of an enterprise platform.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Value: devListen, Usage: "the gateway's address for vehicles, HOST:PORT"},
			&cli.IntFlag{Name: "vehicles", Aliases: []string{"n"}, Value: 1, Usage: "how many"},
			&cli.StringFlag{Name: "vin", Value: exampleVIN, Usage: "VIN of the first; the number at its end counts up for the others"},
			&cli.IntFlag{Name: "edition", Value: int(codec.Edition2016), Usage: "2016 or 2025"},
			&cli.DurationFlag{Name: "period", Value: 10 * time.Second, Usage: "between two reports of a vehicle"},
			&cli.DurationFlag{Name: "heartbeat", Value: time.Minute, Usage: "between two heartbeats"},
			&cli.DurationFlag{Name: "duration", Usage: "log out after so long", DefaultText: "until SIGINT"},
			&cli.IntFlag{Name: "reports", Usage: "log out after so many reports", DefaultText: "no limit"},
			&cli.DurationFlag{Name: "ramp", Usage: "spread the logins over this time", DefaultText: "1ms for each vehicle"},
			&cli.StringFlag{Name: "answer", Value: vehicle.StyleTime.String(), Usage: "how commands are answered: " + vehicle.StyleNames() +
				"; several, joined by commas, are dealt out in turn"},
			&cli.DurationFlag{Name: "answer-delay", Value: 45 * time.Second, Usage: "how late the style \"late\" answers"},
			&cli.BoolFlag{Name: "reconnect", Usage: "come back when the connection breaks, as a real terminal does", DisableDefaultText: true},
			&cli.StringFlag{Name: "platform", Usage: "code of a platform that relays the vehicles"},
			&cli.StringFlag{Name: "platform-user", Value: "user", Usage: "its user name"},
			&cli.StringFlag{Name: "platform-password", Value: "password", Usage: "its password [$TBOXGATE_PLATFORM_PASSWORD]"},
		},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			s, err := p.newSimulation(c)
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(c.Context, p.stderr)
			defer stop()
			if d := c.Duration("duration"); d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			return s.run(ctx)
		},
	}
}

// driver is a simulated vehicle, or a platform with all of them.
type driver interface {
	Run(ctx context.Context) error
	Stats() vehicle.Stats
}

// simulation is one run of simulate.
type simulation struct {
	p         *program
	drivers   []driver
	vehicles  int
	ramp      time.Duration
	reconnect bool

	driving atomic.Int64

	mu     sync.Mutex
	failed int
	first  error // of the failed
}

func (p *program) newSimulation(c *cli.Context) (*simulation, error) {
	var styles []vehicle.Style
	for _, name := range strings.Split(c.String("answer"), ",") {
		style, err := vehicle.ParseStyle(name)
		if err != nil {
			return nil, usagef(c, "--answer: %v", err)
		}
		styles = append(styles, style)
	}
	n := c.Int("vehicles")
	vins, err := countUp(c.String("vin"), n)
	if err != nil {
		return nil, usagef(c, "%v", err)
	}
	cfg := vehicle.Config{
		Addr: c.String("addr"), Edition: codec.Edition(c.Int("edition")), Period: c.Duration("period"),
		Heartbeat: c.Duration("heartbeat"), Reports: c.Int("reports"), Style: styles[0], AnswerDelay: c.Duration("answer-delay"),
	}
	s := &simulation{p: p, vehicles: n, ramp: time.Duration(n) * time.Millisecond, reconnect: c.Bool("reconnect")}
	if c.IsSet("ramp") {
		s.ramp = c.Duration("ramp")
	}
	if code := c.String("platform"); code != "" {
		if !c.IsSet("heartbeat") {
			cfg.Heartbeat = 0 // a platform's profile has none
		}
		password := c.String("platform-password")
		if v, _ := p.env(envPrefix + "PLATFORM_PASSWORD"); v != "" && !c.IsSet("platform-password") {
			password = v
		}
		d, err := vehicle.NewPlatform(vehicle.PlatformConfig{
			Code: code, User: c.String("platform-user"), Password: password, Vehicles: vins, Vehicle: cfg,
		})
		if err != nil {
			return nil, usagef(c, "%v", err)
		}
		s.drivers = []driver{d}
		return s, nil
	}
	for i, vin := range vins {
		cfg.VIN, cfg.Style = vin, styles[i%len(styles)]
		d, err := vehicle.New(cfg)
		if err != nil {
			return nil, usagef(c, "%v", err)
		}
		s.drivers = append(s.drivers, d)
	}
	return s, nil
}

// countUp makes n VINs: first, and those whose number at the end is one more each.
func countUp(first string, n int) ([]string, error) {
	if n < 1 {
		return nil, errors.New("--vehicles is 1 or more")
	}
	stem := len(first)
	for stem > 0 && first[stem-1] >= '0' && first[stem-1] <= '9' {
		stem--
	}
	vins := []string{first}
	for digits := []byte(first[stem:]); len(vins) < n; {
		i := len(digits) - 1
		for ; i >= 0 && digits[i] == '9'; i-- {
			digits[i] = '0'
		}
		if i < 0 {
			return nil, fmt.Errorf("--vin %s: the number at its end has no room for %d vehicles", first, n)
		}
		digits[i]++
		vins = append(vins, first[:stem]+string(digits))
	}
	return vins, nil
}

// run drives all until ctx ends or they have sent their reports.
func (s *simulation) run(ctx context.Context) error {
	began := time.Now()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i, d := range s.drivers {
		wg.Go(func() { s.drive(ctx, d, s.ramp*time.Duration(i)/time.Duration(len(s.drivers))) })
	}
	go func() {
		wg.Wait()
		close(done)
	}()
	s.watch(done)
	return s.report(time.Since(began))
}

// drive runs one driver, after its part of the ramp and again after each break.
func (s *simulation) drive(ctx context.Context, d driver, after time.Duration) {
	if !sleep(ctx, after) {
		return
	}
	const least, most = time.Second, 30 * time.Second
	for pause := least; ; pause = min(2*pause, most) {
		began := time.Now()
		s.driving.Add(1)
		err := d.Run(ctx)
		s.driving.Add(-1)
		if err == nil || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			return
		}
		s.mu.Lock()
		s.failed++
		if s.first == nil {
			s.first = err
		}
		s.mu.Unlock()
		if time.Since(began) > most {
			pause = least
		}
		var refused *vehicle.RefusedError
		if !s.reconnect || errors.As(err, &refused) || !sleep(ctx, pause/2+rand.N(pause)) {
			return
		}
	}
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watch waits for the end and shows on a terminal how it goes.
func (s *simulation) watch(done <-chan struct{}) {
	if !isTerminal(s.p.stderr) {
		<-done
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			say(s.p.stderr, "\r\x1b[K")
			return
		case <-tick.C:
			t := s.total()
			say(s.p.stderr, "\r\x1b[K%d driving, %d sent, %d answered, %d errors, %d commands, %v", s.driving.Load(), t.Sent, t.Acked,
				t.Errors(), t.Commands, &t.RTT)
		}
	}
}

func (s *simulation) total() vehicle.Stats {
	var t vehicle.Stats
	for _, d := range s.drivers {
		t.Add(d.Stats())
	}
	return t
}

// summary is what simulate prints at the end. Times are in milliseconds.
type summary struct {
	Vehicles   int     `json:"vehicles"`
	Failed     int     `json:"failed"` // connections that ended with an error
	Error      string  `json:"error,omitempty"`
	Seconds    float64 `json:"seconds"`
	Sent       uint64  `json:"sent"`
	Acked      uint64  `json:"acked"`
	Refused    uint64  `json:"refused"`
	Wrong      uint64  `json:"wrong"`
	Unanswered uint64  `json:"unanswered"`
	Skipped    uint64  `json:"skipped"`
	Reports    uint64  `json:"reports"`
	Heartbeats uint64  `json:"heartbeats"`
	Commands   uint64  `json:"commands"`
	RTT        rtt     `json:"rttMs"`
}

type rtt struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func (s *simulation) report(took time.Duration) error {
	t := s.total()
	ms := func(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / float64(time.Millisecond) }
	out := summary{
		Vehicles: s.vehicles, Failed: s.failed, Seconds: took.Round(time.Millisecond).Seconds(),
		Sent: t.Sent, Acked: t.Acked, Refused: t.Refused, Wrong: t.Wrong, Unanswered: t.Unanswered, Skipped: t.Skipped,
		Reports: t.Reports, Heartbeats: t.Heartbeats, Commands: t.Commands,
		RTT: rtt{ms(t.RTT.Min()), ms(t.RTT.Quantile(0.5)), ms(t.RTT.Quantile(0.99)), ms(t.RTT.Max())},
	}
	if s.first != nil {
		out.Error = s.first.Error()
	}
	if err := printJSON(s.p.stdout, out); err != nil {
		return err
	}
	switch {
	case s.first != nil:
		return fmt.Errorf("simulate: %d connections failed, the first: %w", s.failed, s.first)
	case t.Errors() > 0:
		return fmt.Errorf("simulate: %d refused, %d wrong, %d unanswered, %d damaged", t.Refused, t.Wrong, t.Unanswered, t.Skipped)
	}
	return nil
}
