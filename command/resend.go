package command

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Resend says how a command is repeated when no answer comes: Sends frames in all, Interval apart. Interval after the last
// one the command has timed out.
type Resend struct {
	Sends    int
	Interval time.Duration
}

// ResendPlan holds the repetitions by kind of command. Zero fields mean the default.
type ResendPlan struct {
	Query   Resend // 0x80: three sends 30 s apart (GB/T 32960.3 B.2.2: after three sends without answer the platform gives up)
	Set     Resend // 0x81: the same
	Control Resend // 0x82: three sends one minute apart (B.2.4)
	// Once is for controls that must not be done twice: remote upgrade, shutdown and reset. One send, one minute.
	Once Resend
}

func (p *ResendPlan) setDefaults() {
	for _, d := range []struct {
		field    *Resend
		sends    int
		interval time.Duration
	}{
		{&p.Query, 3, 30 * time.Second},
		{&p.Set, 3, 30 * time.Second},
		{&p.Control, 3, time.Minute},
		{&p.Once, 1, time.Minute},
	} {
		if d.field.Sends <= 0 {
			d.field.Sends = d.sends
		}
		if d.field.Interval <= 0 {
			d.field.Interval = d.interval
		}
	}
}

// Control commands (GB/T 32960.3 table B.14) that are sent once only.
const (
	controlUpgrade  = 0x01
	controlShutdown = 0x02
	controlReset    = 0x03
)

// of returns the plan for a command with the given data unit.
func (p *ResendPlan) of(cmd codec.Command, unit []byte) Resend {
	switch cmd {
	case codec.CommandParamQuery:
		return p.Query
	case codec.CommandParamSet:
		return p.Set
	}
	if len(unit) > codec.TimeSize {
		switch unit[codec.TimeSize] {
		case controlUpgrade, controlShutdown, controlReset:
			return p.Once
		}
	}
	return p.Control
}
