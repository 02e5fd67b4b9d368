package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command/client"
)

// TestMQTTDevices is the life of an MQTT device with the real program: registered from the command line, connected by a real
// client, commanded through the API, and everything it did in the streams.
func TestMQTTDevices(t *testing.T) {
	dir := dataDir(t)
	config := writeFile(t, "t.yaml", `
products:
  - {key: gbt32960}
  - key: meters1
    protocol: mqtt
    topics: [{topic: user/get, permission: subscribe}, {topic: user/update, permission: publish}]
`)
	secret := strings.Repeat("5", 32)
	code, stdout, stderr := tboxgate(t, "deviceName,deviceSecret\nmeter-02,"+secret+"\nmeter-03,\nno\n", "devices", "import", "--data-dir", dir, "--config", config)
	require.Equal(t, 1, code, "one is not valid")
	require.Equal(t, "tboxgate: devices import: mqttdevice: not valid: the device name \"no\" has not 4 to 32 of the characters A-Z a-z 0-9 - _ @ . : only\n", stderr)
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{{"productKey", "deviceName", "deviceSecret"}, {"meters1", "meter-02", secret}}, rows[:2])
	require.Len(t, rows[2][2], 32)

	g := serve(t, dir, "--config", config, "--mqtt-listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--access-key", "test:testsecret")
	require.Len(t, g.Addresses.MQTT, 1)
	require.Contains(t, g.stdout.String(), "  MQTT      "+g.Addresses.MQTT[0]+"\n")
	var created struct{ DeviceSecret string }
	require.NoError(t, json.Unmarshal([]byte(ok(t, "devices", "create", "--data-dir", dir, "--product", "meters1", "--name", "meter-01", "--json")), &created))
	code, _, stderr = tboxgate(t, "", "devices", "create", "--data-dir", dir, "--name", "meter-01")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: mqttdevice: the device is registered already: meter-01 of product meters1\n", stderr)
	code, _, stderr = tboxgate(t, "", "devices", "disable", "--data-dir", dir, "--product", "gbt32960", "meter-01")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: \"gbt32960\" is no product of MQTT devices (protocol: mqtt); the gateway's products are: gbt32960, meters1\n", stderr)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	api, err := client.New(client.Options{BaseURL: "http://" + g.Addresses.API, AccessKeyID: "test", AccessKeySecret: "testsecret"})
	require.NoError(t, err)
	const topic = "/meters1/meter-01/user/get"
	message := client.Message{ProductKey: "meters1", DeviceName: "meter-01", Topic: topic, Payload: []byte("now")}
	refused := func(want error) {
		t.Helper()
		_, err := api.Publish(ctx, message)
		require.ErrorIs(t, err, want)
	}
	status := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			got, _, err := api.Status(ctx, "meters1", "meter-01")
			require.NoError(t, err)
			return got == want
		}, patience, 10*time.Millisecond)
	}
	status(client.StatusUnactive)
	refused(client.ErrInactive)

	got := make(chan string, 10)
	device := meter(g.Addresses.MQTT[0], created.DeviceSecret)
	done := func(token paho.Token) {
		t.Helper()
		require.True(t, token.WaitTimeout(patience))
		require.NoError(t, token.Error())
	}
	done(device.Connect())
	defer device.Disconnect(0)
	status(client.StatusOnline)
	refused(client.ErrNotSubscribed)
	done(device.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
	id, err := api.Publish(ctx, message)
	require.NoError(t, err)
	require.Equal(t, "now", <-got)
	r, err := api.Wait(ctx, "meters1", id)
	require.NoError(t, err)
	require.Equal(t, "answered", r.State)
	require.Equal(t, "message", r.Command)
	require.Equal(t, topic, r.Topic)

	message.Topic = "/meters1/meter-01/user/update"
	_, err = api.Publish(ctx, message)
	require.ErrorContains(t, err, "may not subscribe to the topic")
	message.Topic = "/meters1/meter-02/user/get"
	refused(client.ErrParameter)
	message.Topic, message.Payload = topic, make([]byte, 256<<10)
	refused(client.ErrParameter)
	message.Payload = []byte("now")

	done(device.Publish("/meters1/meter-01/user/update", 1, false, `{"kWh":7.5}`))
	done(device.Publish("/meters1/meter-01/user/update", 1, false, []byte{0xFF, 0}))
	_, body := get(t, "http://"+g.Addresses.Admin+"/metrics")
	require.Contains(t, body, "tboxgate_mqtt_sessions 1\n")
	require.Contains(t, body, `tboxgate_mqtt_messages_total{direction="up"} 2`)
	require.Contains(t, body, `tboxgate_commands_total{command="message",result="answered"} 1`)
	require.Contains(t, body, `tboxgate_commands_total{command="control",result="answered"} 0`)

	require.Empty(t, ok(t, "devices", "disable", "--data-dir", dir, "meter-01"))
	status(client.StatusDisable)
	refused(client.ErrDisabled)
	require.Eventually(t, func() bool { return !device.IsConnectionOpen() }, patience, time.Millisecond)
	require.Regexp(t, `meter-01 .*  meters1 .*  DISABLE: kicked\nmeter-02 .*  UNACTIVE\n`, ok(t, "devices", "list", "--data-dir", dir))
	token := device.Connect()
	require.True(t, token.WaitTimeout(patience))
	require.Error(t, token.Error())
	require.Empty(t, ok(t, "devices", "enable", "--data-dir", dir, "meter-01"))
	done(device.Connect())

	nc, err := natsgo.Connect("nats://" + g.Addresses.NATS)
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.Equal(t, canonical(t,
		`gbt32960.mqtt.meters1.meter-01 {"productKey":"meters1","deviceName":"meter-01","topic":"/meters1/meter-01/user/update","qos":1,"payload":"{\"kWh\":7.5}"}`,
		`gbt32960.mqtt.meters1.meter-01 {"productKey":"meters1","deviceName":"meter-01","topic":"/meters1/meter-01/user/update","qos":1,"payloadBase64":"/wA="}`), stored(t, js, "GBT32960_MQTT", ">", 2))
	require.Equal(t, canonical(t,
		`gbt32960.event.meter-01.online {"deviceName":"meter-01","productKey":"meters1","protocol":"mqtt","reason":"login"}`,
		`gbt32960.event.meter-01.command {"productKey":"meters1","deviceName":"meter-01","command":"message","topic":"`+topic+`","state":"sent","accessKeyId":"test","payload":"bm93"}`,
		`gbt32960.event.meter-01.command {"productKey":"meters1","deviceName":"meter-01","command":"message","topic":"`+topic+`","state":"answered","accessKeyId":"test"}`,
		`gbt32960.event.meter-01.offline {"deviceName":"meter-01","productKey":"meters1","protocol":"mqtt","reason":"kicked"}`,
		`gbt32960.event.meter-01.refused {"deviceName":"meter-01","productKey":"meters1","login":"mqtt","reason":"disabled"}`,
		`gbt32960.event.meter-01.online {"deviceName":"meter-01","productKey":"meters1","protocol":"mqtt","reason":"login"}`), stored(t, js, "GBT32960_EVENTS", "gbt32960.event.meter-01.>", 6))

	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
	require.NotContains(t, g.stderr.String(), created.DeviceSecret)
	seen := checkStore(t, dir)
	for _, name := range []string{"mqtt-message", "mqtt-presence", "mqtt-refused", "mqtt-command", "mqtt-device", "mqtt-last", "result"} {
		require.Positive(t, seen[name], name)
	}
	require.Regexp(t, `meter-01 .*  OFFLINE: drain\n`, ok(t, "devices", "list", "--data-dir", dir, "--config", config))
	require.Empty(t, ok(t, "devices", "delete", "--data-dir", dir, "--config", config, "meter-01"))
}

