package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that SIGINT or SIGTERM cancels, for commands that have something to bring to an end.
// A second signal ends the process at once; it is not left to the default disposition, which process 1 of a container
// does not have.
func untilSignal(ctx context.Context, stderr io.Writer) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 1; ; n++ {
			select {
			case s := <-signals:
				if n > 1 {
					say(stderr, "tboxgate: %v: stopping at once\n", s)
					os.Exit(exitError)
				}
				cancel(signalError{s})
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel(nil)
	}
}

// signalError is the cause of a context that a signal canceled.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "signal: " + e.String() }
