package session

import "github.com/tboxgate/tboxgate/codec"

// Novelty says whether a report may repeat one that was stored before.
type Novelty uint8

// The kinds of novelty.
const (
	Fresh  Novelty = iota // collected after the login and not sent before: it cannot repeat one
	Repeat                // repeats one of the session's last reports, byte for byte
	Unsure                // only the store can tell
)

// lastReports is how many reports are remembered: a split pack has one for every 200 cells.
const lastReports = 4

// recent remembers the last reports of a session.
type recent struct {
	newest uint64 // the newest collection time as a number; the login's before the first report
	floor  uint64 // the login's: what was collected later, no earlier session can have stored
	hashes [lastReports]uint64
	next   uint8 // where the next hash goes
	same   uint8 // how many of hashes, the last ones, are of the newest time; lastReports: nobody knows
}

// start sets the floor.
func (r *recent) start(login codec.Time) {
	r.floor = wireNumber(login)
	r.newest = r.floor
}

// note takes a report by the time and the hash of its data unit.
func (r *recent) note(at, hash uint64) Novelty {
	if at > r.newest {
		r.newest, r.same = at, 1
		r.push(hash)
		return Fresh
	}
	if r.has(hash) {
		return Repeat
	}
	r.push(hash)
	if at < r.newest || at <= r.floor || r.same >= lastReports {
		r.same = lastReports // one of the newest time may have been forgotten
		return Unsure
	}
	r.same++
	return Fresh
}

func (r *recent) has(hash uint64) bool {
	for _, h := range r.hashes {
		if h == hash {
			return true
		}
	}
	return false
}

func (r *recent) push(hash uint64) {
	r.hashes[r.next%lastReports] = hash
	r.next++
}

// Report notes a realtime report or a reissue by its collection time and the hash of its whole data unit, and says
// whether it may repeat a stored one. Of reissues only a repetition is certain: what they repeat may have been stored long
// ago. It costs some nanoseconds; only the goroutine that owns the link calls it.
func (s *Session) Report(c codec.Command, collected codec.Time, hash uint64) Novelty {
	if s.reported == nil {
		login := s.LoginTime
		if login == (codec.Time{}) {
			login = codec.MakeTime(s.LoginAt)
		}
		s.reported = &recent{}
		s.reported.start(login)
	}
	if c == codec.CommandReissue {
		if s.reported.has(hash) {
			return Repeat
		}
		if s.reissued == nil {
			s.reissued = &recent{}
		}
		return s.reissued.note(0, hash) // never newer than the floor
	}
	return s.reported.note(wireNumber(collected), hash)
}

// wireNumber makes a number of a wire time that is greater for later times.
func wireNumber(t codec.Time) uint64 {
	return uint64(t[0])<<40 | uint64(t[1])<<32 | uint64(t[2])<<24 | uint64(t[3])<<16 | uint64(t[4])<<8 | uint64(t[5])
}
