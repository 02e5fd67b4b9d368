package mqtt_test

import (
	"log/slog"
	"net"
	"testing"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink/mqtt"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

// BenchmarkPublish publishes JSON to a broker in this process.
func BenchmarkPublish(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr := l.Addr().String()
	require.NoError(b, l.Close())
	server := broker.New(&broker.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, server.AddHook(new(auth.AllowHook), nil))
	require.NoError(b, server.AddListener(listeners.NewTCP(listeners.Config{ID: "t", Address: addr})))
	require.NoError(b, server.Serve())
	defer func() { require.NoError(b, server.Close()) }()
	s, err := mqtt.New(mqtt.Options{URL: "mqtt://" + addr, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	sinktest.Bench(b, s, false)
}
