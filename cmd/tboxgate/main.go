// Command tboxgate is a GB/T 32960 vehicle gateway and the tools around it.
//
//	main.go, app.go           the command line: flags, usage errors, exit codes
//	config*.go                the configuration: one struct whose tags describe every setting
//	serve.go, node*.go        the gateway: how its parts are wired, started and stopped
//	decode.go, encode.go      frames to JSON and back
//	send.go, simulate.go      the other two sides: the application and the vehicle
//	sessions.go, …            the operator's commands, over the admin socket
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
