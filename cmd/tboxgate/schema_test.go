package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// schemaSet compiles docs/schema/v1.
func schemaSet(t *testing.T) func(name string, text []byte) {
	t.Helper()
	const base = "https://tboxgate.github.io/schema/v1/"
	files, err := filepath.Glob("../../docs/schema/v1/*.json")
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, c.AddResource(base+filepath.Base(file), doc))
	}
	compiled := map[string]*jsonschema.Schema{}
	return func(name string, text []byte) {
		t.Helper()
		if compiled[name] == nil {
			s, err := c.Compile(base + name + ".json")
			require.NoError(t, err)
			compiled[name] = s
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err, "%s", text)
		require.NoError(t, compiled[name].Validate(doc), "%s: %s", name, text)
	}
}

// TestSchemas: everything that a gateway has stored is as docs/schema says.
func TestSchemas(t *testing.T) {
	batched := filepath.Join(t.TempDir(), "batched.yaml")
	require.NoError(t, os.WriteFile(batched, []byte("sinks: [{type: nats, payload: raw, batch: {maxFrames: 64}}]\n"), 0o600))
	for _, args := range [][]string{{"--payload", "both"}, {"--payload", "raw"}, {"--config", batched}} {
		dir := dataDir(t)
		require.NotEmpty(t, ok(t, "vehicles", "import", "--data-dir", dir, vinFile(t, "LTEST000000000001", "LTEST000000000002")))
		require.NotEmpty(t, ok(t, "platforms", "create", "--data-dir", dir, "--code", "LTESTPLATFORM0001", "--user", "user", "--password", "password1"))
		require.NotEmpty(t, ok(t, "keys", "create", "--data-dir", dir, "--product", "gbt32960", "--allow", "query,read", "--expires", "1h", "--sts"))
		g := serve(t, dir, args...)
		sim := start(t, "simulate", "--addr", g.Addresses.Vehicles[0], "--vehicles", "2", "--period", "50ms", "--ramp", "0s")
		waitSessions(t, dir, 2)
		ok(t, "send", "query", "--data-dir", dir, "--vin", "LTEST000000000001", "--params", "1,2")
		code, _, _ := tboxgate(t, "", "simulate", "--addr", g.Addresses.Vehicles[0], "--vin", "LTEST000000000009", "--reports", "1")
		require.Equal(t, 1, code, "refused")
		require.NoError(t, sim.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, sim.exit(t))
		require.NoError(t, g.cmd.Process.Signal(os.Interrupt))
		require.Zero(t, g.exit(t), g.stderr.String())

		seen := checkStore(t, dir)
		for _, name := range []string{"frame", "presence", "refused", "command", "result", "device", "platform", "last", "key"} {
			require.Positive(t, seen[name], "%v: %s", args, name)
		}
		require.Equal(t, args[1] != "both", seen["entry"] > 0, args)
	}
}

// checkStore checks all that the store in a data directory holds and returns how many there are by the names of their schemas.
func checkStore(t *testing.T, dir string) map[string]int {
	t.Helper()
	schemas := schemaSet(t)
	seen := map[string]int{}
	check := func(name string, text []byte) {
		t.Helper()
		schemas(name, text)
		seen[name]++
	}
	s, err := nats.Open(t.Context(), nats.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for r, err := range stream.Read(t.Context(), s.JetStream(), stream.Query{}) {
		require.NoError(t, err)
		check("frame", r.AppendJSON(nil, nil))
	}
	eachMessage(t, s, stream.Frames, func(_ string, body []byte) {
		if head, _, raw := bytes.Cut(body, []byte("\n")); raw {
			check("entry", head)
		}
	})
	eachMessage(t, s, stream.Batches, func(subject string, body []byte) {
		for e, err := range stream.Entries(subject, body) {
			require.NoError(t, err)
			head, _, _ := bytes.Cut(e.Bytes, []byte("\n"))
			check("entry", head)
		}
	})
	eachMessage(t, s, nats.StreamMQTT, func(_ string, body []byte) { check("mqtt-message", body) })
	eachMessage(t, s, nats.StreamEvents, func(subject string, body []byte) {
		name := subject[strings.LastIndexByte(subject, '.')+1:]
		if name == "online" || name == "offline" {
			name = "presence"
		}
		var of struct{ Protocol, Login, Topic string }
		require.NoError(t, json.Unmarshal(body, &of))
		if of.Protocol == "mqtt" || of.Login == "mqtt" || of.Topic != "" {
			name = "mqtt-" + name
		}
		check(name, body)
	})
	for bucket, name := range map[string]string{nats.BucketDevices: "device", nats.BucketPlatforms: "platform", nats.BucketLast: "last",
		nats.BucketCommands: "result", nats.BucketKeys: "key", nats.BucketMQTT: "mqtt-device"} {
		var mu sync.Mutex
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, s.KV(bucket).Watch(ctx, func(key string, value []byte) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasPrefix(key, "="), strings.HasPrefix(key, "mark."): // the gateway's own
			case name == "last" && strings.Contains(key, "."):
				check("frame", value)
			case name == "mqtt-device" && strings.HasSuffix(key, ".last"):
				check("mqtt-last", value)
			default:
				check(name, value)
			}
		}))
		cancel()
	}
	require.NoError(t, s.Close(t.Context()))
	return seen
}

// vinFile is a list for vehicles import.
func vinFile(t *testing.T, vins ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vins.csv")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(vins, "\n")+"\n"), 0o600))
	return file
}

// eachMessage reads a stream's messages; one that does not exist is empty.
func eachMessage(t *testing.T, s *nats.Store, name string, fn func(subject string, body []byte)) {
	t.Helper()
	st, err := s.JetStream().Stream(t.Context(), name)
	if err == jetstream.ErrStreamNotFound { //nolint:errorlint // as it is
		return
	}
	require.NoError(t, err)
	state := st.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := st.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		fn(m.Subject, m.Data)
	}
}
