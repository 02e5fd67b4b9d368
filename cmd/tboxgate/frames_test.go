package main

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// reportAt makes a report with one user-defined item.
func reportAt(t *testing.T, vin string, c codec.Command, at time.Time, data ...byte) []byte {
	t.Helper()
	unit := codec.AppendTime(nil, at)
	unit = binary.BigEndian.AppendUint16(append(unit, 0x80), uint16(len(data)))
	return frameOf(t, vin, c, append(unit, data...))
}

func frameOf(t *testing.T, vin string, c codec.Command, unit []byte) []byte {
	t.Helper()
	v, err := codec.ParseVIN(vin)
	require.NoError(t, err)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: c, Flag: codec.FlagCommand, VIN: v, Encryption: codec.EncryptionNone}, unit)
	require.NoError(t, err)
	return f
}

// sendFrames logs a vehicle in, sends frames one after the other, and waits until each is answered with success: stored.
func sendFrames(t *testing.T, addr, vin string, frames ...[]byte) {
	t.Helper()
	dialVehicle(t, addr, vin, frames...).Close()
}

// dialVehicle does what sendFrames does, and leaves the vehicle connected.
func dialVehicle(t *testing.T, addr, vin string, frames ...[]byte) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	login := append(codec.AppendTime(nil, time.Now()), 0, 1)
	login = append(append(login, "89860000000000000001"...), 0, 0)
	in := codec.NewReader(nc, 0)
	for _, f := range append([][]byte{frameOf(t, vin, codec.CommandVehicleLogin, login)}, frames...) {
		_, err = nc.Write(f)
		require.NoError(t, err)
		answer, err := in.ReadFrame()
		require.NoError(t, err)
		require.Equal(t, codec.FlagSuccess, answer.Flag())
	}
	return nc
}
