package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// spy watches how the registry uses its store.
type spy struct {
	*memkv.KV
	mu     sync.Mutex
	flying map[string]bool
	most   int
	begun  atomic.Int64
	twice  []string // keys with two writes at once
}

func (s *spy) begin(key string) {
	s.begun.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flying[key] {
		s.twice = append(s.twice, key)
	}
	s.flying[key] = true
	s.most = max(s.most, len(s.flying))
}

func (s *spy) end(key string) {
	s.mu.Lock()
	delete(s.flying, key)
	s.mu.Unlock()
}

func (s *spy) PutAsync(key string, value []byte, done func(error)) {
	s.begin(key)
	s.KV.PutAsync(key, value, func(err error) {
		s.end(key)
		done(err)
	})
}

func (s *spy) Delete(ctx context.Context, key string) error {
	s.begin(key)
	defer s.end(key)
	return s.KV.Delete(ctx, key)
}

func TestWriterCoalescesAndBoundsItsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &spy{KV: memkv.New(), flying: make(map[string]bool)}
		r := openRegistry(t, kv, RegistryOptions{Window: 16})
		var vins []string
		for i := range 500 {
			vins = append(vins, fmt.Sprintf("V%03d", i))
		}
		kv.Delay(time.Second)
		mustRegister(t, r, vins...)
		require.Equal(t, 500, kv.Puts())
		require.Equal(t, 16, kv.most, "a window of writes at a time")

		v := vin(t, "V000")
		at := time.Now()
		for i := range 1000 { // flaps while the first write is under way
			r.Note(onlineEvent(v, uint64(i+1), at))
			r.Note(offlineEvent(v, uint64(i+1), at, ReasonTakeover))
			if i == 0 {
				synctest.Wait()
			}
		}
		require.Equal(t, 1, r.Backlog())
		closeRegistry(t, r)
		require.Equal(t, 502, kv.Puts(), "the first change, and all others together")
		kv.Delay(0)
		require.Equal(t, FormatID(1000), stored(t, kv.KV, "p", "V000")["session"])
		require.Empty(t, kv.twice, "no two writes of one VIN at once")
	})
}

func TestWriterOutlivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &spy{KV: memkv.New(), flying: make(map[string]bool)}
		r := openRegistry(t, kv, RegistryOptions{RetryMin: 100 * time.Millisecond, RetryMax: 5 * time.Second})
		mustRegister(t, r, "A", "B")
		require.NoError(t, r.Healthy())
		away := errors.New("no quorum")
		kv.Fail(away)

		// What cannot be confirmed says so, is in force, and is written later.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result, err := r.Register(ctx, "p", []string{"C"})
		require.ErrorIs(t, err, ErrUnconfirmed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, away)
		require.ErrorContains(t, err, "no quorum")
		require.Equal(t, 1, result.Count(Registered))
		_, known := r.Lookup(vin(t, "C"))
		require.True(t, known)
		_, err = r.Register(ctx, "p", []string{"C"})
		require.ErrorIs(t, err, ErrUnconfirmed, "again: still not in the store")
		require.ErrorIs(t, r.Delete(ctx, "p", vin(t, "B")), ErrUnconfirmed)
		require.ErrorIs(t, r.Delete(ctx, "p", vin(t, "B")), ErrUnconfirmed, "again: still on the way")
		require.ErrorIs(t, r.Healthy(), away)

		begun := kv.begun.Load()
		for i := range 1000 {
			r.Note(onlineEvent(vin(t, "A"), uint64(i+1), time.Now()))
			time.Sleep(600 * time.Millisecond)
		}
		require.Equal(t, 3, r.Backlog())
		tries := kv.begun.Load() - begun
		require.Less(t, tries, int64(600), "10 minutes, with a pause of up to 5 s")
		require.Greater(t, tries, int64(100))

		kv.Fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Zero(t, r.Backlog(), "the flow resumes by itself")
		require.NoError(t, r.Healthy())
		require.Equal(t, []string{"p.A", "p.C"}, kv.Keys())
		require.Equal(t, FormatID(1000), stored(t, kv.KV, "p", "A")["session"])

		// And the pause is short again.
		kv.Fail(away)
		r.Note(offlineEvent(vin(t, "A"), 1000, time.Now(), ReasonIdle))
		synctest.Wait()
		kv.Fail(nil)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, r.Backlog())
		require.Empty(t, kv.twice)
		closeRegistry(t, r)
	})
}

