package vehicle

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Config says which vehicle to simulate and how. Addr and VIN are needed, the rest has defaults.
type Config struct {
	Addr string // host:port of the gateway

	// Dial opens the connection; nil is a plain TCP connection. For TLS it is
	// (*tls.Dialer).DialContext.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	VIN     string        // 1 to 17 bytes
	Edition codec.Edition // 2016 by default
	ICCID   string        // up to 20 bytes; by default made from the VIN
	Serial  uint16        // login serial number, 1 by default

	Period    time.Duration // between two realtime reports, 10 s by default
	Heartbeat time.Duration // between two heartbeats, 60 s by default; negative: none
	Reports   int           // log out after so many reports; 0: go on until the context ends
	Style     Style         // of the answers to commands

	// AnswerDelay is how late StyleLate answers, 45 s by default: a gateway sends a query or setting
	// again after 30 s.
	AnswerDelay time.Duration

	// AnswerTimeout bounds the wait for the answer to a login and for outstanding answers at
	// logout, 30 s by default.
	AnswerTimeout time.Duration

	TimeSync    time.Duration // between two time syncs, the first one after the login; 0: none
	ClockOffset time.Duration // how far the vehicle's clock is ahead of this machine's
	Drive       Drive         // what the car does all day
	Pace        float64       // shortens drives, stops and charges by this factor, 1 by default
	Seed        uint64        // another seed is another fleet with the same VINs
	Script      *Script       // faults, nil for none
	Start       time.Time     // when the script begins, by default with the first run

	Cells  int // battery cells, 96 by default; one frame of the 2016 edition holds 200, more are split
	Probes int // battery temperature probes, 16 by default

	Logger *slog.Logger // nil: no log
}

// mostCells bounds a battery: large buses have some 400 cells.
const mostCells = 2000

// withDefaults returns the configuration with its gaps filled, or why it cannot be.
func (c Config) withDefaults() (Config, error) {
	if c.Addr == "" {
		return c, fmt.Errorf("vehicle: Addr is missing")
	}
	if _, err := codec.ParseVIN(c.VIN); err != nil {
		return c, fmt.Errorf("vehicle: %w", err)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Edition == 0 {
		c.Edition = codec.Edition2016
	}
	if c.Edition != codec.Edition2016 && c.Edition != codec.Edition2025 {
		return c, fmt.Errorf("vehicle: edition %d (want 2016 or 2025)", c.Edition)
	}
	if c.ICCID == "" {
		c.ICCID = iccid(c.VIN)
	}
	if len(c.ICCID) > 20 {
		return c, fmt.Errorf("vehicle: ICCID %q is longer than 20 bytes", c.ICCID)
	}
	setDefault(&c.Serial, 1)
	setDefault(&c.Period, 10*time.Second)
	setDefault(&c.Heartbeat, time.Minute)
	setDefault(&c.AnswerTimeout, 30*time.Second)
	setDefault(&c.AnswerDelay, 45*time.Second)
	setDefault(&c.Pace, 1)
	setDefault(&c.Cells, 96)
	setDefault(&c.Probes, 16)
	if c.Period < 0 || c.AnswerTimeout < 0 || c.AnswerDelay < 0 || c.Reports < 0 {
		return c, fmt.Errorf("vehicle: a negative Period, AnswerTimeout, AnswerDelay or Reports")
	}
	if int(c.Style) >= len(styleNames) {
		return c, fmt.Errorf("vehicle: there is no %v", c.Style)
	}
	if c.Cells < 1 || c.Cells > mostCells {
		return c, fmt.Errorf("vehicle: %d cells (want 1 to %d)", c.Cells, mostCells)
	}
	if !(c.Pace >= 0.01 && c.Pace <= 1000) {
		return c, fmt.Errorf("vehicle: a pace of %v (want 0.01 to 1000)", c.Pace)
	}
	if c.Probes < 1 || c.Probes > 200 {
		return c, fmt.Errorf("vehicle: %d temperature probes (want 1 to 200)", c.Probes)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// delay returns how long the answer to a command waits.
func (c Config) delay() time.Duration {
	if c.Style == StyleLate {
		return c.AnswerDelay
	}
	return 0
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// iccid makes 20 digits from a VIN: a test card's, not one that an operator issued.
func iccid(vin string) string {
	return fmt.Sprintf("8986%016d", seedOf(vin)%1e16)
}
