package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
)

func TestNodesFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		var barred []string
		a := openRegistry(t, kv, RegistryOptions{Node: "n1"})
		b := openRegistry(t, kv, RegistryOptions{Node: "n2", OnBarred: func(v codec.VIN) { barred = append(barred, v.String()) }})
		mustRegister(t, a, "A", "B")
		synctest.Wait()
		require.Equal(t, 2, b.Len())
		require.NoError(t, a.Disable(t.Context(), "p", vin(t, "A"), true))
		synctest.Wait()
		d, _ := b.Lookup(vin(t, "A"))
		require.True(t, d.Disabled)
		require.Equal(t, []string{"A"}, barred, "a device disabled elsewhere is cut here")
		require.NoError(t, a.Delete(t.Context(), "p", vin(t, "B")))
		synctest.Wait()
		_, known := b.Lookup(vin(t, "B"))
		require.False(t, known)
		require.Equal(t, []string{"A", "B"}, barred)
		result, err := b.Register(t.Context(), "q", []string{"A"})
		require.NoError(t, err)
		require.Equal(t, OtherProduct, result.Items[0].Status)
		closeRegistry(t, a)
		closeRegistry(t, b)
	})
}

// A vehicle goes from one node to another; the first node's late offline does not hide that it is
// online on the second.
func TestVehicleChangesNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		a := openRegistry(t, kv, RegistryOptions{Node: "n1"})
		b := openRegistry(t, kv, RegistryOptions{Node: "n2"})
		mustRegister(t, a, "A")
		v := vin(t, "A")
		t0 := time.Now()
		a.Note(onlineEvent(v, 1, t0))
		synctest.Wait()
		e := onlineEvent(v, 2, t0.Add(time.Minute))
		e.Node = "n2"
		b.Note(e)
		a.Note(offlineEvent(v, 1, t0.Add(2*time.Minute), ReasonIdle)) // before a has heard of it
		synctest.Wait()
		a.Note(offlineEvent(v, 1, t0.Add(3*time.Minute), ReasonIdle)) // and after
		synctest.Wait()
		for _, r := range []*Registry{a, b} {
			d, _ := r.Lookup(v)
			require.True(t, d.Online())
			require.Equal(t, "n2", d.Node)
			require.EqualValues(t, 2, d.Session)
			closeRegistry(t, r)
		}
		require.Equal(t, "n2", stored(t, kv, "p", "A")["node"], "and the store agrees")
	})
}

// A node that has not heard of a change writes the device's presence, and the old rest with it. The
// change is not lost.
func TestStaleWritesAreRepaired(t *testing.T) {
	setup := func(t *testing.T) (kv *memkv.KV, r *Registry, stale []byte) {
		kv = memkv.New()
		r = openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, r, "A")
		time.Sleep(time.Second)
		rec, _ := r.find(vin(t, "A"))
		rec.online, rec.session, rec.node = time.Now().UnixMilli(), 5, r.names.intern("n2")
		return kv, r, rec.appendStored(nil, vin(t, "A"), r.names, "n2")
	}
	t.Run("disabled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			kv, r, stale := setup(t)
			require.NoError(t, r.Disable(t.Context(), "p", vin(t, "A"), true))
			require.NoError(t, kv.Put(t.Context(), "p.A", stale))
			synctest.Wait()
			d, _ := r.Lookup(vin(t, "A"))
			require.True(t, d.Disabled)
			require.EqualValues(t, 5, d.Session, "what is newer in it holds")
			entry := stored(t, kv, "p", "A")
			require.Equal(t, true, entry["disabled"])
			require.Equal(t, "n2", entry["node"])
			closeRegistry(t, r)
		})
	})
	t.Run("deleted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			kv, r, stale := setup(t)
			require.NoError(t, r.Delete(t.Context(), "p", vin(t, "A")))
			synctest.Wait()
			require.NoError(t, kv.Put(t.Context(), "p.A", stale))
			synctest.Wait()
			_, known := r.Lookup(vin(t, "A"))
			require.False(t, known)
			require.Empty(t, kv.Keys(), "deleted again")
			closeRegistry(t, r)
		})
	})
	t.Run("moved to another product", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			kv, r, stale := setup(t)
			other := openRegistry(t, kv, RegistryOptions{Node: "n3"})
			require.NoError(t, r.Delete(t.Context(), "p", vin(t, "A")))
			_, err := r.Register(t.Context(), "q", []string{"A"})
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, kv.Put(t.Context(), "p.A", stale))
			synctest.Wait()
			require.Equal(t, []string{"q.A"}, kv.Keys())
			for _, node := range []*Registry{r, other} {
				d, known := node.Lookup(vin(t, "A"))
				require.True(t, known)
				require.Equal(t, "q", d.ProductKey)
				require.Equal(t, 1, node.Len())
				closeRegistry(t, node)
			}
		})
	})
}

