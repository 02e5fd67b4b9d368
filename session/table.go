package session

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// tableShards is a power of two, many times the number of event loops, so that two of them seldom
// meet at one lock.
const tableShards = 256

// Table holds the live session of every VIN: at most one each, whatever races. It is made for a
// million VINs and safe for concurrent use.
type Table struct {
	seed       maphash.Seed
	node       string
	onPresence func(PresenceEvent)
	live       atomic.Int64
	links      sync.Map // Link -> *linkSet, of platform links only
	shards     [tableShards]tableShard
}

type tableShard struct {
	mu       sync.Mutex
	sessions map[codec.VIN]*Session
	_        [48]byte // one cache line each
}

// linkSet holds the live sessions of one platform link, up to 10^5 of them. Its lock is taken
// inside a shard's.
type linkSet struct {
	platform string // its code
	mu       sync.Mutex
	sessions map[codec.VIN]*Session
}

// NewTable returns an empty table of the node with the given name.
//
// onPresence, which may be nil, is called for every vehicle that goes online or offline, under the
// lock of the VIN's shard: so the events of one VIN come in order and exactly once. It must not
// block and must not call the table.
func NewTable(onPresence func(PresenceEvent), node string) *Table {
	t := &Table{seed: maphash.MakeSeed(), node: node, onPresence: onPresence}
	for i := range t.shards {
		t.shards[i].sessions = make(map[codec.VIN]*Session)
	}
	return t
}

func (t *Table) shard(vin codec.VIN) *tableShard {
	return &t.shards[maphash.Bytes(t.seed, vin[:])%tableShards]
}

// Login makes s the live session of its VIN.
//
// When the VIN is live on another link, that session ends first (takeover) and is returned: the
// caller closes its Link if it is a vehicle link; a platform link only loses the VIN. So of several
// links that send for one VIN the last wins.
//
// When the VIN is live on the same link, this is a re-login: s replaces the old session silently
// and goes on with its ID, so that the offline event to come names the session that went online; its
// frame counter goes on too. displaced is nil.
//
// Login may set ID and LoginAt of s; nobody else may use s before it returns. The caller is the
// owner of s.Link: it logs nothing in after it has ended the link.
func (t *Table) Login(s *Session) (displaced *Session) {
	sh := t.shard(s.VIN)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	if s.LoginAt.IsZero() {
		s.LoginAt = now
	}
	old := sh.sessions[s.VIN]
	switch {
	case old == s:
		return nil
	case old != nil && old.Link == s.Link:
		s.ID = old.ID
		s.frames.Store(old.frames.Load())
		s.clock.Store(old.clock.Load())
		s.sealed.Store(old.sealed.Load())
		t.enter(sh, s)
		return nil
	}
	if old != nil {
		t.leave(sh, old)
		t.emit(old, false, now, ReasonTakeover)
	}
	t.enter(sh, s)
	t.live.Add(1)
	t.emit(s, true, now, ReasonLogin)
	return old
}

// Logout ends s. It reports false when s is not the live session of its VIN: it had been taken
// over, replaced by a re-login, or ended before.
func (t *Table) Logout(s *Session, reason Reason) bool {
	sh := t.shard(s.VIN)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sessions[s.VIN] != s {
		return false
	}
	t.leave(sh, s)
	t.emit(s, false, time.Now(), reason)
	return true
}

// LogoutLink ends every session of a platform link and returns those it ended. It takes time
// in proportion to the link's own VINs. The gateway calls it once for every platform link that
// closes or logs out; afterwards the link may log in again.
func (t *Table) LogoutLink(link Link, reason Reason) []*Session {
	v, ok := t.links.LoadAndDelete(link)
	if !ok {
		return nil
	}
	set := v.(*linkSet)
	set.mu.Lock()
	sessions := make([]*Session, 0, len(set.sessions))
	for _, s := range set.sessions {
		sessions = append(sessions, s)
	}
	set.mu.Unlock()
	ended := sessions[:0]
	for _, s := range sessions {
		if t.Logout(s, reason) { // false: another link has taken the VIN over since
			ended = append(ended, s)
		}
	}
	return ended
}

// PlatformUp takes note of a link that a platform logs in on, until LogoutLink. The gateway calls it before it looks whether
// the platform may: whoever bars the platform meanwhile and then calls ClosePlatform finds the link.
func (t *Table) PlatformUp(link Link, code string) {
	t.links.LoadOrStore(link, &linkSet{platform: code, sessions: make(map[codec.VIN]*Session)})
}

// ClosePlatform asks every link of a platform on this node to close and returns how many there are. Their sessions end with
// them, for the same reason. It never blocks.
func (t *Table) ClosePlatform(code string, reason Reason) (links int) {
	t.links.Range(func(link, set any) bool {
		if set.(*linkSet).platform == code {
			link.(Link).Close(reason)
			links++
		}
		return true
	})
	return links
}

// Get returns the live session of a VIN, nil when it is offline.
func (t *Table) Get(vin codec.VIN) *Session {
	sh := t.shard(vin)
	sh.mu.Lock()
	s := sh.sessions[vin]
	sh.mu.Unlock()
	return s
}

// Len returns the number of live sessions.
func (t *Table) Len() int { return int(t.live.Load()) }

// Each calls fn for the live sessions, in no order, until it returns false. No lock is held during
// the call, so fn may use the table. A session that lives all the while is visited exactly once;
// one visited may have ended meanwhile.
func (t *Table) Each(fn func(*Session) bool) {
	var sessions []*Session
	for i := range t.shards {
		sh := &t.shards[i]
		sessions = sessions[:0]
		sh.mu.Lock()
		for _, s := range sh.sessions {
			sessions = append(sessions, s)
		}
		sh.mu.Unlock()
		for _, s := range sessions {
			if !fn(s) {
				return
			}
		}
	}
}

// enter puts s into the table and its platform link's set, in place of a session of the same VIN
// and link. The shard is locked.
func (t *Table) enter(sh *tableShard, s *Session) {
	sh.sessions[s.VIN] = s
	if s.Platform == "" {
		return
	}
	v, ok := t.links.Load(s.Link)
	if !ok {
		v, _ = t.links.LoadOrStore(s.Link, &linkSet{platform: s.Platform, sessions: make(map[codec.VIN]*Session)})
	}
	set := v.(*linkSet)
	set.mu.Lock()
	set.sessions[s.VIN] = s
	set.mu.Unlock()
}

// leave takes s, which is live, out of the table and its platform link's set. The shard is locked.
func (t *Table) leave(sh *tableShard, s *Session) {
	delete(sh.sessions, s.VIN)
	t.live.Add(-1)
	if s.Platform == "" {
		return
	}
	if v, ok := t.links.Load(s.Link); ok {
		set := v.(*linkSet)
		set.mu.Lock()
		delete(set.sessions, s.VIN)
		set.mu.Unlock()
	}
}

func (t *Table) emit(s *Session, online bool, at time.Time, reason Reason) {
	if t.onPresence == nil {
		return
	}
	t.onPresence(PresenceEvent{
		VIN: s.VIN, ProductKey: s.ProductKey, Platform: s.Platform, Session: s.ID, Node: t.node,
		Online: online, At: at, Reason: reason, Edition: s.Edition, ICCID: s.ICCID,
	})
}
