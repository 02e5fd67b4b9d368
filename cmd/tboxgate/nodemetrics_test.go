package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/session"
)

// TestCommandsAreCountedOnce: a command counts when it comes to an end, and not again when its answer is late; a message
// to an MQTT device is no control.
func TestCommandsAreCountedOnce(t *testing.T) {
	n := &node{metrics: metrics.New()}
	at := func(seconds int64) session.Timestamp { return session.At(time.Unix(1_800_000_000+seconds, 0)) }
	query := command.Result{Command: codec.CommandParamQuery, State: command.StateQueued, CreatedAt: at(0)}
	n.commandDone(query)
	query.State, query.SentAt = command.StateSent, at(0)
	n.commandDone(query)
	query.State, query.EndedAt = command.StateTimedOut, at(90)
	n.commandDone(query)
	query.State, query.AnsweredAt = command.StateAnswered, at(95)
	n.commandDone(query)
	n.commandDone(command.Result{Topic: "/p/d/get", State: command.StateSent, Reason: command.ReasonQoS0, CreatedAt: at(0), SentAt: at(0), EndedAt: at(0)})

	families, err := n.metrics.Registry().Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue(); v > 0 && (f.GetName() == "tboxgate_commands_total" || f.GetName() == "tboxgate_command_late_answers_total") {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = v
			}
		}
	}
	require.Equal(t, map[string]float64{
		"tboxgate_commands_total query timedOut": 1, "tboxgate_command_late_answers_total query": 1, "tboxgate_commands_total message sent": 1,
	}, got)
}
