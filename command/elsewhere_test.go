package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// race is a bucket in which another node's word arrives between any two steps of this one: behind what it reads, before what it
// writes.
type race struct {
	*memkv.KV
	arrive func()
}

func (r *race) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := r.KV.Get(ctx, key)
	r.arrive()
	return value, err
}

func (r *race) Put(ctx context.Context, key string, value []byte) error {
	r.arrive()
	return r.KV.Put(ctx, key, value)
}

func (r *race) Create(ctx context.Context, key string, value []byte) error {
	r.arrive()
	return r.KV.Create(ctx, key, value)
}

// asked is a command that another node was asked to send.
func asked(t *testing.T, b *bench) command.Result {
	id, err := b.NewID(t.Context())
	require.NoError(t, err)
	return command.Result{
		MessageID: id, ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, State: command.StateQueued, Node: "n2",
	}
}

// TestUnheardGivesWay: that another node was not heard of never takes the place of what it has stored at the same moment.
func TestUnheardGivesWay(t *testing.T) {
	var kv *race
	b := newBench(t, func(o *command.Options) {
		kv = &race{KV: o.KV.(*memkv.KV), arrive: func() {}}
		o.KV = kv
	})
	r := asked(t, b)
	theirs := r
	theirs.State = command.StateAnswered
	value, err := json.Marshal(&theirs)
	require.NoError(t, err)
	kv.arrive = func() { require.NoError(t, b.kv.Put(t.Context(), fmt.Sprint(r.MessageID), value)) }
	b.Unheard(t.Context(), r)
	kv.arrive = func() {}
	got, err := b.Result(t.Context(), testProduct, r.MessageID)
	require.NoError(t, err)
	require.Equal(t, command.StateAnswered, got.State)
	require.Zero(t, b.published(), "nor is it announced")
}

// TestUnheardOnce: a word of which it is not known whether the store has it is not announced before it is, and once.
func TestUnheardOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := asked(t, b)
		b.kv.LoseAnswers(errors.New("lost"))
		b.Unheard(t.Context(), r)
		require.Zero(t, b.published())
		b.kv.LoseAnswers(nil)
		got, err := b.Wait(t.Context(), r.MessageID)
		require.NoError(t, err)
		require.Equal(t, command.ReasonNodeSilent, got.Reason)
		require.Equal(t, "n2", got.Node)
		time.Sleep(time.Minute)
		require.Equal(t, 1, b.published())
		require.Equal(t, command.ReasonNodeSilent, b.lastEvent().Reason)
	})
}
