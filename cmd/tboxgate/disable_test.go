package main

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestDisable disables a vehicle on one node of two while it is online on the other: it is cut off, cannot log in on
// either, commands to it have a code of their own, and after enabling it on the other node all is as before.
func TestDisable(t *testing.T) {
	config := onNATS(t, externalNATS(t), "")
	one, two := dataDir(t), dataDir(t)
	a := serve(t, one, "--config", config, "--node", "one")
	b := serve(t, two, "--config", config, "--node", "two")

	const vin = "LTEST000000000301"
	code, _, stderr := tboxgate(t, vin+"\n", "vehicles", "import", "--data-dir", one)
	require.Zero(t, code, stderr)
	var c net.Conn
	var err error
	require.Eventually(t, func() bool { // node two hears of it
		c, err = net.Dial("tcp", b.Addresses.Vehicles[0])
		require.NoError(t, err)
		if loginFlag(t, c, vin) == codec.FlagSuccess {
			return true
		}
		require.NoError(t, c.Close())
		return false
	}, patience, 50*time.Millisecond)

	require.Empty(t, ok(t, "vehicles", "disable", "--data-dir", one, vin))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "cut off on the other node")
	require.NoError(t, c.Close())
	for _, g := range []*gatewayProcess{a, b} {
		c, err := net.Dial("tcp", g.Addresses.Vehicles[0])
		require.NoError(t, err)
		require.Equal(t, codec.FlagError, loginFlag(t, c, vin))
		require.NoError(t, c.Close())
	}
	require.Regexp(t, vin+` .*  disabled\n`, ok(t, "vehicles", "list", "--data-dir", two))
	code, _, stderr = tboxgate(t, "", "send", "query", "--data-dir", one, "--vin", vin, "--params", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "The device is disabled (iot.device.DisabledDevice, HTTP 200, request ")

	code, _, stderr = tboxgate(t, "", "vehicles", "enable", "--data-dir", two, vin, "LTEST000000000302")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: session: the vehicle is not registered: \"LTEST000000000302\" in product \"gbt32960\"\n", stderr)
	c, err = net.Dial("tcp", b.Addresses.Vehicles[0])
	require.NoError(t, err)
	require.Equal(t, codec.FlagSuccess, loginFlag(t, c, vin))
	require.NoError(t, c.Close())

	for _, g := range []*gatewayProcess{a, b} {
		require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, g.exit(t), g.stderr.String())
	}
	require.Contains(t, b.stderr.String(), `"reason":"disabled"`, "the log says why the login was refused")
}

// loginFlag logs a vehicle in and returns the flag of the answer.
func loginFlag(t *testing.T, c net.Conn, vin string) codec.Flag {
	t.Helper()
	id, err := codec.ParseVIN(vin)
	require.NoError(t, err)
	unit := append(codec.AppendTime(nil, time.Now()), "\x00\x0189860000000000000001\x00\x00"...)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandVehicleLogin, Flag: codec.FlagCommand,
		VIN: id, Encryption: codec.EncryptionNone}, unit)
	require.NoError(t, err)
	_, err = c.Write(f)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	answer := make([]byte, codec.MinFrameSize+codec.TimeSize)
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
	return codec.Frame(answer).Flag()
}
