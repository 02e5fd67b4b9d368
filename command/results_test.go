package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
)

func TestResultsAreKept(t *testing.T) {
	b := newBench(t)
	id := b.send(codec.CommandParamQuery, query)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	r := b.result(id)
	require.NoError(t, b.Close(context.Background()))

	b.open() // a restart
	kept := b.result(id)
	require.JSONEq(t, string(r.Body), string(kept.Body))
	r.Body, kept.Body = nil, nil
	require.Equal(t, r, kept)
	require.Equal(t, "n1", kept.Node)
	require.Equal(t, "KEY", kept.AccessKeyID)

	next := b.send(codec.CommandParamQuery, query)
	require.Greater(t, next, id)
	_, err := b.Result(context.Background(), "otherProduct", id)
	require.ErrorIs(t, err, command.ErrNotFound)
	_, err = b.Result(context.Background(), testProduct, id+1_000_000)
	require.ErrorIs(t, err, command.ErrNotFound)
}

func TestCloseEndsWhatIsOpen(t *testing.T) {
	b := newBench(t)
	id, waiting := b.send(codec.CommandControl, reset), b.send(codec.CommandControl, reset)
	require.NoError(t, b.Close(context.Background()))
	for _, id := range []int64{id, waiting} {
		value, err := b.kv.Get(context.Background(), strconv.FormatInt(id, 10))
		require.NoError(t, err)
		var r command.Result
		require.NoError(t, json.Unmarshal(value, &r))
		require.Equal(t, command.StateDisconnected, r.State)
		require.Equal(t, command.Reason("drain"), r.Reason)
	}
	require.Equal(t, []command.State{command.StateSent, command.StateDisconnected}, b.states(id))
}

// A gateway that was killed ends, at its next start, what it had left open.
func TestKilledWithOpenCommands(t *testing.T) {
	b := newBench(t)
	id, waiting := b.send(codec.CommandParamQuery, query), b.send(codec.CommandParamQuery, query)
	require.Eventually(t, func() bool { return len(b.kv.Keys()) == 3 }, 5*time.Second, time.Millisecond)
	entries := map[string][]byte{}
	for _, key := range b.kv.Keys() {
		entries[key], _ = b.kv.Get(context.Background(), key)
	}
	require.NoError(t, b.Close(context.Background()))
	for key, value := range entries { // as the kill would have left them
		require.NoError(t, b.kv.Put(context.Background(), key, value))
	}
	foreign := strings.Replace(string(entries[strconv.FormatInt(id, 10)]), `"node":"n1"`, `"node":"n2"`, 1)
	foreign = strings.Replace(foreign, strconv.FormatInt(id, 10), "77", 1)
	require.NoError(t, b.kv.Put(context.Background(), "77", []byte(foreign)))
	before := b.published()

	b.open()
	for _, id := range []int64{id, waiting} {
		r, err := b.Wait(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, command.StateDisconnected, r.State)
		require.Equal(t, command.Reason("gatewayRestart"), r.Reason)
	}
	require.Eventually(t, func() bool { return b.published() == before+2 }, 5*time.Second, time.Millisecond)
	require.NoError(t, b.Close(context.Background()))
	require.Equal(t, before+2, b.published(), "each once, and nothing about another node's")
	b.open()
	require.NoError(t, b.Close(context.Background()))
	require.Equal(t, before+2, b.published(), "and only once")
	value, err := b.kv.Get(context.Background(), "77")
	require.NoError(t, err)
	require.Contains(t, string(value), `"state":"sent"`)
}

