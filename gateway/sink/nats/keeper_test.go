package nats

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

// holding is a Holder that says when it is ready to take its files back.
type holding struct {
	mu         sync.Mutex
	away       bool
	lets, asks int
	notYet     error
}

func (h *holding) LetGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = true
	h.lets++
}

func (h *holding) TakeBack() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asks++
	if h.notYet == nil {
		h.away = false
	}
	return h.notYet
}

func (h *holding) state() (away bool, asks int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away, h.asks
}

func (h *holding) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notYet = err
}

// TestDiskAwayAndBack takes the store's directory away: the server stops and lets go, makes no other store in its place, and
// goes on with what waited when the directory is there again and its holder has it.
func TestDiskAwayAndBack(t *testing.T) {
	h := &holding{}
	h.set(errors.New("held by another process"))
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, Holder: h})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 100)
	to.wait(t, 100)
	seen := make(chan string, 10)
	require.NoError(t, s.KV(BucketLast).Watch(t.Context(), func(key string, _ []byte) { seen <- key }))

	store := filepath.Join(dir, "jetstream")
	require.NoError(t, os.Rename(store, dir+".away"))
	s.server.stop() // as after a failed write; what it would still write has no directory
	publishNumbered(t, s.Sink(), to, 100, 100)
	require.Eventually(t, func() bool { away, _ := h.state(); return away }, limit, 5*time.Millisecond)
	require.ErrorContains(t, s.Healthy(), "is its disk mounted")
	require.NoDirExists(t, store)

	require.NoError(t, os.Rename(dir+".away", store))
	require.Eventually(t, func() bool { _, asks := h.state(); return asks > 0 }, limit, 5*time.Millisecond)
	require.Eventually(t, func() bool { err := s.Healthy(); return err != nil && err.Error() == "nats: held by another process" }, limit, 5*time.Millisecond)
	require.Equal(t, 100, to.count())
	require.Zero(t, s.Restarts())

	h.set(nil)
	to.wait(t, 200)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, limit, 5*time.Millisecond)
	require.EqualValues(t, 1, s.Restarts())
	got, _ := bodies(t, s, StreamRecords)
	requireAll(t, 200, got)
	require.NoError(t, s.KV(BucketLast).Put(t.Context(), "a", nil))
	require.Equal(t, "a", <-seen)
	_, err := s.KV(BucketLast).Get(t.Context(), "a")
	require.NoError(t, err)
}

// TestIdleDiskGone takes the store's directory away while nothing is written: the next look finds out.
func TestIdleDiskGone(t *testing.T) {
	h := &holding{}
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, Holder: h})
	k := keeper{Store: s}
	k.look(time.Now())
	require.NoError(t, s.Healthy())
	require.Empty(t, probes(t, dir))

	store := filepath.Join(dir, "jetstream")
	require.NoError(t, os.Rename(store, dir+".away"))
	k.look(time.Now().Add(lookPeriod))
	require.ErrorContains(t, s.Healthy(), "is its disk mounted")
	away, _ := h.state()
	require.True(t, away)

	require.NoError(t, os.Rename(dir+".away", store))
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 10)
	to.wait(t, 10)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, limit, 5*time.Millisecond)
}

// probes are the files that a look has left behind.
func probes(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, ".probe-*"))
	require.NoError(t, err)
	return left
}

// slowHolder takes its files back when it is told to.
type slowHolder struct{ asked, back chan struct{} }

func (h *slowHolder) LetGo() {}

func (h *slowHolder) TakeBack() error {
	close(h.asked)
	<-h.back
	return nil
}

// TestCloseCutsARestartShort: when the store closes while the keeper is about to start the server again, it is not started.
func TestCloseCutsARestartShort(t *testing.T) {
	h := &slowHolder{asked: make(chan struct{}), back: make(chan struct{})}
	s := openStore(t, Options{Holder: h})
	s.server.stop() // as after a failed write
	<-h.asked
	closed := make(chan error)
	go func() { closed <- closeWithin(s, 0) }()
	<-s.quit
	close(h.back)
	<-closed
	require.Zero(t, s.Restarts())
}

// TestStartEndsWithTheStore: a server that does not get ready is not waited for when the store closes.
func TestStartEndsWithTheStore(t *testing.T) {
	quit := make(chan struct{})
	o := quiet(t, Options{ReadyTimeout: time.Hour})
	e, err := newEmbedded(o)
	require.NoError(t, err)
	e.quit = quit
	never, err := server.NewServer(e.opts.Clone()) // not started
	require.NoError(t, err)
	ended := make(chan error)
	go func() { ended <- e.await(never, newServerLog(o.Logger), nil) }()
	close(quit)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, ErrClosed)
	case <-time.After(limit):
		t.Fatal("it still waits")
	}
	never.Shutdown()
	require.ErrorIs(t, e.start(), ErrClosed)
}
