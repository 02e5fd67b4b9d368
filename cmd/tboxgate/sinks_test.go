package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tboxgate/tboxgate/codec"
)

const sinkVIN = "LTEST000000000001"

// sinkVehicle is one vehicle with hands of its own: it sends when told to and sees each answer.
type sinkVehicle struct {
	t  *testing.T
	nc net.Conn
	in *codec.Reader
}

func connectSinkVehicle(t *testing.T, address string) *sinkVehicle {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	v := &sinkVehicle{t, nc, codec.NewReader(nc, 0)}
	v.send(codec.CommandVehicleLogin, append([]byte{0, 1}, "89860000000000000001\x00\x00"...)...)
	return v
}

// loginSinkVehicle logs in and waits for the answer.
func loginSinkVehicle(t *testing.T, address string) *sinkVehicle {
	v := connectSinkVehicle(t, address)
	v.answered(codec.CommandVehicleLogin)
	return v
}

func (v *sinkVehicle) send(cmd codec.Command, unit ...byte) {
	v.t.Helper()
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: cmd, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte(sinkVIN)), Encryption: codec.EncryptionNone}, append(codec.AppendTime(nil, time.Now()), unit...))
	require.NoError(v.t, err)
	_, err = v.nc.Write(f)
	require.NoError(v.t, err)
}

// report sends a report with a number.
func (v *sinkVehicle) report(n int) { v.send(codec.CommandRealtime, 0x80, 0, 2, byte(n>>8), byte(n)) }

func (v *sinkVehicle) answered(cmd codec.Command) {
	v.t.Helper()
	require.NoError(v.t, v.nc.SetReadDeadline(time.Now().Add(patience)))
	f, err := v.in.ReadFrame()
	require.NoError(v.t, err)
	require.Equal(v.t, cmd, f.Command())
	require.Equal(v.t, codec.FlagSuccess, f.Flag())
}

// silent wants no answer for a while. It reads not through the reader, which would remember the error.
func (v *sinkVehicle) silent() {
	v.t.Helper()
	require.NoError(v.t, v.nc.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	n, err := v.nc.Read(make([]byte, 1))
	require.Zero(v.t, n)
	require.ErrorIs(v.t, err, os.ErrDeadlineExceeded, "answered without a store")
}

// leave hangs up, so that the gateway has nobody to wait for.
func (v *sinkVehicle) leave() { require.NoError(v.t, v.nc.Close()) }

// number is what report sent, in the JSON of the record.
func number(t *testing.T, text []byte) int {
	t.Helper()
	var is struct {
		Info []struct{ Data string }
	}
	require.NoError(t, json.Unmarshal(text, &is), string(text))
	require.Len(t, is.Info, 1)
	n := 0
	_, err := fmt.Sscanf(is.Info[0].Data, "%x", &n)
	require.NoError(t, err)
	return n
}

// requireReports wants the reports from 0 to n-1 once and in order; with again, repetitions may stand between them.
func requireReports(t *testing.T, got []int, n int, again bool) {
	t.Helper()
	seen := map[int]bool{}
	for _, k := range got {
		if again && seen[k] {
			continue
		}
		require.False(t, seen[k], "report %d twice", k)
		require.Equal(t, len(seen), k, "order")
		seen[k] = true
	}
	require.Len(t, seen, n)
}

func (g *gatewayProcess) ready(t *testing.T, want int) (text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, body := get(t, "http://"+g.Addresses.Admin+"/readyz")
		text = body
		return status == want
	}, patience, 20*time.Millisecond)
	return text
}

func (g *gatewayProcess) interrupt(t *testing.T) {
	t.Helper()
	require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, g.exit(t), g.stderr.String())
}

// metric reads one line of /metrics.
func (g *gatewayProcess) metric(t *testing.T, name string) string {
	t.Helper()
	_, text := get(t, "http://"+g.Addresses.Admin+"/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// testKafka is Kafka in this process, on a listener that can be taken away. Its records outlive that.
type testKafka struct {
	*kfake.Cluster
	mu    sync.Mutex
	away  bool
	conns []net.Conn
}

type testKafkaListener struct {
	net.Listener
	k *testKafka
}

func (l testKafkaListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.k.conns = append(l.k.conns, nc)
	if l.k.away {
		_ = nc.Close()
	}
	return nc, nil
}

func startKafka(t *testing.T, opts ...kfake.Opt) *testKafka {
	t.Helper()
	k := &testKafka{}
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return testKafkaListener{l, k}, err
	}))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	k.Cluster = c
	return k
}

