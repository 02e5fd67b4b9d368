//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// errNoAnswer says that the gateway has left somebody without an answer: it may hang.
var errNoAnswer = errors.New("the gateway does not answer")

// styles are those of vehicles that answer every command at once.
var styles = [...]vehicle.Style{vehicle.StyleTime, vehicle.StyleEcho, vehicle.StyleFlagFE}

// config is a vehicle that reports often. Every third connects over TLS.
func (c *churn) config(kind byte, i int) vehicle.Config {
	cfg := vehicle.Config{
		Addr: c.srv.Vehicles[0].String(), VIN: vin(kind, i), Edition: edition(i),
		Period: between(200*time.Millisecond, time.Second), Heartbeat: 2 * time.Second, Style: styles[i%len(styles)],
	}
	if i%3 == 2 {
		cfg.Addr = c.srv.Vehicles[1].String()
		cfg.Dial = (&tls.Dialer{Config: c.files.Client()}).DialContext
	}
	return cfg
}

// drive is one life of a well-behaved vehicle, from login to logout. Every answer must be right and none may be missing.
func (c *churn) drive(ctx context.Context, i int) error {
	cfg := c.config(kindFleet, i)
	cfg.Reports = 5 + rand.IntN(40)
	v, err := vehicle.New(cfg)
	if err != nil {
		return err
	}
	err = v.Run(ctx)
	s := v.Stats()
	c.count.runs.Add(1)
	c.count.acked.Add(s.Acked)
	if ctx.Err() != nil && s.Sent == 0 {
		return nil // it was about to connect
	}
	switch {
	case errors.Is(err, vehicle.ErrNoAnswer):
		return fmt.Errorf("%w: %s: %w", errNoAnswer, cfg.VIN, err)
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("%s: %w", cfg.VIN, err)
	case s.Errors() > 0 && ctx.Err() == nil:
		return fmt.Errorf("%s: %d refusals, %d wrong answers, %d frames without an answer, %d bytes skipped", cfg.VIN,
			s.Refused, s.Wrong, s.Unanswered, s.Skipped)
	}
	return nil
}

// takeOver lets the same VIN log in again and again on a new connection while the one before is still there: each time
// the older one must be closed, and only it.
func (c *churn) takeOver(ctx context.Context, i int) error {
	type life struct {
		v     *vehicle.Vehicle
		ended chan error
	}
	begin := func() (life, error) {
		v, err := vehicle.New(c.config(kindTaken, i))
		l := life{v, make(chan error, 1)}
		if err == nil {
			c.group.Go(func() { l.ended <- v.Run(ctx) })
		}
		return l, err
	}
	old, err := begin()
	if err != nil {
		return err
	}
	for wait(ctx, between(500*time.Millisecond, 2*time.Second)) {
		for limit := time.Now().Add(patience); old.v.Stats().Acked == 0; {
			if time.Now().After(limit) {
				return fmt.Errorf("%w: %s: no answer to its login", errNoAnswer, vin(kindTaken, i))
			}
			if !wait(ctx, 10*time.Millisecond) {
				return nil
			}
		}
		young, err := begin()
		if err != nil {
			return err
		}
		select {
		case err = <-old.ended:
		case <-time.After(patience):
			err = fmt.Errorf("%w: %s: its older connection is still there", errNoAnswer, vin(kindTaken, i))
		}
		s := old.v.Stats()
		old = young
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errNoAnswer):
			return err
		case !errors.Is(err, vehicle.ErrClosed):
			return fmt.Errorf("%s: taken over, it ended with: %w", vin(kindTaken, i), err)
		case s.Refused+s.Wrong+s.Skipped > 0:
			return fmt.Errorf("%s: taken over, it had %d refusals, %d wrong answers, %d bytes skipped", vin(kindTaken, i), s.Refused, s.Wrong, s.Skipped)
		}
		c.count.takeovers.Add(1)
	}
	return nil
}
