package kafka_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/kafka"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

// TestConformance runs the suite with every payload.
func TestConformance(t *testing.T) {
	for _, payload := range []sink.Payload{sink.PayloadJSON, sink.PayloadRaw, sink.PayloadBoth} {
		t.Run(string(payload), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Store {
				c := startCluster(t, kfake.SeedTopics(4, defaultTopics...))
				return sinktest.Store{
					Open:  func(t *testing.T) sink.Sink { return c.open(t, kafka.Options{Payload: payload}) },
					Read:  func(t *testing.T) []sinktest.Stored { return c.stored(t, payload) },
					Stop:  c.stop,
					Start: c.start,
				}
			})
		})
	}
}

// stored reads the topic that holds a payload's frames, with what was not decoded or is masked, and events.
func (c *cluster) stored(t *testing.T, payload sink.Payload) []sinktest.Stored {
	t.Helper()
	var all []sinktest.Stored
	for _, r := range c.records(t, defaultTopics...) {
		s := sinktest.Stored{VIN: string(r.Key), Body: r.Value}
		require.Equal(t, s.VIN, header(r, "vin"))
		switch r.Topic {
		case kafka.DefaultEvent:
			s.Kind = header(r, "kind")
		case kafka.DefaultRaw:
			s.Frame = r.Value
		case kafka.DefaultDLQ, kafka.DefaultDecoded:
			f, err := codec.EncodeJSON(nil, r.Value)
			if err == nil {
				if payload != sink.PayloadJSON {
					continue // its bytes are in the raw topic
				}
				s.Frame = f
			}
		}
		all = append(all, s)
	}
	return all
}

// TestTopics: what goes where, with which key and headers.
func TestTopics(t *testing.T) {
	encrypted := func() *sink.Record {
		f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2025, Command: codec.CommandRealtime, Flag: codec.FlagCommand,
			VIN: [codec.VINSize]byte([]byte("LTEST000000000002")), Encryption: codec.EncryptionSM4}, []byte("0123456789"))
		require.NoError(t, err)
		r := sinktest.Record(t, "LTEST000000000002", 1)
		r.Edition, r.Body = codec.Edition2025, f
		return r
	}
	for payload, want := range map[sink.Payload]map[string]int{
		sink.PayloadJSON: {kafka.DefaultDecoded: 1, kafka.DefaultDLQ: 1},
		sink.PayloadRaw:  {kafka.DefaultRaw: 2, kafka.DefaultDLQ: 1},
		sink.PayloadBoth: {kafka.DefaultRaw: 2, kafka.DefaultDecoded: 1, kafka.DefaultDLQ: 1},
	} {
		c := startCluster(t, kfake.SeedTopics(4, defaultTopics...))
		s := c.open(t, kafka.Options{Payload: payload})
		var to sinktest.Receipts
		plain := sinktest.Record(t, "LTEST000000000001", 7)
		require.False(t, s.Publish(plain, &to, 1))
		require.False(t, s.Publish(encrypted(), &to, 2))
		to.Wait(t, 2)
		got := map[string]int{}
		for _, r := range c.records(t, defaultTopics...) {
			got[r.Topic]++
			require.Equal(t, plain.ReceivedAt.UnixMilli(), r.Timestamp.UnixMilli())
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			expect := map[string]string{"edition": "2016", "command": "realtime", "vin": "LTEST000000000001", "collected": "2026-07-01T08:00:07+08:00",
				"received": "2026-07-01T00:00:00.123Z", "node": "gw1", "session": "000000000000ab12"}
			if string(r.Key) == "LTEST000000000002" {
				expect["edition"], expect["vin"], expect["problems"] = "2025", "LTEST000000000002", "encrypted"
				delete(expect, "collected")
			}
			require.Equal(t, expect, headers)
			switch r.Topic {
			case kafka.DefaultRaw:
				_, err := codec.ParseFrame(r.Value)
				require.NoError(t, err)
			case kafka.DefaultDLQ:
				require.Equal(t, "LTEST000000000002", string(r.Key))
				require.True(t, json.Valid(r.Value))
			default:
				require.Contains(t, string(r.Value), `"info":[{"type":"custom"`)
			}
		}
		require.Equal(t, want, got, string(payload))
		sinktest.Close(t, s)
	}
}

