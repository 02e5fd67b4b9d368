package command_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
)

func TestResend(t *testing.T) {
	for name, c := range map[string]struct {
		command  codec.Command
		unit     []byte
		sends    int
		interval time.Duration
	}{
		"query":    {codec.CommandParamQuery, query, 3, 30 * time.Second},
		"set":      {codec.CommandParamSet, set, 3, 30 * time.Second},
		"control":  {codec.CommandControl, alarm, 3, time.Minute},
		"upgrade":  {codec.CommandControl, upgrade, 1, time.Minute},
		"reset":    {codec.CommandControl, reset, 1, time.Minute},
		"shutdown": {codec.CommandControl, shutdown, 1, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				id := b.send(c.command, c.unit)
				next := b.send(c.command, c.unit)
				for n := 1; n <= c.sends; n++ {
					require.Equal(t, n, b.link.count())
					require.Equal(t, command.StateSent, b.result(id).State)
					require.Equal(t, n, b.result(id).Sends)
					time.Sleep(c.interval - time.Millisecond)
					synctest.Wait()
					require.Equal(t, n, b.link.count(), "not before the interval is over")
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				require.Equal(t, command.StateTimedOut, b.result(id).State)
				require.Equal(t, []command.State{command.StateSent, command.StateTimedOut}, b.states(id))
				require.Equal(t, command.StateSent, b.result(next).State, "the next one goes out")
				require.Equal(t, c.sends+1, b.link.count())
			})
		})
	}
}

func TestResendStopsAtTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		time.Sleep(31 * time.Second)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, b.link.count())
		require.Equal(t, command.StateAnswered, b.result(id).State)
		require.Equal(t, 2, b.result(id).Sends)
	})
}

func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		time.Sleep(2 * time.Minute)
		require.Equal(t, command.StateTimedOut, b.result(id).State)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		r := b.result(id)
		require.Equal(t, command.StateAnswered, r.State, "late, but an answer")
		require.True(t, r.Late())
		id = b.send(codec.CommandParamQuery, query)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		r = b.result(id)
		require.False(t, r.Late())

		id = b.send(codec.CommandParamQuery, query)
		time.Sleep(20 * time.Minute)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		require.Equal(t, command.StateTimedOut, b.result(id).State, "too late")

		id = b.send(codec.CommandParamQuery, query)
		for b.result(id).State != command.StateTimedOut {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply) // in the same millisecond
		r = b.result(id)
		require.Equal(t, command.StateAnswered, r.State)
		require.True(t, r.Late())
	})
}

// The command in flight gets the answer, unless the answer fits the one before it better.
func TestTies(t *testing.T) {
	later := func(unit []byte) []byte {
		u := bytes.Clone(unit)
		u[5] = 50
		return u
	}
	t.Run("equal time means the earlier command", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			first, second := b.send(codec.CommandParamSet, set), b.send(codec.CommandParamSet, later(set))
			time.Sleep(95 * time.Second) // the first has timed out, the second is in flight
			b.answer(codec.CommandParamSet, codec.FlagSuccess, set)
			require.Equal(t, command.StateAnswered, b.result(first).State)
			require.Equal(t, command.StateSent, b.result(second).State)
			b.answer(codec.CommandParamSet, codec.FlagSuccess, set)
			require.Equal(t, command.StateSent, b.result(second).State, "the answer to a repetition of the first")
			b.answer(codec.CommandParamSet, codec.FlagError, answerTime)
			require.Equal(t, command.StateRejected, b.result(second).State, "a time of its own says nothing")
		})
	})
	t.Run("equal control id means the earlier command", func(t *testing.T) {
		b := newBench(t)
		first, second := b.send(codec.CommandControl, alarm), b.send(codec.CommandControl, disconnect)
		b.answer(codec.CommandControl, codec.FlagSuccess, append(bytes.Clone(answerTime), alarm[6:]...))
		require.Equal(t, command.StateAnswered, b.result(first).State)
		b.answer(codec.CommandControl, codec.FlagSuccess, append(bytes.Clone(answerTime), alarm[6:]...))
		require.Equal(t, command.StateSent, b.result(second).State)
		b.answer(codec.CommandControl, codec.FlagSuccess, append(bytes.Clone(answerTime), disconnect[6:]...))
		require.Equal(t, command.StateAnswered, b.result(second).State)
	})
	t.Run("nothing to tell them apart: the one in flight", func(t *testing.T) {
		b := newBench(t)
		b.send(codec.CommandParamQuery, query)
		second := b.send(codec.CommandParamQuery, query)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, nil)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, nil)
		require.Equal(t, command.StateAnswered, b.result(second).State)
	})
}

func TestBusyLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.link.refuse = errors.New("outbox full")
		id := b.send(codec.CommandControl, reset)
		require.Equal(t, command.StateQueued, b.result(id).State)
		b.answer(codec.CommandControl, codec.FlagSuccess, reset)
		require.Equal(t, command.StateQueued, b.result(id).State, "it cannot be answered before it was sent")
		time.Sleep(1500 * time.Millisecond)
		b.link.mu.Lock()
		b.link.refuse = nil
		b.link.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, command.StateSent, b.result(id).State)
		require.Equal(t, 1, b.link.count(), "once only, still")

		b.answer(codec.CommandControl, codec.FlagSuccess, reset)
		b.link.refuse = errors.New("outbox full")
		id = b.send(codec.CommandControl, reset)
		time.Sleep(62 * time.Second)
		synctest.Wait()
		r := b.result(id)
		require.Equal(t, command.StateTimedOut, r.State)
		require.Equal(t, command.ReasonLinkBusy, r.Reason)
		require.Zero(t, r.Sends)
	})
}
