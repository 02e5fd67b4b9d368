//go:build chaos

package follow_test

import "go.uber.org/goleak"

// leftByServers are goroutines that nats-server leaves behind where one of a cluster is ended while it makes or catches up a stream.
var leftByServers = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
	goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
}
