package command

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session/memkv"
)

type testClock struct{ at time.Time }

func (c *testClock) now() time.Time { return c.at }

func mustOpen(t *testing.T, kv KV, node string, clock *testClock) *sequence {
	t.Helper()
	s, err := openSequence(context.Background(), kv, node, clock.now)
	require.NoError(t, err)
	return s
}

func mustNext(t *testing.T, s *sequence) int64 {
	t.Helper()
	id, err := s.next(context.Background())
	require.NoError(t, err)
	return id
}

func TestMessageIDs(t *testing.T) {
	clock := &testClock{epoch.Add(1000 * time.Millisecond)}
	s := mustOpen(t, memkv.New(), "", clock)
	require.EqualValues(t, 1000<<12, mustNext(t, s))
	require.EqualValues(t, 1000<<12+1, mustNext(t, s))
	clock.at = clock.at.Add(time.Millisecond)
	require.EqualValues(t, 1001<<12, mustNext(t, s))
	clock.at = epoch.AddDate(-1, 0, 0)
	require.EqualValues(t, 1001<<12+1, mustNext(t, s), "the clock stepped back")
	clock.at = epoch.AddDate(60, 0, 0)
	require.Less(t, mustNext(t, s), int64(1)<<53)
	clock.at = epoch.AddDate(70, 0, 0)
	_, err := s.next(context.Background())
	require.ErrorIs(t, err, ErrStore)
}

// Over restarts ids go on, whatever the clock says and however the run ended.
func TestMessageIDsOverRestarts(t *testing.T) {
	kv, clock := memkv.New(), &testClock{epoch.AddDate(0, 11, 0)}
	last, seen := int64(0), 0
	for round := range 20 {
		s := mustOpen(t, kv, "n1", clock)
		require.GreaterOrEqual(t, s.last, last)
		for range 10_000 {
			id := mustNext(t, s)
			require.Greater(t, id, last)
			last = id
			seen++
		}
		if round%3 == 0 { // else: killed
			require.NoError(t, s.close(context.Background()))
			require.Equal(t, last, mustOpen(t, kv, "n1", clock).last)
		}
		clock.at = clock.at.Add(-time.Hour)
	}
	require.Equal(t, 200_000, seen)
	require.LessOrEqual(t, kv.Puts(), 40, "the mark is written once a minute, not once an id")
}

func TestMessageIDsOfNodesDiffer(t *testing.T) {
	kv, clock := memkv.New(), &testClock{epoch.AddDate(0, 11, 0)}
	one, two := mustOpen(t, kv, "n1", clock), mustOpen(t, kv, "n2", clock)
	seen := map[int64]bool{}
	for range 1000 {
		for _, s := range []*sequence{one, two} {
			id := mustNext(t, s)
			require.False(t, seen[id])
			seen[id] = true
		}
		clock.at = clock.at.Add(time.Millisecond)
	}
}

func TestMessageIDsNeedTheStore(t *testing.T) {
	kv, clock := memkv.New(), &testClock{epoch.AddDate(0, 11, 0)}
	s := mustOpen(t, kv, "n1", clock)
	first := mustNext(t, s)
	away := errors.New("store away")
	kv.Fail(away)
	require.Equal(t, first+1, mustNext(t, s), "within the mark nothing is asked of the store")
	clock.at = clock.at.Add(2 * time.Minute)
	_, err := s.next(context.Background())
	require.ErrorIs(t, err, ErrStore)
	require.ErrorIs(t, err, away)
	_, err = openSequence(context.Background(), kv, "n1", clock.now)
	require.ErrorIs(t, err, ErrStore)
	kv.Fail(nil)
	mustNext(t, s)

	require.NoError(t, kv.Put(context.Background(), "mark.n1", []byte("junk")))
	_, err = openSequence(context.Background(), kv, "n1", clock.now)
	require.ErrorIs(t, err, ErrStore)
}
