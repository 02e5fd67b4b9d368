package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLogDurations: a duration reads the same in JSON as in text, in groups and in what a logger carries along.
func TestLogDurations(t *testing.T) {
	var b bytes.Buffer
	log, _ := newLogger(&b, Log{Level: "info", Format: "json"})
	log.With("every", time.Minute).Info("m", "after", 1500*time.Millisecond, slog.Group("g", "maxAge", 7*24*time.Hour), "n", 3)
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	delete(line, "time")
	require.Equal(t, map[string]any{"level": "INFO", "msg": "m", "every": "1m0s", "after": "1.5s", "g": map[string]any{"maxAge": "168h0m0s"}, "n": 3.0}, line)
	b.Reset()
	log, _ = newLogger(&b, Log{Level: "info", Format: "text"})
	log.Info("m", "after", 1500*time.Millisecond)
	require.Contains(t, b.String(), " after=1.5s\n")
}