func (k *testKafka) setAway(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
	for _, nc := range k.conns {
		_ = nc.Close()
	}
	k.conns = nil
}

// records reads a topic.
func (k *testKafka) records(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	left := 0
	ends.Each(func(o kadm.ListedOffset) { left += int(o.Offset) })
	var all []*kgo.Record
	for len(all) < left {
		f := cl.PollFetches(ctx)
		require.NoError(t, f.Err())
		all = append(all, f.Records()...)
	}
	return all
}

// reports returns the numbers of the reports in the decoded topic.
func (k *testKafka) reports(t *testing.T) (all []int) {
	t.Helper()
	for _, r := range k.records(t, "gbt32960.decoded.v1") {
		require.Equal(t, sinkVIN, string(r.Key))
		if bytes.Contains(r.Value, []byte(`"command":"realtime"`)) {
			all = append(all, number(t, r.Value))
		}
	}
	return all
}

// TestKafkaBesideTheStore: `serve --sink nats --sink kafka`. Kafka goes away: the vehicles do not notice, and what it
// missed it gets, across a kill of the gateway as well.
func TestKafkaBesideTheStore(t *testing.T) {
	k := startKafka(t)
	config := writeFile(t, "t.yaml", fmt.Sprintf("nats: {maxBytes: 1GiB}\nsinks:\n- type: nats\n  payload: raw\n- type: kafka\n  brokers: [%q]\n"+
		"  createTopics: {partitions: 3}\n", k.ListenAddrs()[0]))
	dir := dataDir(t)
	args := []string{"--dev", "--config", config, "--sink", "nats", "--sink", "kafka"}
	g := serve(t, dir, args...)
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	sent := 0
	reports := func(n int) {
		t.Helper()
		for range n {
			v.report(sent)
			sent++
		}
		for range n {
			v.answered(codec.CommandRealtime)
		}
	}
	caughtUp := func() {
		t.Helper()
		require.Eventually(t, func() bool { return g.metric(t, `tboxgate_sink_lag_messages{sink="kafka",stream="GBT32960"}`) == "0" }, patience, 50*time.Millisecond)
	}
	reports(50)
	caughtUp()

	k.setAway(true)
	reports(100)
	g.ready(t, 200)
	require.Eventually(t, func() bool { return g.metric(t, `tboxgate_sink_healthy{sink="kafka"}`) == "0" }, patience, 50*time.Millisecond)
	require.Equal(t, "1", g.metric(t, "tboxgate_store_healthy"))

	// The gateway is killed meanwhile, and Kafka is still away when it starts again.
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGKILL))
	<-g.ended
	g = serve(t, dir, args...)
	v = loginSinkVehicle(t, g.Addresses.Vehicles[0])
	reports(50)
	k.setAway(false)
	caughtUp()
	require.Eventually(t, func() bool { return g.metric(t, `tboxgate_sink_healthy{sink="kafka"}`) == "1" }, patience, 50*time.Millisecond)
	require.Equal(t, "0", g.metric(t, `tboxgate_sink_lost_total{sink="kafka",stream="GBT32960"}`))
	requireReports(t, k.reports(t), sent, true)
	v.leave()
	g.interrupt(t)

	// Events came along: this vehicle's two lives, the first of which the gateway ended itself.
	var reasons []string
	for _, r := range k.records(t, "gbt32960.event.v1") {
		var e struct{ Reason string }
		require.NoError(t, json.Unmarshal(r.Value, &e))
		if len(reasons) == 0 || reasons[len(reasons)-1] != e.Reason {
			reasons = append(reasons, e.Reason)
		}
	}
	require.Equal(t, []string{"login", "gatewayRestart", "login"}, reasons[:3])
}

// TestKafkaAnswers: Kafka is the one sink. While it is away nothing is answered and /readyz says why; nothing is lost.
func TestKafkaAnswers(t *testing.T) {
	k := startKafka(t)
	config := writeFile(t, "t.yaml", fmt.Sprintf("nats: {maxBytes: 1GiB}\nsinks:\n- type: kafka\n  brokers: [%q]\n  payload: both\n"+
		"  createTopics: {partitions: 3}\n", k.ListenAddrs()[0]))
	g := serve(t, dataDir(t), "--dev", "--config", config)
	g.ready(t, 200)
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	for n := range 20 {
		v.report(n)
		v.answered(codec.CommandRealtime)
	}
	requireReports(t, k.reports(t), 20, false)
	require.Len(t, k.records(t, "gbt32960.raw.v1"), 21)

	k.setAway(true)
	require.Contains(t, g.ready(t, 503), "sink kafka: ")
	for n := 20; n < 40; n++ {
		v.report(n)
	}
	v.silent()
	k.setAway(false)
	for range 20 {
		v.answered(codec.CommandRealtime)
	}
	g.ready(t, 200)
	requireReports(t, k.reports(t), 40, true)

	require.Eventually(t, func() bool { return len(k.records(t, "gbt32960.event.v1")) > 0 }, patience, 50*time.Millisecond)
	require.Equal(t, "online", string(k.records(t, "gbt32960.event.v1")[0].Headers[1].Value))
	code, _, stderr := tboxgate(t, "", "gaps", "--data-dir", g.DataDir, "--vin", sinkVIN)
	require.NotZero(t, code)
	require.Contains(t, stderr, "the gateway's sink is kafka")
	v.leave()
	g.interrupt(t)
}