// What another node had asked of one that was killed ends at its next start too, whatever the clock of that other node said.
func TestKilledWithOpenCommandsOfAnotherNode(t *testing.T) {
	b := newBench(t)
	const id = 1<<52 + 1
	got, err := b.Send(context.Background(), command.Request{
		MessageID: id, ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query,
	})
	require.NoError(t, err)
	require.EqualValues(t, id, got)
	key := strconv.FormatInt(id, 10)
	var entry []byte
	require.Eventually(t, func() bool {
		entry, err = b.kv.Get(context.Background(), key)
		return err == nil
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, b.Close(context.Background()))
	require.NoError(t, b.kv.Put(context.Background(), key, entry)) // as the kill would have left it
	b.open()
	require.Eventually(t, func() bool {
		entry, err = b.kv.Get(context.Background(), key)
		return err == nil && strings.Contains(string(entry), `"reason":"gatewayRestart"`)
	}, 5*time.Second, time.Millisecond, "the node that asked sees it in the store")
}

// The times of a result have three decimals, whichever they are.
func TestResultTimes(t *testing.T) {
	at := time.Date(2026, 11, 23, 3, 32, 1, 0, time.UTC)
	text, err := json.Marshal(command.Result{CreatedAt: session.At(at), SentAt: session.At(at.Add(500 * time.Millisecond)), AnsweredAt: session.At(at.Add(999_999))})
	require.NoError(t, err)
	require.Contains(t, string(text), `"createdAt":"2026-11-23T03:32:01.000Z","sentAt":"2026-11-23T03:32:01.500Z","answeredAt":"2026-11-23T03:32:01.000Z"}`)
}

// A command of another node is seen in the shared store.
func TestWaitForAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := command.Result{MessageID: 77, ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandControl, State: command.StateSent, Node: "n2"}
		put := func() {
			value, err := json.Marshal(r)
			require.NoError(t, err)
			require.NoError(t, b.kv.Put(context.Background(), "77", value))
		}
		put()
		require.Equal(t, command.StateSent, b.result(77).State)
		go func() {
			time.Sleep(3 * time.Second)
			r.State = command.StateAnswered
			put()
		}()
		got, err := b.Wait(context.Background(), 77)
		require.NoError(t, err)
		require.Equal(t, command.StateAnswered, got.State)
	})
}

// While the store is away results stay in memory, and get there when it is back.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		synctest.Wait()
		away := errors.New("store away")
		b.kv.Fail(away)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		time.Sleep(10 * time.Second)
		require.Equal(t, command.StateAnswered, b.result(id).State)
		_, err := b.Result(context.Background(), testProduct, 4711)
		require.ErrorIs(t, err, command.ErrStore)

		b.kv.Fail(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		value, err := b.kv.Get(context.Background(), strconv.FormatInt(id, 10))
		require.NoError(t, err)
		require.Contains(t, string(value), `"state":"answered"`)

		id = b.send(codec.CommandParamQuery, query)
		b.kv.Fail(away)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, b.Close(ctx), command.ErrStore, "Close says what is lost")
		b.kv.Fail(nil)
		require.Equal(t, command.StateAnswered, b.result(id).State)
	})
}

// Memory for results is bounded; older ones come from the store.
func TestRecentResultsAreBounded(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.RecentBytes = 4 << 10 })
	var ids []int64
	for range 50 {
		ids = append(ids, b.send(codec.CommandParamQuery, query))
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		require.Eventually(t, func() bool {
			value, err := b.kv.Get(context.Background(), strconv.FormatInt(ids[len(ids)-1], 10))
			return err == nil && strings.Contains(string(value), `"state":"answered"`)
		}, 5*time.Second, time.Millisecond)
	}
	for _, id := range ids {
		require.Equal(t, command.StateAnswered, b.result(id).State)
	}
	b.kv.Fail(errors.New("store away"))
	_, err := b.Result(context.Background(), testProduct, ids[0])
	require.ErrorIs(t, err, command.ErrStore, "not in memory any more")
	require.Equal(t, command.StateAnswered, b.result(ids[49]).State)
	b.kv.Fail(nil)
}

func TestOpenWithoutStore(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.Close(context.Background()))
	away := errors.New("store away")
	b.kv.Fail(away)
	_, err := command.NewDispatcher(context.Background(), command.Options{Sessions: b.table, KV: b.kv, Publish: b.publish})
	require.ErrorIs(t, err, command.ErrStore)
	require.ErrorIs(t, err, away)
	b.kv.Fail(nil)
	_, err = command.NewDispatcher(context.Background(), command.Options{Sessions: b.table, KV: b.kv})
	require.Error(t, err)
}

func TestNames(t *testing.T) {
	for key, want := range map[string]bool{"": false, "a": true, "gbt32960": true, "aldfeSe****": false, "a-b": false, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false} {
		require.Equal(t, want, command.ValidProductKey(key), "%q", key)
	}
	for name, want := range map[string]bool{
		"": false, "onepart1234567891": true, "LTEST0000000000012": false, "a-_@.:9": true, "LTEST 1": false, "LTEST*": false, "\u8f66": false, "x": true,
	} {
		require.Equal(t, want, command.ValidDeviceName(name), "%q", name)
	}
}