// slowEcho delivers the changes of the bucket late. What is on its way when the watch ends is not delivered: a watcher
// that slept on would outlive its test.
type slowEcho struct {
	*memkv.KV
	lag time.Duration
}

func (kv *slowEcho) Watch(ctx context.Context, fn func(string, []byte)) error {
	return kv.KV.Watch(ctx, func(key string, value []byte) {
		select {
		case <-time.After(kv.lag):
			fn(key, value)
		case <-ctx.Done():
		}
	})
}

func TestOwnEchoesDoNotClobberMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &slowEcho{memkv.New(), 10 * time.Second}
		r := openRegistry(t, kv, RegistryOptions{})
		v := vin(t, "A")
		state := func() Device {
			d, known := r.Lookup(v)
			require.True(t, known)
			return d
		}
		mustRegister(t, r, "A")
		require.NoError(t, r.Disable(t.Context(), "p", v, true))
		require.NoError(t, r.Disable(t.Context(), "p", v, false))
		r.Note(onlineEvent(v, 1, time.Now()))
		synctest.Wait()
		r.Note(offlineEvent(v, 1, time.Now(), ReasonIdle))
		synctest.Wait()
		require.NoError(t, r.Delete(t.Context(), "p", v))
		mustRegister(t, r, "A")
		r.Note(onlineEvent(v, 2, time.Now()))
		synctest.Wait()
		want := state()
		require.True(t, want.Online())
		puts, deletes := kv.Puts(), kv.Deletes()
		for range 30 { // the echoes come in one by one
			time.Sleep(5 * time.Second)
			require.Equal(t, want, state())
		}
		require.Equal(t, puts, kv.Puts(), "and nothing is written because of them")
		require.Equal(t, deletes, kv.Deletes())
		closeRegistry(t, r)
	})
}

func TestDeleteElsewhereMeetsAChangeHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		r := openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, r, "A", "B")
		kv.Fail(errors.New("away"))
		done := make(chan error, 1)
		go func() { done <- r.Disable(t.Context(), "p", vin(t, "A"), true) }()
		r.Note(onlineEvent(vin(t, "B"), 1, time.Now()))
		synctest.Wait()
		kv.Fail(nil)
		require.NoError(t, kv.Delete(t.Context(), "p.A")) // another node's
		require.NoError(t, kv.Delete(t.Context(), "p.B"))
		require.NoError(t, <-done)
		synctest.Wait()
		require.Equal(t, []string{"p.A"}, kv.Keys(), "an operator's change here is the later word, a vehicle's presence is none")
		require.Equal(t, 1, r.Len())
		closeRegistry(t, r)
	})
}

func TestForeignEntriesAreLeftAlone(t *testing.T) {
	kv := memkv.New()
	require.NoError(t, kv.Put(t.Context(), "no-dot", []byte("{}")))
	require.NoError(t, kv.Put(t.Context(), "p.lower=2e", []byte("{}")))
	require.NoError(t, kv.Put(t.Context(), "p.LTEST0000000000012", []byte("{}")))
	require.NoError(t, kv.Put(t.Context(), "p.BAD", []byte("not JSON")))
	require.NoError(t, kv.Put(t.Context(), "p.BAD2", []byte(`{"session":"zz"}`)))
	require.NoError(t, kv.Put(t.Context(), "p.GOOD", []byte(`{"vin":"GOOD","more":1}`)))
	r := openRegistry(t, kv, RegistryOptions{})
	require.Equal(t, 1, r.Len())
	closeRegistry(t, r)
	require.Len(t, kv.Keys(), 6)
}

// merge must give every node the same, in whatever order it hears of the states.
func TestMergeAgrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		state := func() record {
			r := record{
				product: 1, registered: 1 + rnd.Int64N(2), changed: 1 + rnd.Int64N(3), disabled: rnd.IntN(2) == 0,
				activated: rnd.Int64N(3), online: rnd.Int64N(3), offline: rnd.Int64N(3),
			}
			r.session = uint64(r.online)*10 + uint64(rnd.IntN(2))
			return r
		}
		a, b, c := state(), state(), state()
		if a.registered != b.registered || b.registered != c.registered {
			// Of two registrations the later is taken as a whole; a node never has two states of
			// one registration with different contents otherwise than by merging.
			ab, _ := merge(a, b)
			ba, _ := merge(b, a)
			if a.registered != b.registered {
				require.Equal(t, ab, ba)
			}
			continue
		}
		ab, stale := merge(a, b)
		ba, _ := merge(b, a)
		require.Equal(t, ab, ba, "in either order")
		abc, _ := merge(ab, c)
		bc, _ := merge(b, c)
		a2, _ := merge(a, bc)
		require.Equal(t, abc, a2, "in any grouping")
		again, repair := merge(ab, ab)
		require.Equal(t, ab, again)
		require.False(t, repair, "what is stored is not stored again")
		if !stale {
			require.Equal(t, b, ab, fmt.Sprintf("not stale, so the store has all: %+v %+v", a, b))
		}
	}
}
