package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCrash kills the gateway with SIGKILL under a load of numbered frames, again and again, on one
// data directory, in both layouts and every payload. In the end every frame that was answered with success
// is in the streams, byte for byte. TBOXGATE_CRASHES sets how often; the default keeps the suite fast.
func TestCrash(t *testing.T) {
	crashes := 6
	if s := os.Getenv("TBOXGATE_CRASHES"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		crashes = n
	}
	dir := dataDir(t)
	var fleet crashFleet
	for i := range crashes {
		before := fleet.answeredFrames()
		config := writeFile(t, "t.yaml", crashSinks[i%len(crashSinks)])
		g := serve(t, dir, "--dev", "--config", config)
		wait := fleet.drive(t, g.Addresses.Vehicles[0])
		// Killed at once when the first answers are there, or later: while files are written, rotated, synced.
		require.Eventually(t, func() bool { return fleet.answeredFrames() > before }, 20*time.Second, time.Millisecond, "run %d: nothing is answered", i)
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		require.NoError(t, g.cmd.Process.Kill())
		<-g.ended
		wait()
	}
	g := serve(t, dir, "--dev", "--nats-listen", "127.0.0.1:0")
	fleet.requireStored(t, g.Addresses.NATS)
	t.Logf("after %d crashes", crashes)
}

// crashSinks are the ways of storing that crashes go through in turn.
var crashSinks = []string{
	"sinks: [{type: nats, payload: raw}]\n",
	"sinks: [{type: nats, payload: raw, batch: {maxFrames: 64}}]\n",
	"sinks: [{type: nats, payload: json}]\n",
	"sinks: [{type: nats, payload: both, batch: {maxFrames: 16}}]\n",
}