// While the store is away one window of writes is tried at a time, not the whole backlog.
func TestWriterPausesWithABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &spy{KV: memkv.New(), flying: make(map[string]bool)}
		kv.Delay(10 * time.Millisecond)
		begun := time.Now()
		r := openRegistry(t, kv, RegistryOptions{Window: 2, RetryMin: time.Second, RetryMax: time.Second})
		kv.Fail(errors.New("away"))
		for i := range 100 {
			r.RegisterAsync("p", vin(t, fmt.Sprint("V", i)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 100, r.Backlog())
		require.LessOrEqual(t, kv.begun.Load(), int64(2*60+2), "a window a second")
		require.Greater(t, kv.begun.Load(), int64(50))
		kv.Fail(nil)
		closeRegistry(t, r)
		require.Len(t, kv.Keys(), 100)
		require.Less(t, time.Since(begun), 63*time.Second)
		require.Empty(t, kv.twice)
	})
}

func TestOldDeletionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRegistry(t, memkv.New(), RegistryOptions{})
		tombs := func() (n int) {
			for i := range r.shards {
				sh := &r.shards[i] // the echoes of the deletions are coming in
				sh.mu.RLock()
				n += len(sh.tombs)
				sh.mu.RUnlock()
			}
			return n
		}
		var vins []string
		for i := range 2500 { // so many later ones that each shard, which sweeps itself, has some
			vins = append(vins, fmt.Sprint("V", i))
		}
		mustRegister(t, r, vins...)
		for i, text := range vins {
			if i == 500 {
				require.Equal(t, 500, tombs())
				time.Sleep(tombLife + time.Second)
			}
			require.NoError(t, r.Delete(t.Context(), "p", vin(t, text)))
		}
		require.Equal(t, 2000, tombs(), "the later ones")
		closeRegistry(t, r)
	})
}

func TestWriterWithLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		r := openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, r, "A")
		kv.LoseAnswers(errors.New("timeout"))
		done := make(chan error, 1)
		go func() { done <- r.Delete(t.Context(), "p", vin(t, "A")) }()
		time.Sleep(time.Second)
		r.RegisterAsync("p", vin(t, "A")) // while the deletion is tried over and over
		time.Sleep(time.Minute)
		_, known := r.Lookup(vin(t, "A"))
		require.True(t, known, "the echoes of the deletion do not undo it")
		kv.LoseAnswers(nil)
		require.NoError(t, <-done)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"p.A"}, kv.Keys())
		_, known = r.Lookup(vin(t, "A"))
		require.True(t, known)
		closeRegistry(t, r)
	})
}

func TestCloseGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		r := openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, r, "A", "B")
		away := errors.New("no quorum")
		kv.Fail(away)
		r.Note(onlineEvent(vin(t, "A"), 1, time.Now()))
		r.Note(onlineEvent(vin(t, "B"), 2, time.Now()))
		waits := make(chan error, 1)
		go func() {
			_, err := r.Register(context.Background(), "p", []string{"C"})
			waits <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		err := r.Close(ctx)
		require.Equal(t, time.Second, time.Since(begun))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, away)
		require.ErrorContains(t, err, "3 devices")
		require.Equal(t, err, r.Close(t.Context()), "later calls return the same")
		err = <-waits
		require.ErrorIs(t, err, ErrUnconfirmed)
		require.ErrorIs(t, err, ErrClosed)
	})
}
