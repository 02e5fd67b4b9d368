package vehicle

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Frames returns what a vehicle sends within a time, without a gateway and without waiting: the login,
// the reports and reissues, a heartbeat, a time sync and the logout. The times of login and logout are
// the machine's. It is made for tests of what reads frames. Addr is not needed; the errors are those of
// [New].
func Frames(cfg Config, from time.Time, d time.Duration) ([]codec.Frame, error) {
	setDefault(&cfg.Addr, "-")
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newCar(cfg)
	if err != nil {
		return nil, err
	}
	var all []codec.Frame
	for _, make := range []func() ([]byte, error){c.login, c.heartbeat, c.timeSync} {
		f, err := make()
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	c.start(from, from)
	for now := from; now.Before(from.Add(d)); now = c.due {
		frames, err := c.next(now)
		if err != nil {
			return nil, err
		}
		for _, f := range frames {
			all = append(all, f)
		}
	}
	logout, err := c.logout()
	return append(all, logout), err
}
