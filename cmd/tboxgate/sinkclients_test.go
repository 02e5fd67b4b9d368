//go:build sinkclients

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// hints are the commands of docs/sinks.md that begin with a program's name.
func hints(t *testing.T, program string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/sinks.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, program+" ") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	require.NotEmpty(t, all)
	return all
}

// startHint runs a command in a shell until the test ends.
func startHint(t *testing.T, command string) *process {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a pipe's processes end together
	p := startEnv(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return p
}

// requireOutput waits for a text of a hint.
func requireOutput(t *testing.T, p *process, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, w := range want {
			if !strings.Contains(p.stdout.String(), w) {
				return false
			}
		}
		return true
	}, patience, patience/1000, "%s\nstdout:\n%s\nstderr:\n%s", p.cmd, &p.stdout, &p.stderr)
}

// TestKcat runs the documented kcat commands against Kafka with a vehicle's records in it.
func TestKcat(t *testing.T) {
	k := startKafka(t)
	config := writeFile(t, "t.yaml", fmt.Sprintf("nats: {maxBytes: 1GiB}\nsinks: [{type: kafka, brokers: [%q], payload: both, createTopics: {partitions: 3}}]\n", k.ListenAddrs()[0]))
	g := serve(t, dataDir(t), "--dev", "--config", config)
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	v.report(7)
	v.answered(codec.CommandRealtime)
	for _, command := range hints(t, "kcat") {
		command = strings.ReplaceAll(command, "10.0.0.8:9092", k.ListenAddrs()[0])
		want := []string{sinkVIN, `"command":"realtime"`}
		if strings.Contains(command, "gbt32960.raw.v1") {
			want = []string{sinkVIN, "edition=2016", "command=realtime", "node="}
		}
		requireOutput(t, startHint(t, command), want...)
	}
	v.leave()
	g.interrupt(t)
}

// TestMosquittoSub runs the documented mosquitto_sub commands against a broker that the gateway publishes to.
func TestMosquittoSub(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &testMQTT{addr: l.Addr().String()}
	require.NoError(t, l.Close())
	b.start(t)
	_, port, err := net.SplitHostPort(b.addr)
	require.NoError(t, err)
	var clients []*process
	for _, command := range hints(t, "mosquitto_sub") {
		clients = append(clients, startHint(t, strings.ReplaceAll(command, "-h broker", "-h 127.0.0.1 -p "+port)))
	}
	g := serve(t, dataDir(t), "--dev", "--config", writeFile(t, "t.yaml", fmt.Sprintf("nats: {maxBytes: 1GiB}\nsinks: [{type: mqtt, url: \"mqtt://%s\"}]\n", b.addr)))
	require.Eventually(t, func() bool { return int(b.server.Info.Clone().Subscriptions) == len(clients) }, patience, patience/1000)
	v := loginSinkVehicle(t, g.Addresses.Vehicles[0])
	v.report(7)
	v.answered(codec.CommandRealtime)
	for _, p := range clients {
		requireOutput(t, p, `"vin":"`+sinkVIN+`"`, `"command":"realtime"`)
	}
	v.leave()
	g.interrupt(t)
	require.NoError(t, b.server.Close())
}
