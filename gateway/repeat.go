package gateway

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// recall notes in l.novelty whether the report f, whose time can be read, may repeat one that is stored; s is nil for a
// platform's word about a vehicle that is connected itself.
func (l *loop) recall(s *session.Session, f codec.Frame) {
	l.unitHash = stream.UnitHash(f.Unit())
	l.novelty = session.Unsure
	if s != nil {
		l.novelty = s.Report(f.Command(), codec.Time(f.TimeBytes()), l.unitHash)
	}
}

// collected is the time of a report, or of its receipt when no calendar has it.
func collected(f codec.Frame, received time.Time) time.Time {
	if at, ok := f.Time(); ok {
		return at
	}
	return received
}
