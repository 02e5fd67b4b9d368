package gateway

import "errors"

// The gateway does not run on Windows, see cmd/tboxgate; this only lets the program's other commands be built there.
var errNoGateway = errors.New("gateway: not on Windows")

func endSending(int) error                               { return errNoGateway }
func writeNow(int, []byte) (int, error)                  { return 0, errNoGateway }
func closeSocket(int) error                              { return errNoGateway }
func peekNow(int, []byte) (n int, again bool, err error) { return 0, false, errNoGateway }
