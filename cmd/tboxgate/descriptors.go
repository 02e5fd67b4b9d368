package main

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// reservedDescriptors is what the process needs beside the vehicles' connections: the store's files, event loops, API.
const reservedDescriptors = 512

// warnDescriptors says when the system will not let limits.connections vehicles in. The Go runtime has raised the soft
// limit to the hard one already. It is no error: the gateway waits when descriptors run out.
func warnDescriptors(log *slog.Logger, connections int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of file descriptors cannot be read", "error", err)
		return
	}
	if want := uint64(connections + reservedDescriptors); limit.Cur < want {
		log.Warn("the limit of file descriptors is below limits.connections: raise it (ulimit -n, LimitNOFILE)",
			"limit", limit.Cur, "wanted", want)
	}
}
