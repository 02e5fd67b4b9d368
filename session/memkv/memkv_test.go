package memkv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPutGetDelete(t *testing.T) {
	kv, ctx := New(), t.Context()
	_, err := kv.Get(ctx, "a")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, err, fs.ErrNotExist)

	value := []byte("1")
	require.NoError(t, kv.Put(ctx, "a", value))
	value[0] = 'x'
	got, err := kv.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got), "the bucket keeps a copy")
	got[0] = 'y'
	got, err = kv.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got), "and gives one away")

	require.ErrorIs(t, kv.Create(ctx, "a", []byte("2")), fs.ErrExist)
	got, err = kv.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
	require.NoError(t, kv.Create(ctx, "b", nil))
	require.Equal(t, []string{"a", "b"}, kv.Keys())
	require.NoError(t, kv.Delete(ctx, "a"))
	require.NoError(t, kv.Delete(ctx, "a"), "a missing key is no error")
	require.Equal(t, []string{"b"}, kv.Keys())
	require.Equal(t, 2, kv.Puts())
	require.Equal(t, 2, kv.Deletes())
}

func TestFailAndLoseAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, ctx := New(), t.Context()
		away, lost := errors.New("away"), errors.New("lost")
		kv.Fail(away)
		_, err := kv.Get(ctx, "a")
		require.ErrorIs(t, err, away)
		require.ErrorIs(t, kv.Put(ctx, "a", nil), away)
		require.ErrorIs(t, kv.Create(ctx, "a", nil), away)
		require.ErrorIs(t, kv.Delete(ctx, "a"), away)
		require.ErrorIs(t, kv.Watch(ctx, func(string, []byte) {}), away)
		var got error
		kv.PutAsync("a", nil, func(err error) { got = err })
		synctest.Wait()
		require.ErrorIs(t, got, away)
		require.Empty(t, kv.Keys())

		kv.Fail(nil)
		kv.LoseAnswers(lost)
		require.ErrorIs(t, kv.Put(ctx, "a", nil), lost)
		require.Equal(t, []string{"a"}, kv.Keys(), "the write is done all the same")
		require.ErrorIs(t, kv.Delete(ctx, "a"), lost)
		require.Empty(t, kv.Keys())
	})
}

func TestPutAsyncKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := New()
		kv.Delay(time.Second)
		var done []int
		for i := range 100 {
			kv.PutAsync("a", fmt.Append(nil, i), func(err error) {
				require.NoError(t, err)
				done = append(done, i)
			})
		}
		begun := time.Now()
		synctest.Wait()
		require.Empty(t, done)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, done, 100)
		require.IsIncreasing(t, done)
		require.Equal(t, time.Second, time.Since(begun), "writes under way together take one delay")
		kv.Delay(0)
		got, err := kv.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "99", string(got))
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := New()
		require.NoError(t, kv.Put(t.Context(), "b", []byte("1")))
		require.NoError(t, kv.Put(t.Context(), "a", []byte("2")))
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		require.NoError(t, kv.Watch(ctx, func(key string, value []byte) {
			seen = append(seen, fmt.Sprintf("%s=%s %t", key, value, value == nil))
		}))
		require.Equal(t, []string{"a=2 false", "b=1 false"}, seen, "the entries there are, before Watch returns")
		require.NoError(t, kv.Put(t.Context(), "b", nil))
		require.NoError(t, kv.Delete(t.Context(), "a"))
		require.NoError(t, kv.Delete(t.Context(), "a"))
		kv.PutAsync("c", []byte("3"), func(error) {})
		synctest.Wait()
		require.Equal(t, []string{"b= false", "a= true", "a= true", "c=3 false"}, seen[2:])
		cancel()
		synctest.Wait()
		require.NoError(t, kv.Put(t.Context(), "d", nil))
		synctest.Wait()
		require.Len(t, seen, 6, "nothing after the end of ctx")
	})
}

func TestContextEndsTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := New()
		kv.Delay(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, kv.Put(ctx, "a", nil), context.DeadlineExceeded)
		require.Empty(t, kv.Keys())
	})
}
