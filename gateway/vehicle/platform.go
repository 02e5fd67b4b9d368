package vehicle

import (
	"context"
	"fmt"

	"github.com/tboxgate/tboxgate/codec"
)

// PlatformConfig says which enterprise platform to simulate: one connection, a platform login, and
// behind it many vehicles.
type PlatformConfig struct {
	Code     string // the platform's unique code, 1 to 17 bytes
	User     string // up to 12 bytes
	Password string // up to 20 bytes

	Vehicles []string // the VINs of the vehicles that it relays

	Styles []Style // how they answer commands, dealt out in turn; none: all as Vehicle says

	// Vehicle holds the settings of the connection and the pattern of every vehicle; VIN and ICCID
	// are not used. A platform sends heartbeats only if Heartbeat is above 0: its profile of the
	// standard has none.
	Vehicle Config
}

// Platform is a simulated enterprise platform.
type Platform struct{ rig *rig }

// NewPlatform returns a platform, or what is wrong with its configuration.
func NewPlatform(cfg PlatformConfig) (*Platform, error) {
	if len(cfg.Vehicles) == 0 {
		return nil, fmt.Errorf("vehicle: a platform needs vehicles")
	}
	if n := len(cfg.Code); n == 0 || n > codec.VINSize {
		return nil, fmt.Errorf("vehicle: the platform's code %q has %d bytes, 1 to %d are wanted", cfg.Code, n, codec.VINSize)
	}
	if cfg.Vehicle.Heartbeat == 0 {
		cfg.Vehicle.Heartbeat = -1
	}
	cfg.Vehicle.ICCID = ""
	pattern := cfg.Vehicle
	pattern.VIN = cfg.Code
	pattern, err := pattern.withDefaults()
	if err != nil {
		return nil, err
	}
	pattern.TimeSync = 0 // as heartbeats: its profile has none
	self, err := newCar(pattern)
	if err != nil {
		return nil, err
	}
	if _, err := self.platformLogin(cfg.User, cfg.Password); err != nil {
		return nil, err
	}
	self.serial-- // that was a try
	var cars []*car
	known := map[codec.VIN]bool{}
	for i, vin := range cfg.Vehicles {
		one := cfg.Vehicle
		one.VIN = vin
		if len(cfg.Styles) > 0 {
			one.Style = cfg.Styles[i%len(cfg.Styles)]
		}
		if one, err = one.withDefaults(); err != nil {
			return nil, err
		}
		c, err := newCar(one)
		if err != nil {
			return nil, err
		}
		if known[c.vin] {
			return nil, fmt.Errorf("vehicle: the platform has %s twice", vin)
		}
		known[c.vin] = true
		cars = append(cars, c)
	}
	p := &Platform{rig: newRig(pattern, self, cars)}
	p.rig.enter = func(ctx context.Context, l *link) error { return p.enter(ctx, l, cfg.User, cfg.Password) }
	p.rig.leave = p.leave
	return p, nil
}

// Stats returns what has been counted so far, over all runs. It may be called at any time.
func (p *Platform) Stats() Stats { return p.rig.count.stats() }

// Fleet returns what the vehicles do at present. It may be called at any time.
func (p *Platform) Fleet() Fleet { return p.rig.count.states() }

// Run connects, logs the platform and then every vehicle in, and relays reports until ctx ends or
// every vehicle has sent Config.Reports; then it logs the vehicles and itself out. Errors as of
// [Vehicle.Run].
func (p *Platform) Run(ctx context.Context) error { return p.rig.run(ctx, p.rig.cfg.Addr, nil) }

// enter logs the platform in, then its vehicles.
func (p *Platform) enter(ctx context.Context, l *link, user, password string) error {
	login, err := p.rig.self.platformLogin(user, password)
	if err != nil {
		return err
	}
	timeout := p.rig.cfg.AnswerTimeout
	if err := l.login(ctx, login, timeout); err != nil {
		return err
	}
	for _, c := range p.rig.cars {
		login, err := c.login()
		if err != nil {
			return err
		}
		if err := l.login(ctx, login, timeout); err != nil {
			return err
		}
	}
	return nil
}

// leave waits for outstanding answers and logs everybody out.
func (p *Platform) leave(l *link) error {
	timeout := p.rig.cfg.AnswerTimeout
	l.settle(timeout)
	for _, c := range p.rig.cars {
		logout, err := c.logout()
		if err != nil {
			return err
		}
		if _, err := l.call(context.Background(), logout, timeout); err != nil {
			return err
		}
	}
	logout, err := p.rig.self.platformLogout()
	if err != nil {
		return err
	}
	_, err = l.call(context.Background(), logout, timeout)
	return err
}