// testMQTT is a broker in this process; what it took outlives a stop.
type testMQTT struct {
	broker.HookBase
	addr   string
	server *broker.Server
	mu     sync.Mutex
	got    []packets.Packet
}

func (b *testMQTT) ID() string               { return "test" }
func (b *testMQTT) Provides(which byte) bool { return which == broker.OnPublish }
func (b *testMQTT) OnPublish(_ *broker.Client, pk packets.Packet) (packets.Packet, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, packets.Packet{TopicName: pk.TopicName, Payload: bytes.Clone(pk.Payload)})
	return pk, nil
}

func (b *testMQTT) start(t *testing.T) {
	t.Helper()
	b.server = broker.New(&broker.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, b.server.AddHook(new(auth.AllowHook), nil))
	require.NoError(t, b.server.AddHook(b, nil))
	require.Eventually(t, func() bool {
		return b.server.AddListener(listeners.NewTCP(listeners.Config{ID: fmt.Sprint(time.Now().UnixNano()), Address: b.addr})) == nil
	}, patience, 10*time.Millisecond)
	require.NoError(t, b.server.Serve())
}

// reports returns the numbers of the reports.
func (b *testMQTT) reports(t *testing.T) (all []int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.got {
		if m.TopicName == "gbt32960/"+sinkVIN+"/upstream/realtime" {
			all = append(all, number(t, m.Payload))
		}
	}
	return all
}

// TestMQTTAnswersAndFollows: an MQTT broker as the one sink, away and back; then beside the store, with a file.
func TestMQTTAnswersAndFollows(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &testMQTT{addr: l.Addr().String()}
	require.NoError(t, l.Close())
	b.start(t)
	files := filepath.Join(t.TempDir(), "frames")
	config := writeFile(t, "t.yaml", fmt.Sprintf("nats: {maxBytes: 1GiB}\nsinks:\n- type: nats\n- type: mqtt\n  url: \"mqtt://%s\"\n- type: file\n  path: %q\n", b.addr, files))
	g := serve(t, dataDir(t), "--dev", "--config", config, "--sink", "mqtt")
	g.ready(t, 200)
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	for n := range 10 {
		v.report(n)
		v.answered(codec.CommandRealtime)
	}
	require.NoError(t, b.server.Close())
	require.Contains(t, g.ready(t, 503), "sink mqtt: ")
	for n := 10; n < 20; n++ {
		v.report(n)
	}
	v.silent()
	b.start(t)
	for range 10 {
		v.answered(codec.CommandRealtime)
	}
	g.ready(t, 200)
	requireReports(t, b.reports(t), 20, true)
	v.leave()
	g.interrupt(t)

	g = serve(t, dataDir(t), "--dev", "--config", config) // nats, mqtt and file
	require.NoError(t, b.server.Close())
	v = loginSinkVehicle(t, g.Addresses.Vehicles[0])
	for n := 20; n < 30; n++ {
		v.report(n)
		v.answered(codec.CommandRealtime)
	}
	b.start(t)
	require.Eventually(t, func() bool { return len(b.reports(t)) >= 30 }, patience, 20*time.Millisecond)
	requireReports(t, b.reports(t), 30, true)
	var lines []int
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(files, "frames.jsonl"))
		require.True(t, err == nil || os.IsNotExist(err))
		lines = nil
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte(`"command":"realtime"`)) {
				lines = append(lines, number(t, line)-20)
			}
		}
		return len(lines) == 10
	}, patience, 20*time.Millisecond)
	requireReports(t, lines, 10, false)
	require.Equal(t, 1, bytes.Count([]byte(g.stdout.String()), []byte("is running")))
	v.leave()
	g.interrupt(t)
	require.NoError(t, b.server.Close())
}
