package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// TestSendTopic: a message to an MQTT device has an id, a result and events like a command.
func TestSendTopic(t *testing.T) {
	ctx := context.Background()
	kv := memkv.New()
	var mu sync.Mutex
	var events []string
	open := func() *command.Dispatcher {
		d, err := command.NewDispatcher(ctx, command.Options{
			Sessions: session.NewTable(nil, "n1"), KV: kv, Node: "n1", Publish: func(codec.VIN, string, []byte) { t.Error("no vehicle's event") },
			PublishTopic: func(name, kind string, body []byte) {
				var e struct{ State, Reason, Topic, Command, Payload string }
				require.NoError(t, json.Unmarshal(body, &e))
				mu.Lock()
				defer mu.Unlock()
				events = append(events, name+" "+kind+" "+e.Command+" "+e.Topic+" "+e.State+" "+e.Reason+" "+e.Payload)
			},
		})
		require.NoError(t, err)
		return d
	}
	told := func() []string {
		mu.Lock()
		defer mu.Unlock()
		list := events
		events = nil
		return list
	}
	d := open()
	request := command.TopicRequest{ProductKey: "pk", DeviceName: "a-device-name-of-32-characters..", Topic: "/pk/d/get", Payload: []byte("hi"), RequestID: "r", AccessKeyID: "k"}
	name := request.DeviceName + " command message /pk/d/get "

	var acked func(error)
	id, err := d.SendTopic(ctx, request, func(f func(error)) (byte, error) { acked = f; return 1, nil })
	require.NoError(t, err)
	r, err := d.Result(ctx, "pk", id)
	require.NoError(t, err)
	require.Equal(t, command.StateSent, r.State)
	require.False(t, r.Over())
	require.Equal(t, command.Pending{InFlight: 1}, d.Pending(0))
	acked(nil)
	r, err = d.Wait(ctx, id)
	require.NoError(t, err)
	require.Equal(t, command.StateAnswered, r.State)
	require.False(t, r.AnsweredAt.IsZero())
	require.Equal(t, []string{name + "sent  aGk=", name + "answered  "}, told())

	// Acknowledged before hand returns.
	id, err = d.SendTopic(ctx, request, func(f func(error)) (byte, error) { f(nil); return 1, nil })
	require.NoError(t, err)
	r, err = d.Wait(ctx, id)
	require.NoError(t, err)
	require.Equal(t, command.StateAnswered, r.State)
	require.Equal(t, []string{name + "sent  aGk=", name + "answered  "}, told())

	id, err = d.SendTopic(ctx, request, func(func(error)) (byte, error) { return 0, nil })
	require.NoError(t, err)
	r, err = d.Wait(ctx, id)
	require.NoError(t, err)
	require.Equal(t, command.StateSent, r.State)
	require.Equal(t, command.ReasonQoS0, r.Reason)
	require.Equal(t, []string{name + "sent qos0 aGk="}, told())

	refused := errors.New("refused")
	_, err = d.SendTopic(ctx, request, func(func(error)) (byte, error) { return 0, refused })
	require.ErrorIs(t, err, refused)
	require.Empty(t, told())

	_, err = d.SendTopic(ctx, request, func(f func(error)) (byte, error) { acked = f; return 1, nil })
	require.NoError(t, err)
	acked(errors.New("gone"))
	require.Equal(t, []string{name + "sent  aGk=", name + "disconnected peerClosed "}, told())

	require.Zero(t, d.Pending(0))

	// What the gateway has left open when it dies.
	left, err := d.SendTopic(ctx, request, func(func(error)) (byte, error) { return 1, nil })
	require.NoError(t, err)
	require.NoError(t, d.Close(ctx))
	_, err = d.SendTopic(ctx, request, func(func(error)) (byte, error) { t.Error("after Close"); return 0, nil })
	require.ErrorIs(t, err, command.ErrClosed)
	told()
	again := open()
	r, err = again.Wait(ctx, left)
	require.NoError(t, err)
	require.Equal(t, command.StateDisconnected, r.State)
	require.Equal(t, command.Reason(session.ReasonGatewayRestart), r.Reason)
	var found []string
	require.Eventually(t, func() bool { found = append(found, told()...); return len(found) > 0 }, 30*time.Second, time.Millisecond)
	require.Equal(t, []string{name + "disconnected gatewayRestart "}, found)
	require.Zero(t, again.Pending(0))
	require.NoError(t, again.Close(ctx))
}
