package mqtt_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/mqtt"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

func TestConformance(t *testing.T) {
	for _, payload := range []sink.Payload{sink.PayloadJSON, sink.PayloadRaw, sink.PayloadBoth} {
		t.Run(string(payload), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Store {
				b := startBroker(t, &testBroker{})
				return sinktest.Store{
					Open:  func(t *testing.T) sink.Sink { return b.open(t, mqtt.Options{Payload: payload}) },
					Read:  b.stored,
					Stop:  b.stop,
					Start: b.start,
				}
			})
		})
	}
}

// one publishes one record and returns the message that the broker got.
func one(t *testing.T, b *testBroker, o mqtt.Options) (topic string, body []byte, properties map[string]string) {
	t.Helper()
	s := b.open(t, o)
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 7), &to, 1)
	to.Wait(t, 1)
	sinktest.Close(t, s)
	all := b.messages()
	require.Len(t, all, 1)
	properties = map[string]string{}
	for _, p := range all[0].Properties.User {
		properties[p.Key] = p.Val
	}
	return all[0].TopicName, all[0].Payload, properties
}

func TestMessages(t *testing.T) {
	topic, body, properties := one(t, startBroker(t, &testBroker{}), mqtt.Options{})
	require.Equal(t, "gbt32960/LTEST000000000001/upstream/realtime", topic)
	require.Contains(t, string(body), `"node":"gw1"`)
	require.NotContains(t, string(body), `"raw"`)
	require.Empty(t, properties)

	_, body, properties = one(t, startBroker(t, &testBroker{}), mqtt.Options{Payload: sink.PayloadRaw})
	require.Equal(t, sinktest.Record(t, "LTEST000000000001", 7).Body, body)
	require.Equal(t, map[string]string{"edition": "2016", "command": "realtime", "vin": "LTEST000000000001", "collected": "2026-07-01T08:00:07+08:00",
		"received": "2026-07-01T00:00:00.123Z", "node": "gw1", "session": "000000000000ab12"}, properties)

	// Texts of MQTT are UTF-8 without control characters; others stand as in topics.
	b := startBroker(t, &testBroker{})
	s := b.open(t, mqtt.Options{Payload: sink.PayloadRaw})
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "\xff\n", 7), &to, 1)
	to.Wait(t, 1)
	sinktest.Close(t, s)
	properties = map[string]string{}
	for _, p := range b.messages()[0].Properties.User {
		properties[p.Key] = p.Val
	}
	require.Equal(t, "=FF=0A", properties["vin"])

	topic, body, _ = one(t, startBroker(t, &testBroker{}), mqtt.Options{Payload: sink.PayloadBoth, Topic: "cars/{edition}/{vin}"})
	require.Equal(t, "cars/2016/LTEST000000000001", topic)
	require.Contains(t, string(body), `"raw":"2323`)
}

// TestRefused: a broker that says no is asked again until it says yes.
func TestRefused(t *testing.T) {
	b := startBroker(t, &testBroker{})
	var refuse atomic.Bool
	refuse.Store(true)
	b.mu.Lock()
	b.refuse = func(topic string) bool { return refuse.Load() && strings.HasSuffix(topic, "1/upstream/realtime") }
	b.mu.Unlock()
	s := b.open(t, mqtt.Options{})
	var to sinktest.Receipts
	for n := range 5 {
		s.Publish(sinktest.Record(t, "LTEST000000000001", n), &to, uint64(n))
	}
	s.Publish(sinktest.Record(t, "LTEST000000000002", 0), &to, 5)
	require.EventuallyWithT(t, func(t *assert.CollectT) { assert.ErrorContains(t, s.Healthy(), "quota exceeded (0x97)") }, sinktest.Limit, time.Millisecond)
	to.Wait(t, 1) // the other vehicle's
	refuse.Store(false)
	to.Wait(t, 6)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	next := 0
	for _, m := range b.stored(t) {
		if m.VIN == "LTEST000000000001" {
			require.Equal(t, next, sinktest.Number(t, m.Frame))
			next++
		}
	}
	require.Equal(t, 5, next)
	sinktest.Close(t, s)
}

// TestTooLarge: a message that the broker would throw the gateway out for is not sent.
func TestTooLarge(t *testing.T) {
	b := startBroker(t, &testBroker{most: 500})
	s := b.open(t, mqtt.Options{Payload: sink.PayloadRaw})
	var to sinktest.Receipts
	large := sinktest.Record(t, "LTEST000000000001", 0)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand,
		VIN: large.VIN, Encryption: codec.EncryptionNone}, make([]byte, 600))
	require.NoError(t, err)
	large.Body = f
	s.Publish(large, &to, 1)
	s.Publish(sinktest.Record(t, "LTEST000000000002", 0), &to, 2)
	require.EventuallyWithT(t, func(t *assert.CollectT) { assert.ErrorContains(t, s.Healthy(), "larger than the broker takes") }, sinktest.Limit, time.Millisecond)
	to.Wait(t, 1)
	require.Equal(t, []uint64{2}, to.Tickets())
	require.Len(t, b.messages(), 1)
}

// TestReceiveMaximum: a broker that takes few messages at once is not given more.
func TestReceiveMaximum(t *testing.T) {
	b := startBroker(t, &testBroker{caps: func(c *broker.Capabilities) { c.ReceiveMaximum = 2 }})
	s := b.open(t, mqtt.Options{})
	var to sinktest.Receipts
	for n := range 300 {
		s.Publish(sinktest.Record(t, "LTEST00000000"+string(rune('A'+n%26))+"001", n), &to, uint64(n))
	}
	to.Wait(t, 300)
	require.Zero(t, s.Stats().Retried)
	sinktest.Close(t, s)
}

func TestPasswords(t *testing.T) {
	b := startBroker(t, &testBroker{user: "gateway"})
	s := b.open(t, mqtt.Options{User: "gateway", Password: "secret-word"})
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 0), &to, 1)
	to.Wait(t, 1)
	sinktest.Close(t, s)

	wrong := b.open(t, mqtt.Options{User: "gateway", Password: "wrong-word"})
	require.EventuallyWithT(t, func(t *assert.CollectT) { assert.ErrorContains(t, wrong.Healthy(), "no connection to the broker") }, sinktest.Limit, time.Millisecond)
	require.NotContains(t, wrong.Healthy().Error(), "wrong-word")
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	b := startBroker(t, &testBroker{tls: &tls.Config{Certificates: web.TLS.Certificates}})
	s := b.open(t, mqtt.Options{TLS: web.Client().Transport.(*http.Transport).TLSClientConfig})
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 0), &to, 1)
	to.Wait(t, 1)
	sinktest.Close(t, s)

	unknown := b.open(t, mqtt.Options{TLS: &tls.Config{}})
	require.EventuallyWithT(t, func(t *assert.CollectT) { assert.ErrorContains(t, unknown.Healthy(), "certificate") }, sinktest.Limit, time.Millisecond)
}

func TestBadOptions(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:1883", "http://a", "mqtt://", "mqtt://user:secret-word@a:1883", "mqtt://a,tcp://b"} {
		_, err := mqtt.New(mqtt.Options{URL: url})
		require.ErrorIs(t, err, mqtt.ErrURL, url)
		require.NotContains(t, err.Error(), "secret-word")
	}
	_, err := mqtt.New(mqtt.Options{URL: "mqtt://a", Topic: "a/#"})
	require.ErrorContains(t, err, "mqtt: topic")
	_, err = mqtt.New(mqtt.Options{URL: "mqtt://a", EventTopic: "{command}"})
	require.ErrorContains(t, err, "mqtt: eventTopic")
}
