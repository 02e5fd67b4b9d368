package main

import "log/slog"

// reservedDescriptors is what the process needs beside the vehicles' connections: the store's files, event loops, API.
const reservedDescriptors = 512

// warnDescriptors says when the system will not let limits.connections vehicles in. The Go runtime has raised the soft
// limit to the hard one already. It is no error: the gateway waits when descriptors run out.
func warnDescriptors(log *slog.Logger, connections int) {
	limit, err := descriptorLimit()
	if err != nil {
		log.Warn("the limit of file descriptors cannot be read", "error", err)
		return
	}
	if want := uint64(connections + reservedDescriptors); limit < want {
		log.Warn("the limit of file descriptors is below limits.connections: raise it (ulimit -n, LimitNOFILE)",
			"limit", limit, "wanted", want)
	}
}
