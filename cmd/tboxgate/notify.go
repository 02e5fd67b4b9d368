package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells a service manager how the gateway is doing: systemd's protocol of sd_notify(3), for units of
// Type=notify. Without NOTIFY_SOCKET it is silent.
type notifier struct {
	address  string        // of the datagram socket; "" for none
	watchdog time.Duration // how often a sign of life is wanted; 0 for never
	log      *slog.Logger
}

// newNotifier reads what the service manager has put into the environment. The variables are meant for this process
// alone, so they are taken out of it.
func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{address: os.Getenv("NOTIFY_SOCKET"), log: log}
	if us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			n.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // it fails for names that cannot be
	}
	return n
}

// ready says that vehicles are served, after the start and after a reload.
func (n *notifier) ready(vehicles int) {
	n.send(fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=serving, %d vehicles registered", os.Getpid(), vehicles))
}

// reloading says that a reload has begun; ready says that it is over.
func (n *notifier) reloading() { n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic())) }

// stopping says that the gateway drains.
func (n *notifier) stopping() { n.send("STOPPING=1\nSTATUS=draining") }

// watch gives signs of life until ctx ends, as long as alive answers without an error in time.
func (n *notifier) watch(ctx context.Context, alive func(context.Context) error) {
	if n.address == "" || n.watchdog == 0 {
		return
	}
	every := time.NewTicker(n.watchdog / 3)
	defer every.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, n.watchdog/3)
		err := alive(ask)
		cancel()
		switch {
		case err == nil:
			n.send("WATCHDOG=1")
		case ctx.Err() == nil:
			n.log.Error("no sign of life for the service manager's watchdog, which will restart the gateway", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// send writes one datagram. A manager that does not read is no reason to stop.
func (n *notifier) send(state string) {
	if n.address == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"}) // a leading @ is the abstract namespace
	if err != nil {
		n.log.Warn("the service manager cannot be told", "error", err)
		return
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(state)); err != nil {
		n.log.Warn("the service manager cannot be told", "error", err)
	}
}
