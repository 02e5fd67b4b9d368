package command

import (
	"bytes"

	"github.com/tboxgate/tboxgate/codec"
)

// match finds the command that an answer belongs to: the one in flight, or, when there is none, the last one if it ended
// without an answer. Vehicle and kind of command are all that GB/T 32960 gives to go by: conforming terminals put the time of
// the reply into the answer, others the time of the request, others send nothing at all. Only when both the command in flight
// and the last one could be meant, an equal control id or time decides: so the second answer to a command that was repeated
// is not taken for the answer to its successor.
func (s *slot) match(f codec.Frame) *task {
	current, last := s.current, s.last
	if current != nil && current.tries == 0 {
		current = nil // never left the gateway
	}
	if last != nil && (current == nil || last.likeness(f) > current.likeness(f)) {
		if last.awaits() {
			return last
		}
		return nil
	}
	return current
}

// likeness says how well an answer fits the command: a control id that is equal or different weighs more than an equal time.
func (t *task) likeness(f codec.Frame) int {
	n := 0
	unit := f.Unit()
	if len(unit) >= codec.TimeSize && len(t.head) >= codec.TimeSize && bytes.Equal(unit[:codec.TimeSize], t.head[:codec.TimeSize]) {
		n++
	}
	if t.key.command == codec.CommandControl && len(unit) > codec.TimeSize && len(t.head) > codec.TimeSize {
		if unit[codec.TimeSize] == t.head[codec.TimeSize] {
			n += 2
		} else {
			n -= 2
		}
	}
	return n
}

// awaits reports whether a command that is over may still be answered: it ended without an answer although it was sent.
func (t *task) awaits() bool {
	return t.result.Flag == "" && t.result.Sends > 0
}
