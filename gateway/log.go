package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Bounds of the log lines that peers can cause.
const (
	warnPerSecond = 5
	warnBurst     = 50
)

// limitedHandler lets a burst of lines through and then a few a second; a line
// that comes after others were left out says how many.
type limitedHandler struct {
	slog.Handler
	limit *rate.Limiter
	left  *atomic.Int64
	count func() // of lines left out
}

// LimitedLog is a logger for lines that others can cause as often as they like: it lets a burst of 50 through and then five a
// second. leftOut is told of each line that is left out; the next one says how many were (suppressed).
func LimitedLog(l *slog.Logger, leftOut func()) *slog.Logger {
	return slog.New(limitedHandler{Handler: l.Handler(), limit: rate.NewLimiter(warnPerSecond, warnBurst), left: new(atomic.Int64), count: leftOut})
}

// Enabled decides before a line is made up: counting comes cheaper than formatting.
func (h limitedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if !h.Handler.Enabled(ctx, level) {
		return false
	}
	if h.limit.Allow() {
		return true
	}
	h.left.Add(1)
	h.count()
	return false
}

// Handle adds the number of lines left out before this one.
func (h limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if n := h.left.Swap(0); n > 0 {
		r.AddAttrs(slog.Int64("suppressed", n))
	}
	return h.Handler.Handle(ctx, r)
}

// engineLog carries gnet's own messages; what it calls an error is one
// connection's affair for us.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Debugf(format string, args ...any) { l.put(slog.LevelDebug, format, args) }
func (l engineLog) Infof(format string, args ...any)  { l.put(slog.LevelDebug, format, args) }
func (l engineLog) Warnf(format string, args ...any)  { l.put(slog.LevelDebug, format, args) }
func (l engineLog) Errorf(format string, args ...any) { l.put(slog.LevelWarn, format, args) }
func (l engineLog) Fatalf(format string, args ...any) { l.put(slog.LevelError, format, args) }

func (l engineLog) put(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "event loop: "+fmt.Sprintf(format, args...))
	}
}
