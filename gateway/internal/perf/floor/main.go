//go:build linux

// Command floor is the yardstick of the gateway's figures: what the event loop library costs by itself. It cuts the
// input into frames by their length field and answers each with 25 bytes, the request's header with flag 0x01 and no
// data unit, all answers of an event in one write. Nothing is checked, decoded, stored or counted.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

func main() {
	port := flag.Uint("port", 0, "port on 127.0.0.1; 0 takes a free one")
	check := flag.Bool("bcc", false, "verify the check byte of every frame")
	flag.Parse()
	if *port > 65535 {
		fmt.Fprintln(os.Stderr, "floor: a port is at most 65535")
		os.Exit(2)
	}
	s := &server{check: *check, stdout: os.Stdout}
	if err := gnet.Run(s, fmt.Sprintf("tcp4://127.0.0.1:%d", *port), gnet.WithMulticore(false), gnet.WithTCPNoDelay(gnet.TCPNoDelay)); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// server is the handler of one event loop.
type server struct {
	gnet.BuiltinEventEngine
	check  bool
	stdout io.Writer
	out    []byte // answers of the event under way; there is one loop
}

// OnBoot tells whoever started the program where it listens.
func (s *server) OnBoot(e gnet.Engine) gnet.Action {
	addr, err := bound(e)
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		return gnet.Shutdown
	}
	if _, err := fmt.Fprintln(s.stdout, "floor listens on", addr); err != nil {
		return gnet.Shutdown
	}
	return gnet.None
}

// bound is the address of the engine's only listener.
func bound(e gnet.Engine) (netip.AddrPort, error) {
	fd, err := e.Dup()
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer func() { _ = unix.Close(fd) }() // a copy
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address of the listener: %w", err)
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address of the listener: %T", sa)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), nil
}

// OnTraffic answers every whole frame that has arrived.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	out, n := answers(s.out[:0], b, s.check)
	s.out = out
	if n < 0 {
		return gnet.Close
	}
	if n > 0 { // Discard(0) would discard everything
		if _, err := c.Discard(n); err != nil {
			return gnet.Close
		}
		if _, err := c.Write(out); err != nil {
			return gnet.Close
		}
	}
	return gnet.None
}

// Offsets and sizes of a frame: start marks, command, flag, 17 bytes VIN, encryption, length; then the data unit and
// the check byte. They are written down here once more so that the yardstick owes nothing to what it measures.
const (
	startMark  = '#'
	flagAt     = 3
	lengthAt   = 22
	headerSize = 24
	success    = 0x01
)

// answers appends one answer for each whole frame at the start of b and returns the bytes that the frames take, or -1
// when there is something else than a frame.
func answers(out, b []byte, check bool) ([]byte, int) {
	n := 0
	for len(b)-n > headerSize {
		f := b[n:]
		if f[0] != startMark || f[1] != startMark {
			return out, -1
		}
		size := headerSize + int(binary.BigEndian.Uint16(f[lengthAt:])) + 1
		if len(f) < size {
			break
		}
		f = f[:size]
		if check && xor(f[2:size-1]) != f[size-1] {
			return out, -1
		}
		at := len(out)
		out = append(out, f[:lengthAt]...)
		out[at+flagAt] = success
		out = append(out, 0, 0)
		out = append(out, xor(out[at+2:]))
		n += size
	}
	return out, n
}

// xor is the check byte of b, eight bytes at a time.
func xor(b []byte) byte {
	var x uint64
	for len(b) >= 8 {
		x ^= binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	x ^= x >> 32
	x ^= x >> 16
	x ^= x >> 8
	r := byte(x)
	for _, c := range b {
		r ^= c
	}
	return r
}
