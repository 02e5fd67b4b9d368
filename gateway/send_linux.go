package gateway

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send gives b to the kernel and returns how many bytes of it that took, 0 when it takes none now or something is wrong
// with the socket. It is send(2) where gnet has write(2), which goes through the layers of files first, and, as the
// socket does not block, without telling Go's scheduler.
func send(fd int, b []byte) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
