package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
	"github.com/tboxgate/tboxgate/session/seal"
)

// externalNATS starts a NATS server of its own for several gateways and returns its address.
func externalNATS(t *testing.T) (address string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(patience))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.Addr().String()
}

// onNATS is a configuration file for a gateway on such a server.
func onNATS(t *testing.T, address, more string) (config string) {
	t.Helper()
	return writeFile(t, "t.yaml", "nats: {url: \"nats://"+address+"\", maxBytes: 1GiB}\n"+more)
}

// commonSealKey gives all gateways that the test starts one seal key.
func commonSealKey(t *testing.T) {
	t.Setenv(seal.KeyEnv, hex.EncodeToString(bytes.Repeat([]byte{7}, seal.KeySize)))
}

// TestCommandsAtAnyNode: a command sent at one gateway reaches a vehicle that is connected to another one, for as long as that
// gateway is there.
func TestCommandsAtAnyNode(t *testing.T) {
	commonSealKey(t)
	config := onNATS(t, externalNATS(t), "")
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

// TestMessagesAtAnyNode: a message sent at one gateway reaches an MQTT device that is connected to another one, and what hinders it
// there is told here.
func TestMessagesAtAnyNode(t *testing.T) {
	commonSealKey(t)
	config := onNATS(t, externalNATS(t), `
products:
  - {key: gbt32960}
  - {key: meters1, protocol: mqtt, topics: [{topic: user/get, permission: subscribe}]}
mqtt: {listeners: [{address: "127.0.0.1:0"}], packetSize: 2MiB}
api: {maxBody: 4MiB}
accessKeys: ["test:testsecret"]
`)
	one, two := dataDir(t), dataDir(t)
	a := serve(t, one, "--config", config, "--node", "one")
	b := serve(t, two, "--config", config, "--node", "two")
	var created struct{ DeviceSecret string }
	require.NoError(t, json.Unmarshal([]byte(ok(t, "devices", "create", "--data-dir", one, "--product", "meters1", "--name", "meter-01", "--json")), &created))

	device := meter(b.Addresses.MQTT[0], created.DeviceSecret)
	defer device.Disconnect(0)
	require.Eventually(t, func() bool { // node two hears of it
		token := device.Connect()
		return token.WaitTimeout(patience) && token.Error() == nil
	}, patience, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	api, err := client.New(client.Options{BaseURL: "http://" + a.Addresses.API, AccessKeyID: "test", AccessKeySecret: "testsecret"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // and node one that it is connected
		status, _, err := api.Status(ctx, "meters1", "meter-01")
		return err == nil && status == client.StatusOnline
	}, patience, 10*time.Millisecond)

	const topic = "/meters1/meter-01/user/get"
	message := client.Message{ProductKey: "meters1", DeviceName: "meter-01", Topic: topic, Payload: []byte("now")}
	_, err = api.Publish(ctx, message)
	require.ErrorIs(t, err, client.ErrNotSubscribed)
	got := make(chan []byte, 2)
	token := device.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) { got <- m.Payload() })
	require.True(t, token.WaitTimeout(patience))
	require.NoError(t, token.Error())
	for _, size := range []int{3, 700 << 10} {
		message.Payload = bytes.Repeat([]byte("n"), size)
		id, err := api.Publish(ctx, message)
		require.NoError(t, err)
		require.Equal(t, message.Payload, <-got)
		r, err := api.Wait(ctx, "meters1", id)
		require.NoError(t, err)
		require.Equal(t, "answered", r.State)
		require.Equal(t, topic, r.Topic)
	}

	message.Payload = make([]byte, 800<<10) // more than NATS takes in one message, with what goes around it
	near, err := client.New(client.Options{BaseURL: "http://" + b.Addresses.API, AccessKeyID: "test", AccessKeySecret: "testsecret"})
	require.NoError(t, err)
	for _, at := range []*client.Client{api, near} {
		_, err = at.Publish(ctx, message)
		require.ErrorIs(t, err, client.ErrParameter)
		require.Regexp(t, `: 819200 bytes, and its event takes at most 78[0-9]{4} by the max_payload of NATS`, err.Error())
	}

	// A call that somebody has recorded is not made again at the other one, even if it was refused.
	call := signedCall("test", "testsecret", map[string]string{
		"Action": "AsyncRRpc", "ProductKey": "meters1", "DeviceName": "meter-02", "TopicFullName": topic, "MessageContent": "bm93",
	})
	_, body := get(t, "http://"+a.Addresses.API+"/?"+call)
	require.Contains(t, body, `"iot.Device.NotExistedDevice"`)
	status, body := get(t, "http://"+b.Addresses.API+"/?"+call)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, `"SignatureNonceUsed"`)

	_, metrics := get(t, "http://"+a.Addresses.Admin+"/metrics")
	require.Contains(t, metrics, `tboxgate_commands_relayed_total{direction="out",outcome="accepted"} 2`)
	require.Contains(t, metrics, `tboxgate_commands_relayed_total{direction="out",outcome="refused"} 1`)
	_, metrics = get(t, "http://"+b.Addresses.Admin+"/metrics")
	require.Contains(t, metrics, `tboxgate_commands_relayed_total{direction="in",outcome="accepted"} 2`)
	for _, g := range []*gatewayProcess{b, a} {
		require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, g.exit(t), g.stderr.String())
	}
}

