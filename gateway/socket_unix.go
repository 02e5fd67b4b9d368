//go:build !windows

package gateway

import (
	"errors"

	"golang.org/x/sys/unix"
)

// endSending half-closes a socket: the peer sees the end after what is on its way.
func endSending(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// writeNow writes what the kernel takes at once.
func writeNow(fd int, b []byte) (int, error) { return unix.Write(fd, b) }

func closeSocket(fd int) error { return unix.Close(fd) }

// peekNow copies input without taking it; again is true when there is none yet.
func peekNow(fd int, buf []byte) (n int, again bool, err error) {
	n, _, err = unix.Recvfrom(fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n, errors.Is(err, unix.EAGAIN), err
}
