package vehicle

import (
	"context"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Vehicle is one simulated vehicle on a connection of its own.
type Vehicle struct {
	cfg   Config
	car   *car
	count counters
}

// New returns a vehicle, or what is wrong with its configuration. Run makes it drive.
func New(cfg Config) (*Vehicle, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newCar(cfg)
	if err != nil {
		return nil, err
	}
	return &Vehicle{cfg: cfg, car: c}, nil
}

// Stats returns what has been counted so far, over all runs. It may be called at any time.
func (v *Vehicle) Stats() Stats { return v.count.stats() }

// Run connects, logs in, and reports until ctx ends or Config.Reports are sent; then it waits for
// the answers that are due, logs out and returns nil. Errors: *RefusedError (login refused),
// ErrNoAnswer (login or logout unanswered), ErrClosed (the gateway closed the connection), and those of
// the connection. A vehicle may run again after it has ended, with the same car; the login serial
// then goes on counting. Only one Run at a time.
func (v *Vehicle) Run(ctx context.Context) error {
	conn, err := v.cfg.Dial(ctx, "tcp", v.cfg.Addr)
	if err != nil {
		return fmt.Errorf("vehicle: %w", err)
	}
	l := open(conn, v.cfg.Logger, &v.count, func(f codec.Frame) []byte {
		if f.VIN() != v.car.vin {
			return nil
		}
		return v.car.answer(f)
	})
	defer l.close()

	login, err := v.car.login()
	if err != nil {
		return err
	}
	if err := l.login(ctx, login, v.cfg.AnswerTimeout); err != nil {
		return err
	}
	if err := v.drive(ctx, l); err != nil {
		return err
	}
	return v.leave(l)
}

// drive reports until it is time to leave.
func (v *Vehicle) drive(ctx context.Context, l *link) error {
	period, heartbeat := v.car.periods()
	reports := time.NewTicker(period)
	defer reports.Stop()
	beats := newOptionalTicker(heartbeat)
	defer beats.stop()

	for sent := 0; ; {
		if err := v.report(l); err != nil {
			return err
		}
		if sent++; sent == v.cfg.Reports {
			return nil
		}
	wait:
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-l.ended:
				return l.err
			case <-v.car.changed:
				period, heartbeat = v.car.periods()
				reports.Reset(period)
				beats.reset(heartbeat)
			case <-beats.c():
				frame, err := v.car.heartbeat()
				if err != nil {
					return err
				}
				if _, err := l.send(frame); err != nil {
					return l.why(err)
				}
			case <-reports.C:
				break wait
			}
		}
	}
}

func (v *Vehicle) report(l *link) error {
	frame, err := v.car.report(time.Now())
	if err != nil {
		return err
	}
	if _, err := l.send(frame); err != nil {
		return l.why(err)
	}
	return nil
}

// leave waits for outstanding answers and logs out.
func (v *Vehicle) leave(l *link) error {
	l.settle(v.cfg.AnswerTimeout)
	logout, err := v.car.logout()
	if err != nil {
		return err
	}
	_, err = l.call(context.Background(), logout, v.cfg.AnswerTimeout)
	return err
}

// optionalTicker is a ticker that may be off.
type optionalTicker struct{ t *time.Ticker }

func newOptionalTicker(d time.Duration) *optionalTicker {
	o := &optionalTicker{}
	o.reset(d)
	return o
}

func (o *optionalTicker) c() <-chan time.Time {
	if o.t == nil {
		return nil
	}
	return o.t.C
}

func (o *optionalTicker) reset(d time.Duration) {
	switch {
	case d <= 0:
		o.stop()
	case o.t == nil:
		o.t = time.NewTicker(d)
	default:
		o.t.Reset(d)
	}
}

func (o *optionalTicker) stop() {
	if o.t != nil {
		o.t.Stop()
		o.t = nil
	}
}
