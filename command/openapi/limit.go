package openapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// keyLimits is a token bucket for each access key. Only keys that signed a request correctly get one, so their number is
// bounded by the number of keys.
type keyLimits struct {
	perSecond int // negative: no limit

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newKeyLimits(perSecond int) *keyLimits {
	return &keyLimits{perSecond: perSecond, buckets: map[string]*rate.Limiter{}}
}

func (l *keyLimits) allow(keyID string, now time.Time) bool {
	if l.perSecond < 0 {
		return true
	}
	l.mu.Lock()
	bucket := l.buckets[keyID]
	if bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
		l.buckets[keyID] = bucket
	}
	l.mu.Unlock()
	return bucket.AllowN(now, 1)
}
