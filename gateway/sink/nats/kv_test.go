package nats

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session"
)

var _ session.KV = (*KV)(nil)

// view is what a watcher has seen.
type view struct {
	mu   sync.Mutex
	now  map[string]string
	seen []string // key=value in the order of the calls, "key!" for deleted
}

func (v *view) note(key string, value []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now == nil {
		v.now = make(map[string]string)
	}
	if value == nil {
		delete(v.now, key)
		v.seen = append(v.seen, key+"!")
		return
	}
	v.now[key] = string(value)
	v.seen = append(v.seen, key+"="+string(value))
}

func (v *view) current() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make(map[string]string, len(v.now))
	for k, x := range v.now {
		all[k] = x
	}
	return all
}

func (v *view) calls() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.seen...)
}

func TestKVPutGetDelete(t *testing.T) {
	s := openStore(t, Options{})
	ctx := t.Context()
	kv := s.KV(BucketDevices)
	key := "gbt32960." + session.Token("LTEST 0.1")

	_, err := kv.Get(ctx, key)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, BucketDevices)
	require.NoError(t, kv.Delete(ctx, key), "a missing key is no error")

	for _, value := range []string{"one", "two", ""} {
		require.NoError(t, kv.Put(ctx, key, []byte(value)))
		got, err := kv.Get(ctx, key)
		require.NoError(t, err)
		require.Equal(t, value, string(got))
	}
	require.NoError(t, kv.Delete(ctx, key))
	_, err = kv.Get(ctx, key)
	require.ErrorIs(t, err, fs.ErrNotExist)

	// Other NATS clients see an ordinary bucket.
	plain, err := s.JetStream().KeyValue(ctx, BucketDevices)
	require.NoError(t, err)
	require.NoError(t, kv.Put(ctx, key, []byte("three")))
	e, err := plain.Get(ctx, key)
	require.NoError(t, err)
	require.Equal(t, "three", string(e.Value()))
	_, err = plain.Put(ctx, key, []byte("four"))
	require.NoError(t, err)
	got, err := kv.Get(ctx, key)
	require.NoError(t, err)
	require.Equal(t, "four", string(got))

	require.Nil(t, s.KV("NONE"))
}

// TestKVCreate: of all who create a key at the same time one does, whatever they write through.
func TestKVCreate(t *testing.T) {
	srv := externalServer(t)
	far, near := openStore(t, Options{URL: srv.ClientURL(), Node: "far"}), openStore(t, Options{URL: srv.ClientURL(), Node: "near"})
	for name, kvs := range map[string][]*KV{
		"external": {far.KV(BucketCommands), near.KV(BucketCommands)},
		"embedded": {openStore(t, Options{}).KV(BucketCommands)},
	} {
		t.Run(name, func(t *testing.T) {
			first, last := kvs[0], kvs[len(kvs)-1]
			require.ErrorIs(t, first.Create(t.Context(), "no key", nil), ErrKey)
			var created atomic.Int32
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					err := kvs[i%len(kvs)].Create(t.Context(), "a", fmt.Append(nil, i))
					if err == nil {
						created.Add(1)
					} else {
						assert.ErrorIs(t, err, fs.ErrExist)
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1, created.Load())
			require.NoError(t, first.Put(t.Context(), "a", []byte("theirs")), "a put has no such scruples")
			require.ErrorIs(t, last.Create(t.Context(), "a", []byte("mine")), fs.ErrExist)
			got, err := last.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, "theirs", string(got))
			require.NoError(t, last.Delete(t.Context(), "a"))
			require.NoError(t, first.Create(t.Context(), "a", nil), "there is none any more")
			require.NoError(t, last.Put(t.Context(), "a", []byte("newest")))
			got, err = first.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, "newest", string(got))
		})
	}
}

func TestKVBadKeys(t *testing.T) {
	s := openStore(t, Options{})
	kv := s.KV(BucketKeys)
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a b", "a*", ">", "é"} {
		require.ErrorIs(t, kv.Put(t.Context(), key, nil), ErrKey, key)
		require.ErrorIs(t, kv.Delete(t.Context(), key), ErrKey, key)
		_, err := kv.Get(t.Context(), key)
		require.ErrorIs(t, err, ErrKey, key)
	}
	require.ErrorIs(t, kv.Put(t.Context(), "a", make([]byte, maxPayload+1)), ErrTooLarge)
	require.NoError(t, kv.Put(t.Context(), "a", make([]byte, 1<<20)), "others go on")
}

