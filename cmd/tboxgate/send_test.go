package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
)

// loginVehicle connects and logs in, and returns when the gateway has answered.
func loginVehicle(t *testing.T, address, vin string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	unit := append(codec.AppendTime(nil, time.Now()), "\x00\x0189860000000000000001\x00\x00"...)
	id, err := codec.ParseVIN(vin)
	require.NoError(t, err)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandVehicleLogin, Flag: codec.FlagCommand,
		VIN: id, Encryption: codec.EncryptionNone}, unit)
	require.NoError(t, err)
	_, err = c.Write(f)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(c, make([]byte, codec.MinFrameSize+codec.TimeSize))
	require.NoError(t, err)
	return c
}

// TestSendEndings: a command that is not answered with success says why on standard error, with exit status 1, and its
// JSON is there all the same.
func TestSendEndings(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir, "--dev")
	// The times of the JSON have three decimals, whatever they are.
	const times = `"sentAt":"[^"]{19}\.\d{3}Z"(,"answeredAt":"[^"]{19}\.\d{3}Z")?`
	for i, tt := range []struct {
		name   string
		do     func(vin string, c net.Conn, command codec.Frame)
		args   []string
		state  string
		stderr string
	}{
		{name: "rejected", state: "rejected", stderr: "rejected: the vehicle answered with the flag error", do: func(_ string, c net.Conn, f codec.Frame) {
			_, err := c.Write(codec.AppendAnswer(nil, f, codec.FlagError, f.Unit()[:codec.TimeSize]))
			require.NoError(t, err)
		}},
		{name: "disconnected", state: "disconnected", stderr: "disconnected: the vehicle's session ended before an answer came (peerClosed)",
			do: func(_ string, c net.Conn, _ codec.Frame) { require.NoError(t, c.Close()) }},
		{name: "superseded", state: "superseded", stderr: "superseded: the vehicle logged in over another connection before an answer came (takeover)",
			do: func(vin string, _ net.Conn, _ codec.Frame) { loginVehicle(t, g.Addresses.Vehicles[0], vin) }},
		{name: "no answer in time", state: "sent", stderr: "no answer within 200ms; it goes on, and GetAsyncRRpcResult tells what becomes of it",
			args: []string{"--timeout", "200ms"}, do: func(string, net.Conn, codec.Frame) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vin := fmt.Sprintf("LTEST00000000010%d", i)
			c := loginVehicle(t, g.Addresses.Vehicles[0], vin)
			send := start(t, append([]string{"send", "query", "--data-dir", dir, "--vin", vin, "--params", "1"}, tt.args...)...)
			f, err := codec.NewReader(c, 0).ReadFrame()
			require.NoError(t, err)
			require.Equal(t, codec.CommandParamQuery, f.Command())
			tt.do(vin, c, f)
			require.Equal(t, 1, send.exit(t), send.stderr.String())
			require.Regexp(t, `^\{"messageId":\d+,"vin":"`+vin+`","state":"`+tt.state+`",.*`+times, send.stdout.String())
			var a struct{ MessageID int64 }
			require.NoError(t, json.Unmarshal([]byte(send.stdout.String()), &a))
			require.Equal(t, fmt.Sprintf("tboxgate: command %d to %s: %s\n", a.MessageID, vin, tt.stderr), send.stderr.String())
		})
	}

	loginVehicle(t, g.Addresses.Vehicles[0], "LTEST000000000103")
	require.Regexp(t, `"loginAt": "[^"]{19}\.\d{3}Z",\n  "lastSeenAt": "[^"]{19}\.\d{3}Z"`, ok(t, "sessions", "show", "--data-dir", dir, "LTEST000000000103"))
}

func TestEndingOf(t *testing.T) {
	for want, r := range map[string]client.Result{
		"": {State: "answered", Flag: "success", Reason: "vehicleLeft"},
		"the vehicle answered with the flag 0x77":                     {State: "rejected", Flag: "0x77"},
		"the vehicle did not answer":                                  {State: "timedOut"},
		"the vehicle did not answer (linkBusy)":                       {State: "timedOut", Reason: "linkBusy"},
		"the vehicle's session ended before an answer came (drain)":   {State: "disconnected", Reason: "drain"},
		"a state that this program does not know (of another planet)": {State: "lost", Reason: "of another planet"},
	} {
		require.Equal(t, want, endingOf(r))
	}
}
