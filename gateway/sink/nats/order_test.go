package nats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

// wire is a proxy before a server. It can hold back what clients send, drop what the server says, and cut the clients
// off while the server still believes in them.
type wire struct {
	t      *testing.T
	listen net.Listener
	to     string
	over   sync.WaitGroup

	mu     sync.Mutex
	links  []*link // not cut
	all    []*link
	hold   bool // what clients send is kept, for release
	deafen bool // what the server says is dropped
	seen   bytes.Buffer
}

// link is one connection.
type link struct {
	client, server net.Conn
	held           []byte
	cut            bool
}

func newWire(t *testing.T, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{t: t, listen: l, to: to}
	w.over.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			k := &link{client: c, server: s}
			w.mu.Lock()
			w.links, w.all = append(w.links, k), append(w.all, k)
			w.mu.Unlock()
			w.over.Go(func() { w.up(k) })
			w.over.Go(func() { w.down(k) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.mu.Lock()
		for _, k := range w.all {
			_, _ = k.client.Close(), k.server.Close()
		}
		w.mu.Unlock()
		w.over.Wait()
	})
	return w
}

func (w *wire) url() string { return "nats://" + w.listen.Addr().String() }

// up carries from the client to the server.
func (w *wire) up(k *link) {
	buf := make([]byte, 64<<10)
	for {
		n, err := k.client.Read(buf)
		w.mu.Lock()
		w.seen.Write(buf[:n])
		if w.hold {
			k.held = append(k.held, buf[:n]...)
		} else if !k.cut {
			_, _ = k.server.Write(buf[:n])
		}
		cut := k.cut
		w.mu.Unlock()
		if err != nil {
			if !cut {
				_ = k.server.Close()
			}
			return
		}
	}
}

// down carries from the server to the client.
func (w *wire) down(k *link) {
	buf := make([]byte, 64<<10)
	for {
		n, err := k.server.Read(buf)
		w.mu.Lock()
		if !w.deafen && !k.cut {
			_, _ = k.client.Write(buf[:n])
		}
		w.mu.Unlock()
		if err != nil {
			_ = k.client.Close()
			return
		}
	}
}

func (w *wire) set(hold, deafen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold, w.deafen = hold, deafen
	w.seen.Reset()
}

// sent waits until clients have sent a text since set.
func (w *wire) sent(text string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return bytes.Contains(w.seen.Bytes(), []byte(text))
	}, limit, time.Millisecond, "%q is not published", text)
}

// cut takes the clients' connections away; the server keeps its ends. It returns them.
func (w *wire) cut() (old []*link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, w.links = w.links, nil
	for _, k := range old {
		k.cut = true
		_ = k.client.Close()
	}
	w.hold, w.deafen = false, false
	return old
}

// release lets what was held back arrive on connections that were cut, and returns when the server has taken it all.
func (w *wire) release(old []*link) {
	w.t.Helper()
	for _, k := range old {
		w.mu.Lock()
		held := k.held
		w.mu.Unlock()
		_, err := k.server.Write(held)
		require.NoError(w.t, err)
		require.NoError(w.t, k.server.(*net.TCPConn).CloseWrite()) // the server reads to the end, and closes
		require.NoError(w.t, k.server.SetReadDeadline(time.Now().Add(limit)))
		_, err = io.Copy(io.Discard, k.server)
		require.NoError(w.t, err)
	}
}

// externalServer starts a server that is not the store's own.
func externalServer(t *testing.T) *server.Server {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go srv.Start()
	require.True(t, srv.ReadyForConnections(limit))
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv
}

// farAndNear are the stores of two gateways on one external server, the first one behind a wire. The first one has
// written the key.
func farAndNear(t *testing.T) (far *Store, w *wire, near *Store) {
	srv := externalServer(t)
	w = newWire(t, srv.Addr().String())
	far = openStore(t, Options{URL: w.url(), Node: "far"})
	near = openStore(t, Options{URL: srv.ClientURL(), Node: "near"})
	require.NoError(t, outcome(t, write(far, "first")))
	return far, w, near
}

// write hands a value of the test's key over, and returns where the outcome comes.
func write(s *Store, value string) <-chan error {
	done := make(chan error, 2)
	s.KV(BucketLast).PutAsync("k", []byte(value), func(err error) { done <- err })
	return done
}

func outcome(t *testing.T, of <-chan error) error {
	t.Helper()
	select {
	case err := <-of:
		return err
	case <-time.After(limit):
		t.Fatal("a write has no outcome")
		return nil
	}
}

// requireKey checks what is stored under the test's key, and how many writes the bucket has taken.
func requireKey(t *testing.T, s *Store, want string, writes uint64) {
	t.Helper()
	require.NoError(t, s.KV(BucketLast).Put(t.Context(), "last", nil)) // what the server has taken before is in the stream now
	got, err := s.KV(BucketLast).Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	st, err := s.JetStream().Stream(t.Context(), "KV_"+BucketLast)
	require.NoError(t, err)
	require.Equal(t, writes+1, st.CachedInfo().State.LastSeq)
}

