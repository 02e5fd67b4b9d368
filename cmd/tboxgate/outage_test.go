package main

import (
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestStoreOutage takes the store away from a gateway with vehicles on it: /readyz fails, nothing is answered that is not
// stored, and when the store is back the answers come by themselves.
func TestStoreOutage(t *testing.T) {
	store := t.TempDir()
	startStore := func(port int) *server.Server {
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoSigs: true, NoLog: true})
		require.NoError(t, err)
		go s.Start()
		require.True(t, s.ReadyForConnections(patience))
		return s
	}
	s := startStore(server.RANDOM_PORT)
	_, text, err := net.SplitHostPort(s.Addr().String())
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)

	config := writeFile(t, "t.yaml", "nats: {url: \"nats://127.0.0.1:"+text+"\", maxBytes: 1GiB}\n")
	dir := dataDir(t)
	g := serve(t, dir, "--dev", "--config", config)
	ready := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			status, _ := get(t, "http://"+g.Addresses.Admin+"/readyz")
			return status == want
		}, patience, 20*time.Millisecond)
	}
	ready(200)
	nc, err := net.Dial("tcp", g.Addresses.Vehicles[0])
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	in := codec.NewReader(nc, 0)
	send := func(cmd codec.Command, unit ...byte) {
		t.Helper()
		f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: cmd, Flag: codec.FlagCommand,
			VIN: [codec.VINSize]byte([]byte("LTEST000000000001")), Encryption: codec.EncryptionNone}, append(codec.AppendTime(nil, time.Now()), unit...))
		require.NoError(t, err)
		_, err = nc.Write(f)
		require.NoError(t, err)
	}
	answered := func(cmd codec.Command) {
		t.Helper()
		require.NoError(t, nc.SetReadDeadline(time.Now().Add(patience)))
		f, err := in.ReadFrame()
		require.NoError(t, err)
		require.Equal(t, cmd, f.Command())
		require.Equal(t, codec.FlagSuccess, f.Flag())
	}
	send(codec.CommandVehicleLogin, append([]byte{0, 1}, "89860000000000000001\x00\x00"...)...)
	answered(codec.CommandVehicleLogin)

	s.Shutdown()
	s.WaitForShutdown()
	for range 10 {
		send(codec.CommandRealtime, 0x80, 0, 1, 7)
	}
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	n, err := nc.Read(make([]byte, 1)) // not through the reader, which would remember the error
	require.Zero(t, n)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "answered without a store")
	ready(503)
	code, _, stderr := tboxgate(t, "", "tail", "--data-dir", dir)
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "the store is away, reading ended: nats: ")
	require.Contains(t, stderr, "not connected to the NATS server")

	s = startStore(port)
	for range 10 {
		answered(codec.CommandRealtime)
	}
	ready(200)
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
	s.Shutdown()
	s.WaitForShutdown()
}
