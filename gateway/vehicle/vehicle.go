package vehicle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Vehicle is one simulated vehicle on a connection of its own.
type Vehicle struct {
	cfg   Config
	car   *car
	addr  string // of the platform that it belongs to
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
	return &Vehicle{cfg: cfg, car: c, addr: cfg.Addr}, nil
}

// Stats returns what has been counted so far, over all runs. It may be called at any time.
func (v *Vehicle) Stats() Stats { return v.count.stats() }

// Run connects, logs in, and reports until ctx ends or Config.Reports are sent; then it waits for
// the answers that are due, logs out and returns nil. Errors: *RefusedError (login refused),
// ErrNoAnswer (login or logout unanswered), ErrClosed (the gateway closed the connection), and those of
// the connection. A vehicle may run again after it has ended, with the same car; the login serial
// then goes on counting, and with StyleLeave it connects to where it went. Only one Run at a time.
func (v *Vehicle) Run(ctx context.Context) error {
	err := v.visit(ctx, v.addr, nil)
	for errors.Is(err, errLeave) {
		err = v.move(ctx)
	}
	return err
}

// errLeave says that a setting made the terminal go to another platform.
var errLeave = errors.New("vehicle: goes to another platform")

// move logs in at the platform that the parameters name; when that fails, again at the present one,
// with the answer that the setting did not work (2016 B.2.3).
func (v *Vehicle) move(ctx context.Context) error {
	to := v.car.platform()
	entered := false
	err := v.visit(ctx, to, func(*link) error {
		entered, v.addr = true, to
		return nil
	})
	if entered || ctx.Err() != nil {
		return err
	}
	v.cfg.Logger.Warn("the new platform does not take the vehicle, which returns", "vin", v.cfg.VIN, "platform", to, "error", err)
	return v.visit(ctx, v.addr, func(l *link) error {
		answer, err := v.car.restore()
		if err != nil {
			return err
		}
		return l.write(answer)
	})
}

// visit connects to a platform, logs in, does what is to be done first, drives and leaves.
func (v *Vehicle) visit(ctx context.Context, addr string, first func(*link) error) error {
	dialing, cancel := context.WithTimeout(ctx, v.cfg.AnswerTimeout)
	conn, err := v.cfg.Dial(dialing, "tcp", addr)
	cancel()
	if err != nil {
		return fmt.Errorf("vehicle: %w", err)
	}
	l := open(conn, v.cfg.Logger, &v.count, obedient{delay: v.cfg.delay(), answer: func(f codec.Frame) []byte {
		if f.VIN() != v.car.vin {
			return nil
		}
		return v.car.answer(f)
	}, answered: func(codec.Frame) { v.car.answered() }})
	defer l.close()

	login, err := v.car.login()
	if err != nil {
		return err
	}
	if err := l.login(ctx, login, v.cfg.AnswerTimeout); err != nil {
		return err
	}
	if first != nil {
		if err := first(l); err != nil {
			return err
		}
	}
	if err := v.drive(ctx, l); err != nil {
		return err
	}
	return v.logout(l)
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
			case <-v.car.leave:
				if err := v.logout(l); err != nil {
					return err
				}
				return errLeave
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

// logout waits for outstanding answers and logs out.
func (v *Vehicle) logout(l *link) error {
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