// The first attempt of a write hangs on a broken connection, and arrives when the gateway has repeated it and written
// something newer.
func TestLateAttemptDoesNotOverwrite(t *testing.T) {
	far, w, near := farAndNear(t)
	w.set(true, false)
	older := write(far, "older")
	w.sent("older")
	broken := w.cut()
	require.NoError(t, outcome(t, older))
	require.NoError(t, outcome(t, write(far, "newest")))
	w.release(broken)
	requireKey(t, near, "newest", 3)
}

// It arrives when the gateway is gone and another one has written something newer.
func TestLateAttemptDoesNotOverwriteAnotherGateway(t *testing.T) {
	far, w, near := farAndNear(t)
	w.set(true, false)
	older := write(far, "older")
	w.sent("older")
	broken := w.cut()
	require.ErrorIs(t, errors.Join(closeWithin(far, 0), outcome(t, older)), ErrClosed)
	require.NoError(t, outcome(t, write(near, "newest")))
	w.release(broken)
	requireKey(t, near, "newest", 2)
}

// The server has taken a write and its confirmation is lost: it is not made twice.
func TestLostConfirmation(t *testing.T) {
	far, w, near := farAndNear(t)
	w.set(false, true)
	older := write(far, "older")
	require.Eventually(t, func() bool {
		v, err := near.KV(BucketLast).Get(t.Context(), "k")
		return err == nil && string(v) == "older"
	}, limit, time.Millisecond)
	newest := write(far, "newest")
	w.cut()
	require.NoError(t, outcome(t, older))
	require.NoError(t, outcome(t, newest))
	requireKey(t, near, "newest", 3)
}

// Another gateway writes the key while this one cannot be told that its own write was taken, or cannot write at all: what
// it repeats is older, and it is told what stands there. Its next write is newer again.
func TestHeldUpWriteGivesWay(t *testing.T) {
	for name, c := range map[string]struct {
		hold, deafen, deleted bool
		writes                uint64
	}{
		"taken, confirmation lost":   {deafen: true, writes: 3},
		"held up":                    {hold: true, writes: 2},
		"held up, deleted meanwhile": {hold: true, deleted: true, writes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			far, w, near := farAndNear(t)
			w.set(c.hold, c.deafen)
			older := write(far, "older")
			w.sent("older")
			if c.deafen {
				require.Eventually(t, func() bool {
					v, err := near.KV(BucketLast).Get(t.Context(), "k")
					return err == nil && string(v) == "older"
				}, limit, time.Millisecond)
			}
			want := []byte("newest")
			if c.deleted {
				want = nil
				require.NoError(t, near.KV(BucketLast).Delete(t.Context(), "k"))
			} else {
				require.NoError(t, outcome(t, write(near, "newest")))
			}
			w.release(w.cut())
			err := outcome(t, older)
			var superseded *SupersededError
			require.ErrorAs(t, err, &superseded)
			require.Equal(t, want, superseded.Newer())
			require.ErrorContains(t, err, "another gateway has written k meanwhile")
			require.NoError(t, outcome(t, write(far, "again")))
			requireKey(t, near, "again", c.writes+1)
		})
	}
}

// Writes that wait for a connection are newer than what another gateway wrote before them.
func TestWritesAfterAnothersAreMade(t *testing.T) {
	far, w, near := farAndNear(t)
	require.NoError(t, outcome(t, write(near, "other")))
	require.NoError(t, outcome(t, write(far, "fresh")), "nothing has held it up")
	requireKey(t, near, "fresh", 3)
	require.NoError(t, outcome(t, write(near, "other")))
	w.set(true, true)
	held := write(far, "held up")
	w.sent("held up")
	w.cut()
	require.NoError(t, outcome(t, held))
	requireKey(t, near, "held up", 6)
}

// Many writes to some keys through connections that break all the time: each has one outcome, and the last of each key
// stands.
func TestOrderThroughBrokenConnections(t *testing.T) {
	far, w, near := farAndNear(t)
	const keys, rounds, each = 5, 2, 200
	var ended sync.WaitGroup
	for round := range rounds {
		w.set(false, round%2 == 1)
		for i := range each {
			ended.Add(1)
			far.KV(BucketLast).PutAsync(fmt.Sprint("k.", i%keys), fmt.Append(nil, round, i), func(err error) {
				if err != nil {
					t.Error(err)
				}
				ended.Done()
			})
			if i == each/2 {
				w.cut()
			}
		}
	}
	ended.Wait()
	for i := each - keys; i < each; i++ {
		v, err := near.KV(BucketLast).Get(t.Context(), fmt.Sprint("k.", i%keys))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(rounds-1, i), string(v))
	}
	far.order.mu.Lock()
	defer far.order.mu.Unlock()
	require.Empty(t, far.order.busy)
}
