package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Read asks the kernel (adjtimex), which changes nothing.
func Read() Status {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Status{}
	}
	return status(&t, state)
}

// status reads a filled Timex. state is the kernel's word; TIME_ERROR stands for a clock that nobody keeps.
func status(t *unix.Timex, state int) Status {
	unit := time.Microsecond
	if t.Status&unix.STA_NANO != 0 {
		unit = time.Nanosecond
	}
	return Status{
		Known:          true,
		Synchronized:   state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Offset:         time.Duration(t.Offset) * unit,
		EstimatedError: time.Duration(t.Esterror) * time.Microsecond,
		MaxError:       time.Duration(t.Maxerror) * time.Microsecond,
	}
}
