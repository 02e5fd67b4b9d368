package vehicle

import (
	"context"
	"errors"
)

// Vehicle is one simulated vehicle on a connection of its own.
type Vehicle struct {
	rig  *rig
	addr string // of the platform that it belongs to
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
	v := &Vehicle{rig: newRig(cfg, c, []*car{c}), addr: cfg.Addr}
	v.rig.enter = func(ctx context.Context, l *link) error {
		login, err := c.login()
		if err != nil {
			return err
		}
		return l.login(ctx, login, cfg.AnswerTimeout)
	}
	v.rig.leave = func(l *link) error {
		l.settle(cfg.AnswerTimeout)
		logout, err := c.logout()
		if err != nil {
			return err
		}
		_, err = l.call(context.Background(), logout, cfg.AnswerTimeout)
		return err
	}
	return v, nil
}

// Stats returns what has been counted so far, over all runs. It may be called at any time.
func (v *Vehicle) Stats() Stats { return v.rig.count.stats() }

// Fleet returns what the vehicle does at present. It may be called at any time.
func (v *Vehicle) Fleet() Fleet { return v.rig.count.states() }

// Run connects, logs in, and reports until ctx ends or Config.Reports are sent; then it waits for
// the answers that are due, logs out and returns nil. Errors: *RefusedError (login refused),
// ErrNoAnswer (login or logout unanswered), ErrClosed (the gateway closed the connection), and those of
// the connection. A vehicle may run again after it has ended, with the same car; the login serial
// then goes on counting, with StyleLeave it connects to where it went, and what it could not report
// after a connection that broke is reissued. Only one Run at a time.
func (v *Vehicle) Run(ctx context.Context) error {
	err := v.rig.run(ctx, v.addr, nil)
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
	c := v.rig.self
	to := c.platform()
	entered := false
	err := v.rig.run(ctx, to, func(*link) error {
		entered, v.addr = true, to
		return nil
	})
	if entered || ctx.Err() != nil {
		return err
	}
	v.rig.cfg.Logger.Warn("the new platform does not take the vehicle, which returns", "vin", v.rig.cfg.VIN, "platform", to, "error", err)
	return v.rig.run(ctx, v.addr, func(l *link) error {
		answer, err := c.restore()
		if err != nil {
			return err
		}
		return l.confirm(answer)
	})
}