// meter is the device meter-01 of the product meters1.
func meter(address, secret string) paho.Client {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("clientIddevdeviceNamemeter-01productKeymeters1"))
	return paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetAutoReconnect(false).
		SetClientID("dev|securemode=3,signmethod=hmacsha256|").SetUsername("meter-01&meters1").SetPassword(hex.EncodeToString(mac.Sum(nil))))
}

// stored reads the first n messages of a stream, each its subject and its JSON.
func stored(t *testing.T, js jetstream.JetStream, stream, subject string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := jetstream.OrderedConsumerConfig{}
	if subject != ">" {
		cfg.FilterSubjects = []string{subject}
	}
	c, err := js.OrderedConsumer(ctx, stream, cfg)
	require.NoError(t, err)
	var list []string
	for len(list) < n {
		batch, err := c.Fetch(n-len(list), jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		for m := range batch.Messages() {
			list = append(list, m.Subject()+" "+string(m.Data()))
		}
		require.NoError(t, batch.Error())
	}
	return canonical(t, list...)
}

// canonical sorts the keys of each message's JSON and leaves out those that differ from run to run.
func canonical(t *testing.T, messages ...string) []string {
	t.Helper()
	list := make([]string, len(messages))
	for i, m := range messages {
		subject, text, _ := strings.Cut(m, " ")
		var keys map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &keys), m)
		for _, key := range []string{"receivedAt", "at", "node", "session", "remote", "messageId", "requestId"} {
			delete(keys, key)
		}
		sorted, err := json.Marshal(keys)
		require.NoError(t, err)
		list[i] = subject + " " + string(sorted)
	}
	return list
}