func TestKVPutAsyncIsOrderedPerKey(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir})
	kv := s.KV(BucketLast)
	const n, keys = 10_000, 7
	var wg sync.WaitGroup
	wg.Add(n)
	value := make([]byte, 0, 8)
	for i := range n {
		value = fmt.Append(value[:0], i)
		kv.PutAsync(fmt.Sprint("k.", i%keys), value, func(err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	require.NoError(t, kv.Put(t.Context(), "k.0", []byte("last")))
	wg.Wait()
	require.NoError(t, closeWithin(s, limit))

	s = openStore(t, Options{Dir: dir})
	got := new(view)
	require.NoError(t, s.KV(BucketLast).Watch(t.Context(), got.note))
	want := map[string]string{"k.0": "last"}
	for i := n - keys; i < n; i++ {
		if k := fmt.Sprint("k.", i%keys); k != "k.0" {
			want[k] = fmt.Sprint(i)
		}
	}
	require.Equal(t, want, got.current(), "delivered before Watch returns")
}

func TestKVWatch(t *testing.T) {
	s := openStore(t, Options{})
	kv := s.KV(BucketDevices)
	empty := new(view)
	require.NoError(t, kv.Watch(t.Context(), empty.note))
	require.Empty(t, empty.calls())

	require.NoError(t, kv.Put(t.Context(), "p.a", []byte("1")))
	require.NoError(t, kv.Put(t.Context(), "p.b", []byte{}))
	ctx, cancel := context.WithCancel(t.Context())
	v := new(view)
	require.NoError(t, kv.Watch(ctx, v.note))
	require.Equal(t, []string{"p.a=1", "p.b="}, v.calls())

	require.NoError(t, kv.Put(t.Context(), "p.a", []byte("2")))
	require.NoError(t, kv.Delete(t.Context(), "p.b"))
	want := []string{"p.a=1", "p.b=", "p.a=2", "p.b!"}
	require.Eventually(t, func() bool { return len(v.calls()) == len(want) }, limit, time.Millisecond)
	require.Equal(t, want, v.calls())
	// This one watched from the start; it may have missed values that were replaced meanwhile.
	require.Eventually(t, func() bool {
		calls := empty.calls()
		return len(calls) > 0 && calls[len(calls)-1] == "p.b!"
	}, limit, time.Millisecond)
	require.Equal(t, map[string]string{"p.a": "2"}, empty.current())

	cancel()
	require.NoError(t, kv.Put(t.Context(), "p.c", []byte("3")))
	require.Eventually(t, func() bool { return empty.current()["p.c"] == "3" }, limit, time.Millisecond)
	require.Equal(t, want, v.calls(), "nothing after ctx has ended")
}

func TestKVWatchGoesOnAfterARestart(t *testing.T) {
	s := openStore(t, Options{})
	kv := s.KV(BucketDevices)
	v := new(view)
	require.NoError(t, kv.Put(t.Context(), "a", []byte("1")))
	require.NoError(t, kv.Put(t.Context(), "b", []byte("1")))
	require.NoError(t, kv.Watch(t.Context(), v.note))
	s.server.stop()
	kv.PutAsync("a", []byte("2"), func(error) {})
	require.NoError(t, s.server.start())
	require.NoError(t, kv.Delete(t.Context(), "b"))
	require.NoError(t, kv.Put(t.Context(), "c", []byte("1")))
	require.Eventually(t, func() bool {
		now := v.current()
		return now["a"] == "2" && now["c"] == "1" && len(now) == 2
	}, limit, 10*time.Millisecond)
}

func TestKVWritesWaitForTheServer(t *testing.T) {
	s := openStore(t, Options{})
	kv := s.KV(BucketDevices)
	s.server.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := kv.Put(ctx, "a", []byte("late"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, ErrDisconnected)
	require.ErrorContains(t, err, "put a: not confirmed")

	outcome := make(chan error, 2)
	kv.PutAsync("b", []byte("given up"), func(err error) { outcome <- err })
	require.Error(t, closeWithin(s, 50*time.Millisecond))
	require.ErrorIs(t, <-outcome, ErrClosed)
	kv.PutAsync("b", []byte("too late"), func(err error) { outcome <- err })
	require.ErrorIs(t, <-outcome, ErrClosed)
}

// An older value whose first attempt failed must not be written after a newer one that succeeded.
func TestKVOldValueDoesNotReturn(t *testing.T) {
	s := openStore(t, Options{})
	ctx := t.Context()
	kv := s.KV(BucketDevices)
	st, err := s.JetStream().Stream(ctx, "KV_"+BucketDevices)
	require.NoError(t, err)
	c := st.CachedInfo().Config
	require.NoError(t, kv.Put(ctx, "other", []byte("fills the bucket")))
	c.MaxMsgs, c.Discard = 1, jetstream.DiscardNew
	_, err = s.JetStream().UpdateStream(ctx, c)
	require.NoError(t, err)

	outcomes := make(chan error, 3)
	for _, v := range []string{"old", "newer", "newest"} {
		kv.PutAsync("k", []byte(v), func(err error) { outcomes <- err })
	}
	require.Eventually(t, func() bool { return s.writes.healthy() != nil }, limit, time.Millisecond)
	require.Empty(t, outcomes)
	c.MaxMsgs = -1
	_, err = s.JetStream().UpdateStream(ctx, c)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, <-outcomes)
	}
	v, err := kv.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "newest", string(v))
	info, err := st.Info(ctx)
	require.NoError(t, err)
	require.Less(t, info.State.LastSeq, uint64(4), "old was not written at all")
	require.Zero(t, s.writes.snapshot().Waiting)
	require.Empty(t, s.writes.latest)
	require.NoError(t, s.writes.healthy())
}
