// Package clock asks the kernel how good the machine's own clock is. The gateway serves time to vehicles (0x08) and
// judges theirs by it, so it should know.
package clock

import "time"

// Status is what the kernel says of the machine's clock.
type Status struct {
	// Known is false where the kernel does not tell: anywhere but on Linux, or where a sandbox forbids to ask. The rest is
	// zero then.
	Known bool
	// Synchronized is false when no time service keeps the clock, or it has lost its sources for long.
	Synchronized bool
	// Offset is what is being corrected at the moment: true time less the clock's.
	Offset time.Duration
	// EstimatedError and MaxError are what the time service believes; MaxError grows while it hears nothing.
	EstimatedError, MaxError time.Duration
}
