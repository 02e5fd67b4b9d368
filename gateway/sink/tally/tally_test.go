package tally_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
)

type told []uint64

func (t *told) Stored(ticket uint64) { *t = append(*t, ticket) }

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var y tally.Tally
		var to told
		require.NoError(t, y.Healthy())
		require.True(t, y.Take(10))
		time.Sleep(tally.LateAfter)
		require.NoError(t, y.Healthy())
		time.Sleep(time.Second)
		require.EqualError(t, y.Healthy(), "nothing was stored for 6s, 1 wait")
		require.True(t, y.Take(5))
		require.Error(t, y.Healthy(), "more that waits is no progress")
		y.Stored(10, &to, 1)
		require.NoError(t, y.Healthy())
		require.Equal(t, sink.Stats{Waiting: 1, WaitingBytes: 5, Stored: 1}, y.Stats())
		y.Stored(5, &to, 2)
		time.Sleep(time.Hour)
		require.NoError(t, y.Healthy(), "idle is well")
		require.True(t, y.Take(1))
		require.NoError(t, y.Healthy(), "and what comes then has its time")
		y.Stored(1, &to, 3)

		a, b := errors.New("a"), errors.New("b")
		require.True(t, y.Trouble("x", a))
		require.False(t, y.Trouble("x", a), "no news")
		require.True(t, y.Trouble("y", b))
		require.ErrorIs(t, y.Healthy(), a)
		require.True(t, y.Trouble("x", nil))
		require.ErrorIs(t, y.Healthy(), b)
		require.True(t, y.Trouble("y", nil))
		require.False(t, y.Trouble("y", nil))
		require.NoError(t, y.Healthy())
		require.Equal(t, told{1, 2, 3}, to)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var y tally.Tally
		var to told
		require.True(t, y.Take(1))
		require.True(t, y.Take(1))
		go func() {
			time.Sleep(time.Second)
			y.Stored(1, &to, 1)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		y.Trouble("x", errors.New("why"))
		err := y.Close(ctx)
		require.ErrorIs(t, err, tally.ErrClosed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "closed with 1 not stored: context deadline exceeded (why)")
		y.Stored(1, &to, 2)
		require.Equal(t, told{1}, to, "nobody is told after Close")
		require.False(t, y.Take(1))
		require.NoError(t, y.Close(t.Context()), "closing again")
	})
}

func TestBackoff(t *testing.T) {
	last := time.Duration(0)
	for n := range 1000 {
		d := tally.Backoff(n)
		require.GreaterOrEqual(t, d, last)
		last = d
	}
	require.Equal(t, 100*time.Millisecond, tally.Backoff(1))
	require.Equal(t, 200*time.Millisecond, tally.Backoff(2))
	require.Equal(t, 5*time.Second, last)
}
