package gateway

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWindowKeepsOrder stores tickets in random order and checks that answers
// come out once, in order, and never before their turn.
func TestWindowKeepsOrder(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := &window{}
		w.reset(seed * 1000)
		var want, got []byte
		stored := map[uint64]bool{}
		next, base := w.base, w.base
		open := []uint64{}
		answers := map[uint64][]byte{}
		for step := 0; step < 2000; step++ {
			if r.IntN(2) == 0 {
				answer := make([]byte, r.IntN(40))
				for i := range answer {
					answer[i] = byte(r.Uint32())
				}
				require.Equal(t, next, w.next())
				w.push(waiting{size: 7}, answer)
				answers[next] = answer
				open = append(open, next)
				next++
			} else if len(open) > 0 {
				i := r.IntN(len(open))
				ticket := open[i]
				open = append(open[:i], open[i+1:]...)
				stored[ticket] = true
				left := 0
				w.stored(ticket, func(e waiting) { left++ })
				for ; stored[base]; base++ {
					want = append(want, answers[base]...)
					left--
				}
				require.Zero(t, left)
				w.stored(ticket, func(waiting) { t.Fatal("a ticket told twice lets nothing out") })
			}
			require.Equal(t, int(next-base), w.n)
			require.Equal(t, 7*w.n, w.size)
			if r.IntN(3) == 0 {
				got = append(got, w.take()...)
				require.Equal(t, want, got)
			}
		}
	}
}

func TestWheel(t *testing.T) {
	var w wheel
	w.at = 1_000_000
	conns := make([]*conn, 2000)
	for i := range conns {
		conns[i] = &conn{slot: -1, deadline: w.at + 1 + int64(i)}
		w.add(conns[i])
	}
	fired := map[*conn]int64{}
	note := func(now int64) func(*conn) {
		return func(c *conn) {
			if _, twice := fired[c]; twice {
				t.Fatal("fired twice")
			}
			fired[c] = now
		}
	}
	moved, gone := conns[100], conns[101]
	moved.deadline += 5000 // traffic only moves the deadline
	w.remove(gone)
	w.remove(gone) // twice does nothing
	for now := w.at; now <= 1_000_000+8000; now += 3 {
		w.advance(now, note(now))
	}
	for i, c := range conns {
		at, ok := fired[c]
		require.Equal(t, c != gone, ok, "connection %d", i)
		if ok && (at < c.deadline || at > c.deadline+3) {
			t.Fatalf("connection %d: fired at %d, due at %d", i, at, c.deadline)
		}
	}
	// A loop that was held up longer than a turn fires what is due at once.
	late := &conn{slot: -1, deadline: w.at + 10}
	w.add(late)
	w.advance(w.at+10*wheelSlots, note(1))
	require.Contains(t, fired, late, "a loop that was held up")
}
