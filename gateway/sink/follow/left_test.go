//go:build !chaos

package follow_test

import "go.uber.org/goleak"

// leftByServers are goroutines that servers started by the tests leave behind.
var leftByServers []goleak.Option
