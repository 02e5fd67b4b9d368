package nats

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEventsAreOrderedOverARestart(t *testing.T) {
	s := openStore(t, Options{})
	v := vin(t, "LTEST.1")
	for i := range 3000 {
		s.Events().Publish(v, "online", fmt.Append(nil, i))
		if i == 1500 {
			s.server.stop()
		}
	}
	require.NoError(t, s.server.start())
	require.NoError(t, s.Events().Close(t.Context()))
	got, _ := bodies(t, s, StreamEvents)
	requireOrder(t, 0, 3000, got)
	require.Equal(t, "gbt32960.event.LTEST=2E1.online", contents(t, s, StreamEvents)[0].Subject())
	require.Zero(t, s.Events().Lost())
	require.Equal(t, uint64(3000), s.Events().Stats().Stored)
}

func TestEventsBeyondTheLimitAreLostLoudly(t *testing.T) {
	log := new(logBuffer)
	s := openStore(t, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	s.Events().limit = 10_000
	s.server.stop()
	v := vin(t, "LTEST1")
	for i := range 100 {
		s.Events().Publish(v, "command", append(fmt.Append(nil, i, " "), bytes.Repeat([]byte("x"), 960)...))
	}
	require.Equal(t, uint64(90), s.Events().Lost())
	require.Contains(t, log.String(), "events are LOST")
	require.NoError(t, s.server.start())
	require.Eventually(t, func() bool { return s.Events().Stats().Waiting == 0 }, limit, time.Millisecond)
	require.Len(t, contents(t, s, StreamEvents), 10)
	s.Events().Publish(v, "command", []byte("room again"))
	require.NoError(t, s.Events().Close(t.Context()))
	require.Len(t, contents(t, s, StreamEvents), 11)
}

// logBuffer is a log that tests can read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestMessages: messages of MQTT devices keep their order on a stream of their own, and each is told when it is stored.
func TestMessages(t *testing.T) {
	s := openStore(t, Options{})
	done := make(chan error, 2)
	s.Events().Message("pk", "D.001", []byte("one"), func(err error) { done <- err })
	s.Events().Message("pk", "D.001", []byte("two"), func(err error) { done <- err })
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	got, _ := bodies(t, s, StreamMQTT)
	require.Equal(t, []string{"one", "two"}, got)

	s.Events().Message("pk", "D.001", make([]byte, s.MaxPayload()+1), func(err error) { done <- err })
	require.ErrorIs(t, <-done, ErrTooLarge)
	require.Zero(t, s.Events().Stats().Waiting, "nothing of it is kept")
	require.Equal(t, "gbt32960.mqtt.pk.D=2E001", contents(t, s, StreamMQTT)[0].Subject())

	s.Events().limit = 1
	s.Events().Message("pk", "D.001", []byte("three"), func(err error) { done <- err })
	require.ErrorIs(t, <-done, ErrBacklog)
	s.Events().PublishDevice("D.001", "online", nil)
}
