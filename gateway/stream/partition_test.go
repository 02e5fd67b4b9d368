package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/codec"
)

// TestPartitionForgetsTheOldest: a ring that is full takes the oldest places, and says from when on it still knows all.
func TestPartitionForgetsTheOldest(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	p := &partition{newest: make(map[uint64]int), from: began}
	const twice = 50 // the key of two messages, of which the first will be forgotten
	p.note(twice, 1, began)
	for i := 2; i <= maxPlaces; i++ {
		p.note(uint64(1000+i), uint64(i), began.Add(time.Duration(i)*time.Second))
	}
	p.note(uint64(1000+maxPlaces), maxPlaces, began) // the same message once more
	require.Len(t, p.places, maxPlaces)
	require.True(t, p.from.Equal(began), "nothing is forgotten yet")

	next := uint64(maxPlaces + 1)
	p.note(twice, next, began.Add(time.Hour*24))
	got, more := p.candidates(twice)
	require.Equal(t, []uint64{next}, got, "its first message is forgotten")
	require.False(t, more)
	require.True(t, p.from.Equal(began.Add(time.Second)))
	p.note(7, next+1, began.Add(time.Hour*24))
	got, _ = p.candidates(1002)
	require.Empty(t, got)
	require.True(t, p.from.Equal(began.Add(3*time.Second)))
	got, _ = p.candidates(7, 1003, twice)
	require.Equal(t, []uint64{next + 1, 3, next}, got)
	require.Len(t, p.newest, maxPlaces)
}

// TestPartitionCandidates: the newest come first, and of many not all are read.
func TestPartitionCandidates(t *testing.T) {
	p := &partition{newest: make(map[uint64]int)}
	var want []uint64
	for i := 1; i <= maxCandidates; i++ {
		p.note(1, uint64(i), time.Unix(0, 0))
		p.note(2, uint64(i), time.Unix(0, 0))
		want = append([]uint64{uint64(i)}, want...)
	}
	got, more := p.candidates(1)
	require.Equal(t, want, got)
	require.False(t, more)
	p.note(1, 100, time.Unix(0, 0))
	got, more = p.candidates(1)
	require.Equal(t, append([]uint64{100}, want[:maxCandidates-1]...), got)
	require.True(t, more)
}

// TestLoadIsBounded: without an allowance nothing is read, and what is known stays.
func TestLoadIsBounded(t *testing.T) {
	b := newBatches(nil)
	b.allowance = rate.NewLimiter(0, 1)
	require.True(t, b.allowance.Allow())
	from := time.Now()
	p := &partition{from: from, reached: from, newest: map[uint64]int{1: 1}, places: []place{{key: 1, sequence: 5}}}
	require.ErrorIs(t, b.load(t.Context(), p, "", from, from), ErrUnchecked)
	require.ErrorIs(t, b.load(t.Context(), p, "", from.Add(-time.Hour), from), ErrUnchecked)
	got, _ := p.candidates(1)
	require.Equal(t, []uint64{5}, got)
	p.complete = from.Add(time.Second)
	require.NoError(t, b.load(t.Context(), p, "", from, from), "somebody else looked meanwhile")
}

func TestPlaceKey(t *testing.T) {
	a, b := codec.VIN{'A'}, codec.VIN{'B'}
	at := time.Now()
	require.Equal(t, placeKey(a, at.Truncate(time.Second)), placeKey(a, at.UTC()))
	require.NotEqual(t, placeKey(a, at), placeKey(b, at))
	require.NotEqual(t, placeKey(a, at), placeKey(a, at.Add(time.Second)))
	require.NotEqual(t, placeKey(a, at), placeKey(a, time.Time{}))
}
