package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/vehicle"
	"github.com/tboxgate/tboxgate/session/seal"
)

// externalNATS starts a NATS server of its own for several gateways and returns a configuration file that names it.
func externalNATS(t *testing.T) (config string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(patience))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return writeFile(t, "t.yaml", "nats: {url: \"nats://"+s.Addr().String()+"\", maxBytes: 1GiB}\n")
}

// TestCommandsAtAnyNode: a command sent at one gateway reaches a vehicle that is connected to another one, for as long as that
// gateway is there.
func TestCommandsAtAnyNode(t *testing.T) {
	t.Setenv(seal.KeyEnv, hex.EncodeToString(bytes.Repeat([]byte{7}, seal.KeySize)))
	config := externalNATS(t)
	one, two := dataDir(t), dataDir(t)
	a := serve(t, one, "--config", config, "--node", "one")
	b := serve(t, two, "--config", config, "--node", "two")

	const vin = "LTEST000000000303"
	code, _, stderr := tboxgate(t, vin+"\n", "vehicles", "import", "--data-dir", two)
	require.Zero(t, code, stderr)
	v, err := vehicle.New(vehicle.Config{Addr: b.Addresses.Vehicles[0], VIN: vin, Period: time.Hour, AnswerTimeout: patience})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- v.Run(ctx) }()
	waitSessions(t, two, 1)
	send := func(args ...string) (code int, stdout, stderr string) {
		return tboxgate(t, "", append([]string{"send", "query", "--data-dir", one, "--vin", vin, "--params", "2"}, args...)...)
	}
	require.Eventually(t, func() bool { // node one hears of it
		code, _, stderr = send()
		return code == 0
	}, patience, 50*time.Millisecond, "%s", &stderr)
	_, metrics := get(t, "http://"+a.Addresses.Admin+"/metrics")
	require.Regexp(t, `tboxgate_commands_relayed_total\{direction="out",outcome="accepted"\} [1-9]`, metrics)
	_, metrics = get(t, "http://"+b.Addresses.Admin+"/metrics")
	require.Regexp(t, `tboxgate_commands_relayed_total\{direction="in",outcome="accepted"\} [1-9]`, metrics)

	require.NoError(t, b.cmd.Process.Kill())
	<-b.ended
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Log(err) // the connection was cut
	}
	code, _, stderr = send()
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "The device is offline (iot.device.OfflineDevice")
	require.NoError(t, a.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, a.exit(t), a.stderr.String())
	require.Contains(t, a.stderr.String(), "the node that a vehicle is online at does not answer")
}
