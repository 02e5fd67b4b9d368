//go:build linux

package load

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// read and write are raw system calls: the sockets do not block, so the scheduler need not hear of them.

func read(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func write(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

// dial connects from the i-th source address. Many connections share an address, whose port is chosen when the
// destination is known, so that one port serves many.
func (g *generator) dial(i int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("load: connection %d: %w", i, err)
	}
	source := [4]byte{127, 0, 0, byte(2 + i%g.o.Sources)}
	to := &unix.SockaddrInet4{Addr: g.o.Addr.Addr().As4(), Port: int(g.o.Addr.Port())}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: source}),
	)
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err != nil {
		return -1, fmt.Errorf("load: connection %d from 127.0.0.%d: %w", i, source[3], errors.Join(err, unix.Close(fd)))
	}
	return fd, nil
}

// watch chooses what a connection is told of besides input.
func (g *generator) watch(c *conn, writable bool) {
	if c.wantOut == writable {
		return
	}
	c.wantOut = writable
	e := &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}
	if writable {
		e.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_MOD, c.fd, e); err != nil {
		g.drop(c)
	}
}

// poll handles what happens within so many milliseconds; with pump it keeps the windows full.
func (g *generator) poll(milliseconds int, pump bool) {
	n, err := unix.EpollWait(g.epoll, g.events, milliseconds)
	if err != nil {
		return // interrupted
	}
	for i := range n {
		e := &g.events[i]
		c := g.byFD[e.Fd]
		if c == nil {
			continue
		}
		if e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			g.readable(c, pump)
		}
		if c.fd >= 0 && e.Events&unix.EPOLLOUT != 0 {
			g.writable(c, pump)
		}
	}
}
