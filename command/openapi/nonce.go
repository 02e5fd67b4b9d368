package openapi

import (
	"crypto/sha256"
	"sync"
	"time"
)

type nonceVerdict int

const (
	nonceFresh     nonceVerdict = iota
	nonceUsed                   // seen before
	nonceForgotten              // signed so long ago that the nonces of that minute are no longer known
	nonceFull                   // no memory left for the nonces of this very minute
)

// nonces remembers which signature nonces were used, in bounded memory. Nonces are kept by the minute in which the request
// was signed. A minute is forgotten once its requests are outside the time window, or, when memory is short, the oldest
// minute first; requests signed in a forgotten minute are refused ever after, also when the clock steps back. So a request
// is never accepted twice, whatever the load.
type nonces struct {
	mu      sync.Mutex
	max     int
	count   int
	floor   int64 // the youngest forgotten minute
	purged  int64 // the minute of the last purge
	minutes map[int64]map[[16]byte]struct{}
	files   *nonceFiles // where they outlive the process; nil: nowhere
}

func newNonces(limit int) *nonces {
	return &nonces{max: limit, minutes: map[int64]map[[16]byte]struct{}{}}
}

func hashNonce(keyID, nonce string) [16]byte {
	sum := sha256.Sum256([]byte(keyID + "\x00" + nonce))
	return [16]byte(sum[:16])
}

// use marks the nonce of a key as used. signed is the request's time stamp, already known to be within window of now.
func (n *nonces) use(keyID, nonce string, signed, now time.Time, window time.Duration) nonceVerdict {
	key := hashNonce(keyID, nonce)
	minute := signed.Unix() / 60

	n.mu.Lock()
	defer n.mu.Unlock()
	if current := now.Unix() / 60; current != n.purged {
		n.purged = current
		oldest := now.Add(-window).Unix() / 60
		for m := range n.minutes {
			if m < oldest {
				n.forget(m)
			}
		}
		if n.files != nil {
			n.files.expire(oldest)
		}
	}
	verdict := n.add(key, minute)
	if verdict == nonceFresh && n.files != nil {
		n.files.append(key, minute)
	}
	return verdict
}

// add remembers a nonce, at the cost of the oldest minute when memory is short.
func (n *nonces) add(key [16]byte, minute int64) nonceVerdict {
	if minute <= n.floor {
		return nonceForgotten
	}
	if _, ok := n.minutes[minute][key]; ok {
		return nonceUsed
	}
	if n.count >= n.max {
		oldest := minute
		for m := range n.minutes {
			oldest = min(oldest, m)
		}
		if oldest == minute {
			return nonceFull
		}
		n.forget(oldest)
	}
	if n.minutes[minute] == nil {
		n.minutes[minute] = map[[16]byte]struct{}{}
	}
	n.minutes[minute][key] = struct{}{}
	n.count++
	return nonceFresh
}

// letGo closes the files; the next nonce opens its own again.
func (n *nonces) letGo() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.files != nil {
		n.files.letGo()
	}
}

// close ends writing to the files.
func (n *nonces) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.files == nil {
		return nil
	}
	return n.files.close()
}

func (n *nonces) forget(minute int64) {
	n.count -= len(n.minutes[minute])
	delete(n.minutes, minute)
	n.floor = max(n.floor, minute)
}
