package vehicle

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// trouble is what a script does to the frames of a connection.
type trouble struct {
	split, bad, garbage, deaf time.Time // until when each goes on
	badOnce, garbageOnce      bool
	damaged                   int // damaged frames whose error answers are still welcome
	random                    rand.PCG
}

// splitPause is between two segments of a frame.
const splitPause = 3 * time.Millisecond

// start begins a fault of frames or of reading.
func (t *trouble) start(f ScriptedFault, now time.Time) {
	switch until := now.Add(f.For); f.Fault {
	case FaultSplitFrames:
		t.split = until
	case FaultBadCheck:
		t.bad, t.badOnce = until, f.For == 0
	case FaultGarbage:
		t.garbage, t.garbageOnce = until, f.For == 0
	case FaultSlowReader:
		t.deaf = until
	}
}

// pieces returns what is to be written for a frame, in one piece or several.
func (t *trouble) pieces(frame codec.Frame, count *counters) [][]byte {
	now := time.Now()
	var before []byte
	if t.badOnce || now.Before(t.bad) {
		t.badOnce = false
		before = bytes.Clone(frame)
		before[len(before)-1] ^= 0x5A
		t.damaged++
		count.update(func(s *Stats) { s.Damaged++ })
	}
	if t.garbageOnce || now.Before(t.garbage) {
		t.garbageOnce = false
		for range 1 + t.random.Uint64()%40 {
			before = append(before, byte('A'+t.random.Uint64()%26)) // never a start mark
		}
		count.update(func(s *Stats) { s.Damaged++ })
	}
	whole := append(before, frame...)
	if len(before) == 0 {
		whole = frame
	}
	if !now.Before(t.split) {
		return [][]byte{whole}
	}
	var pieces [][]byte
	for len(whole) > 0 {
		n := min(1+int(t.random.Uint64()%uint64(len(frame)/2+1)), len(whole))
		pieces = append(pieces, whole[:n])
		whole = whole[n:]
	}
	return pieces
}

// breathe pauses after a piece of a split frame, so that it is a segment of its own.
func (t *trouble) breathe() {
	if time.Now().Before(t.split) {
		time.Sleep(splitPause)
	}
}