// signedCall is the query of a call with signature 1.
func signedCall(id, secret string, params map[string]string) string {
	query := url.Values{
		"AccessKeyId": {id}, "Format": {"JSON"}, "SignatureMethod": {signature.Method1}, "SignatureVersion": {signature.Version1},
		"SignatureNonce": {rand.Text()}, "Timestamp": {time.Now().UTC().Format(signature.TimeFormat)},
	}
	for name, value := range params {
		query.Set(name, value)
	}
	for name := range query {
		params[name] = query.Get(name)
	}
	query.Set("Signature", signature.Sign1(secret, signature.StringToSign(http.MethodGet, params)))
	return query.Encode()
}

// TestRelayBeforeVehicles: when vehicles and MQTT devices can connect to a gateway, the others reach it already.
func TestRelayBeforeVehicles(t *testing.T) {
	vehicles, devices := freeAddress(t), freeAddress(t)
	served := func(within time.Duration) bool {
		if c, err := net.Dial("tcp", vehicles); err == nil {
			return c.Close() == nil
		}
		c, err := net.Dial("tcp", devices) // which is bound earlier than served
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(within))
		_, _ = c.Write(make([]byte, 10)) // no packet of MQTT
		_, err = c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	asks := make(chan bool, 1) // whether somebody was served when the gateway began to hear the others
	address := tapNATS(t, externalNATS(t), "SUB TBOXGATE.NODE.two", func() {
		asks <- served(100 * time.Millisecond)
	})
	config := onNATS(t, address, "products: [{key: gbt32960}, {key: meters1, protocol: mqtt}]\n")
	g := serve(t, dataDir(t), "--config", config, "--node", "two", "--listen", vehicles, "--mqtt-listen", devices)
	require.False(t, <-asks)
	require.True(t, served(patience))
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// freeAddress is one at which nobody listens at the moment.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// tapNATS is a proxy before a server that calls seen before it passes the first line on that begins with a text.
func tapNATS(t *testing.T, to, text string, seen func()) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		running sync.WaitGroup
		once    sync.Once
	)
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			running.Go(func() {
				_, _ = io.Copy(c, s)
				_ = c.Close()
			})
			running.Go(func() {
				defer s.Close()
				lines := bufio.NewReader(c)
				for {
					line, err := lines.ReadBytes('\n') // also of what is no line, such as a message
					if bytes.HasPrefix(line, []byte(text)) {
						once.Do(seen)
					}
					if _, failed := s.Write(line); err != nil || failed != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return l.Addr().String()
}