func TestTopicsByTemplate(t *testing.T) {
	names := []string{"car.LTEST000000000001.realtime", "ev.a_2Fb.online"}
	c := startCluster(t, kfake.SeedTopics(1, names...))
	s := c.open(t, kafka.Options{Decoded: "car.{vin}.{command}", DLQ: "dlq.{edition}", Event: "ev.{vin}.{kind}", Raw: "raw.{vin}"})
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 7), &to, 1)
	s.PublishEvent(&sink.Event{VIN: "a/b", Kind: "online", Body: []byte("{}")}, &to, 2)
	to.Wait(t, 2)
	require.Len(t, c.records(t, names...), 2)
	sinktest.Close(t, s)
}

// TestMissingTopic: said clearly, nothing confirmed, and mended by whoever creates the topic.
func TestMissingTopic(t *testing.T) {
	c := startCluster(t, kfake.SeedTopics(1, kafka.DefaultRaw, kafka.DefaultEvent, kafka.DefaultDLQ))
	s := c.open(t, kafka.Options{})
	missing := "topic gbt32960.decoded.v1 does not exist: create it, or set createTopics"
	require.EventuallyWithT(t, func(t *assert.CollectT) { require.ErrorContains(t, s.Healthy(), missing) }, sinktest.Limit, time.Millisecond)
	var to sinktest.Receipts
	for i := range 10 {
		s.Publish(sinktest.Record(t, "LTEST000000000001", i), &to, uint64(i))
	}
	require.Eventually(t, func() bool { return s.Stats().Retried > 0 }, sinktest.Limit, time.Millisecond)
	require.Zero(t, to.Count())
	require.ErrorContains(t, s.Healthy(), missing)

	other := c.open(t, kafka.Options{Partitions: 3}) // another gateway that may create them
	to.Wait(t, 10)
	require.Eventually(t, func() bool { return s.Healthy() == nil && other.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	for i, r := range c.records(t, kafka.DefaultDecoded) {
		f, err := codec.EncodeJSON(nil, r.Value)
		require.NoError(t, err)
		require.Equal(t, i, sinktest.Number(t, f))
	}
	sinktest.Close(t, s)
	sinktest.Close(t, other)
}

// TestCreatesTopics makes those that are known at the start, and those that records name.
func TestCreatesTopics(t *testing.T) {
	c := startCluster(t)
	s := c.open(t, kafka.Options{Partitions: 3, Replicas: 2, Decoded: "car.{vin}"})
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 1), &to, 1)
	to.Wait(t, 1)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	for _, name := range []string{"car.LTEST000000000001", kafka.DefaultRaw, kafka.DefaultEvent, kafka.DefaultDLQ} {
		require.Len(t, c.PartitionInfos(name), 3, name)
	}
	sinktest.Close(t, s)
}

// TestCreatingTopicsIsNoTrouble: a start that makes its topics warns of nothing.
func TestCreatingTopicsIsNoTrouble(t *testing.T) {
	c := startCluster(t)
	var log lockedText
	s, err := kafka.New(kafka.Options{Brokers: c.ListenAddrs(), Payload: sink.PayloadBoth, Partitions: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	sinktest.Close(t, s)
	require.Equal(t, len(defaultTopics), strings.Count(log.String(), "topic created"))
	require.Equal(t, 1, strings.Count(log.String(), "records are stored"))
	require.NotContains(t, log.String(), "WARN")
}

// lockedText is written by several.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestRefusedRecords: what a broker refuses is repeated until it takes it; nothing is confirmed before.
func TestRefusedRecords(t *testing.T) {
	c := startCluster(t, kfake.SeedTopics(1, defaultTopics...))
	refused := 0
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if refused++; refused > 3 {
			return nil, nil, false
		}
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	s := c.open(t, kafka.Options{Payload: sink.PayloadBoth})
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 1), &to, 1)
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		require.ErrorContains(t, s.Healthy(), kerr.TopicAuthorizationFailed.Message)
	}, sinktest.Limit, time.Millisecond)
	to.Wait(t, 1)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	require.Positive(t, s.Stats().Retried)
	require.Len(t, c.records(t, kafka.DefaultRaw, kafka.DefaultDecoded), 2)
	sinktest.Close(t, s)
}

