package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// managerSocket is a service manager's end of sd_notify.
func managerSocket(t *testing.T) (address string, next func() string) {
	t.Helper()
	address = filepath.Join(filepath.Dir(dataDir(t)), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return address, func() string {
		buf := make([]byte, 4096)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		n, err := c.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
}

// TestNotify is a service manager that starts the gateway, waits for signs of life, has it reload, and stops it.
func TestNotify(t *testing.T) {
	address, next := managerSocket(t)
	dir := dataDir(t)
	cmd := exec.Command(os.Args[0], serveArgs(dir, "--dev")...)
	cmd.Env = append(os.Environ(), runMain+"=1", "NOTIFY_SOCKET="+address, "WATCHDOG_USEC=300000")
	p := startEnv(t, cmd)
	require.Regexp(t, `^READY=1\nMAINPID=\d+\nSTATUS=serving, 0 vehicles registered$`, next())
	for range 3 {
		require.Equal(t, "WATCHDOG=1", next())
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	after := func() string { // the next that is no sign of life
		for {
			if s := next(); s != "WATCHDOG=1" {
				return s
			}
		}
	}
	require.Regexp(t, `^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*$`, after())
	require.True(t, strings.HasPrefix(after(), "READY=1\n"))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, "STOPPING=1\nSTATUS=draining", after())
	require.Zero(t, p.exit(t), p.stderr.String())
}

// TestWatchdogWithoutLife: a gateway that does not answer gives no sign of life.
func TestWatchdogWithoutLife(t *testing.T) {
	address, next := managerSocket(t)
	n := &notifier{address: address, watchdog: 30 * time.Millisecond, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	n.watch(ctx, func(context.Context) error {
		if asked++; asked == 3 {
			cancel()
		}
		if asked == 1 {
			return nil
		}
		return errors.New("stuck")
	})
	n.send("END=1")
	require.Equal(t, "WATCHDOG=1", next(), "the first time it was alive")
	require.Equal(t, "END=1", next(), "and never after")
	(&notifier{}).send("nobody listens")
}
