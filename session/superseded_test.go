package session

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session/memkv"
)

// newerError is what a bucket says of a write that gave way.
type newerError struct{ value []byte }

func (newerError) Error() string   { return "written by another gateway" }
func (e newerError) Newer() []byte { return e.value }

// outage is a bucket that this node cannot reach for a while, whatever others write there, and that tells it nothing of
// that but by refusing what was held up.
type outage struct {
	*memkv.KV
	mu     sync.Mutex
	there  []byte // refuses the next write; nil with none
	refuse bool
}

func (o *outage) give() (newerError, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.refuse
	o.refuse = false
	return newerError{o.there}, r
}

func (o *outage) PutAsync(key string, value []byte, done func(error)) {
	if e, ok := o.give(); ok {
		go done(e)
		return
	}
	o.KV.PutAsync(key, value, done)
}

func (o *outage) Delete(ctx context.Context, key string) error {
	if e, ok := o.give(); ok {
		return e
	}
	return o.KV.Delete(ctx, key)
}

func (o *outage) Watch(ctx context.Context, fn func(string, []byte)) error {
	return (&slowEcho{o.KV, time.Hour}).Watch(ctx, fn)
}

// A vehicle went online here while another node disabled it, unheard of: the presence is stored with that.
func TestHeldUpWriteTakesOthersChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &outage{KV: memkv.New()}
		r := openRegistry(t, kv, RegistryOptions{})
		v := vin(t, "A")
		mustRegister(t, r, "A")
		time.Sleep(time.Second)
		rec, _ := r.find(v)
		rec.disabled, rec.changed = true, time.Now().UnixMilli()
		theirs := rec.appendStored(nil, v, r.names, "n2")
		require.NoError(t, kv.Put(t.Context(), "p.A", theirs))
		kv.refuse, kv.there = true, theirs
		r.Note(onlineEvent(v, 7, time.Now()))
		synctest.Wait()
		require.False(t, kv.refuse)
		d, _ := r.Lookup(v)
		require.True(t, d.Disabled)
		require.True(t, d.Online())
		require.Equal(t, true, stored(t, kv.KV, "p", "A")["disabled"])
		require.Equal(t, "n1", stored(t, kv.KV, "p", "A")["node"])
		require.NoError(t, r.Healthy())
		closeRegistry(t, r)
	})
}

// A vehicle is deleted here while another node, unheard of, has deleted it and registered it anew: that stands.
func TestHeldUpDeletionSparesANewRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &outage{KV: memkv.New()}
		r := openRegistry(t, kv, RegistryOptions{})
		v := vin(t, "A")
		mustRegister(t, r, "A")
		rec, _ := r.find(v)
		time.Sleep(time.Second)
		rec.registered = time.Now().UnixMilli()
		theirs := rec.appendStored(nil, v, r.names, "n2")
		require.NoError(t, kv.Put(t.Context(), "p.A", theirs))
		kv.refuse, kv.there = true, theirs
		require.NoError(t, r.Delete(t.Context(), "p", v))
		synctest.Wait()
		require.Equal(t, []string{"p.A"}, kv.Keys())
		require.Zero(t, kv.Deletes(), "not for a moment")
		_, known := r.Lookup(v)
		require.True(t, known)
		closeRegistry(t, r)
	})
}