func TestSASL(t *testing.T) {
	for mechanism, kind := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		c := startCluster(t, kfake.EnableSASL(), kfake.Superuser(kind, "gateway", "secret-word"), kfake.SeedTopics(1, defaultTopics...))
		s := c.open(t, kafka.Options{Mechanism: mechanism, User: "gateway", Password: "secret-word"})
		var to sinktest.Receipts
		s.Publish(sinktest.Record(t, "LTEST000000000001", 1), &to, 1)
		to.Wait(t, 1)
		sinktest.Close(t, s)

		wrong := c.open(t, kafka.Options{Mechanism: mechanism, User: "gateway", Password: "wrong-word"})
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			require.ErrorContains(t, wrong.Healthy(), "no broker of")
			require.NotContains(t, wrong.Healthy().Error(), "has answered yet")
		}, sinktest.Limit, time.Millisecond)
		require.NotContains(t, wrong.Healthy().Error(), "wrong-word")
	}
}

func TestTLS(t *testing.T) {
	// A certificate for 127.0.0.1 as tests of net/http use it.
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	c := startCluster(t, kfake.TLS(&tls.Config{Certificates: web.TLS.Certificates}), kfake.SeedTopics(1, defaultTopics...))
	s := c.open(t, kafka.Options{TLS: web.Client().Transport.(*http.Transport).TLSClientConfig})
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 1), &to, 1)
	to.Wait(t, 1)
	sinktest.Close(t, s)

	unknown := c.open(t, kafka.Options{TLS: &tls.Config{}})
	require.EventuallyWithT(t, func(t *assert.CollectT) { require.ErrorContains(t, unknown.Healthy(), "certificate") }, sinktest.Limit, time.Millisecond)
}

func TestCompression(t *testing.T) {
	for _, kind := range []string{"zstd", "lz4", "snappy", "gzip", "none"} {
		c := startCluster(t, kfake.SeedTopics(1, defaultTopics...))
		s := c.open(t, kafka.Options{Compression: kind})
		var to sinktest.Receipts
		s.Publish(sinktest.Record(t, "LTEST000000000001", 1), &to, 1)
		to.Wait(t, 1)
		require.Len(t, c.records(t, kafka.DefaultDecoded), 1)
		sinktest.Close(t, s)
	}
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		opts kafka.Options
		says string
	}{
		{kafka.Options{}, "no broker given"},
		{kafka.Options{Brokers: []string{"a:1"}, Compression: "lzma"}, `compression "lzma"`},
		{kafka.Options{Brokers: []string{"a:1"}, Mechanism: "gssapi"}, `sasl "gssapi"`},
		{kafka.Options{Brokers: []string{"a:1"}, DLQ: "a/b"}, "topics.dlq"},
	} {
		_, err := kafka.New(c.opts)
		require.ErrorContains(t, err, c.says)
	}
}

// TestCloseDoesNotWaitForAbsentBrokers beyond its context.
func TestCloseDoesNotWaitForAbsentBrokers(t *testing.T) {
	c := startCluster(t, kfake.SeedTopics(1, defaultTopics...))
	c.stop(t)
	s := c.open(t, kafka.Options{})
	var to sinktest.Receipts
	s.Publish(sinktest.Record(t, "LTEST000000000001", 1), &to, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorContains(t, s.Close(ctx), "1 not stored")
	require.Zero(t, to.Count())
}
