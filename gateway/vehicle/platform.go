package vehicle

import (
	"context"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// PlatformConfig says which enterprise platform to simulate: one connection, a platform login, and
// behind it many vehicles.
type PlatformConfig struct {
	Code     string // the platform's unique code, 1 to 17 bytes
	User     string // up to 12 bytes
	Password string // up to 20 bytes

	Vehicles []string // the VINs of the vehicles that it relays

	// Vehicle holds the settings of the connection and the pattern of every vehicle; VIN and ICCID
	// are not used. A platform sends heartbeats only if Heartbeat is above 0: its profile of the
	// standard has none.
	Vehicle Config
}

// Platform is a simulated enterprise platform.
type Platform struct {
	cfg   PlatformConfig
	self  *car // the platform itself: its identifier is the code
	cars  map[codec.VIN]*car
	order []*car
	count counters
}

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
	p := &Platform{cfg: cfg, cars: map[codec.VIN]*car{}}
	cfg.Vehicle.ICCID = ""
	pattern := cfg.Vehicle
	pattern.VIN = cfg.Code
	pattern, err := pattern.withDefaults()
	if err != nil {
		return nil, err
	}
	p.cfg.Vehicle = pattern
	if p.self, err = newCar(pattern); err != nil {
		return nil, err
	}
	if _, err := p.self.platformLogin(cfg.User, cfg.Password); err != nil {
		return nil, err
	}
	p.self.serial-- // that was a try
	for _, vin := range cfg.Vehicles {
		one := cfg.Vehicle
		one.VIN = vin
		if one, err = one.withDefaults(); err != nil {
			return nil, err
		}
		c, err := newCar(one)
		if err != nil {
			return nil, err
		}
		if p.cars[c.vin] != nil {
			return nil, fmt.Errorf("vehicle: the platform has %s twice", vin)
		}
		p.cars[c.vin] = c
		p.order = append(p.order, c)
	}
	return p, nil
}

// Stats returns what has been counted so far, over all runs. It may be called at any time.
func (p *Platform) Stats() Stats { return p.count.stats() }

// Run connects, logs the platform and then every vehicle in, and relays reports until ctx ends or
// every vehicle has sent Config.Reports; then it logs the vehicles and itself out. In one Period
// every vehicle reports once, one after the other. Errors as of [Vehicle.Run].
func (p *Platform) Run(ctx context.Context) error {
	cfg := p.cfg.Vehicle
	conn, err := cfg.Dial(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("vehicle: %w", err)
	}
	l := open(conn, cfg.Logger, &p.count, obedient{delay: cfg.delay(), answer: func(f codec.Frame) []byte {
		if c := p.cars[f.VIN()]; c != nil {
			return c.answer(f)
		}
		return nil
	}})
	defer l.close()

	login, err := p.self.platformLogin(p.cfg.User, p.cfg.Password)
	if err != nil {
		return err
	}
	if err := l.login(ctx, login, cfg.AnswerTimeout); err != nil {
		return err
	}
	for _, c := range p.order {
		login, err := c.login()
		if err != nil {
			return err
		}
		if err := l.login(ctx, login, cfg.AnswerTimeout); err != nil {
			return err
		}
	}
	if err := p.relay(ctx, l); err != nil {
		return err
	}
	return p.leave(l)
}

// relay reports for one vehicle after the other.
func (p *Platform) relay(ctx context.Context, l *link) error {
	cfg := p.cfg.Vehicle
	turns := time.NewTicker(max(cfg.Period/time.Duration(len(p.order)), time.Microsecond))
	defer turns.Stop()
	beats := newOptionalTicker(cfg.Heartbeat)
	defer beats.stop()
	for sent := 0; cfg.Reports == 0 || sent < cfg.Reports*len(p.order); {
		select {
		case <-ctx.Done():
			return nil
		case <-l.ended:
			return l.err
		case <-beats.c():
			frame, err := p.self.heartbeat()
			if err != nil {
				return err
			}
			if _, err := l.send(frame); err != nil {
				return l.why(err)
			}
		case <-turns.C:
			frame, err := p.order[sent%len(p.order)].report(time.Now())
			if err != nil {
				return err
			}
			if _, err := l.send(frame); err != nil {
				return l.why(err)
			}
			sent++
		}
	}
	return nil
}

// leave waits for outstanding answers and logs everybody out.
func (p *Platform) leave(l *link) error {
	timeout := p.cfg.Vehicle.AnswerTimeout
	l.settle(timeout)
	for _, c := range p.order {
		logout, err := c.logout()
		if err != nil {
			return err
		}
		if _, err := l.call(context.Background(), logout, timeout); err != nil {
			return err
		}
	}
	logout, err := p.self.platformLogout()
	if err != nil {
		return err
	}
	_, err = l.call(context.Background(), logout, timeout)
	return err
}
