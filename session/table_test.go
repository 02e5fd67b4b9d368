package session

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// recorder collects presence events; the table calls it under the locks of several shards.
type recorder struct {
	mu     sync.Mutex
	events []PresenceEvent
}

func (r *recorder) note(e PresenceEvent) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
}

// take returns "VIN online login session" of the events since the last call.
func (r *recorder) take() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		lines = append(lines, fmt.Sprintf("%s %s %s %d", e.VIN, e.Kind(), e.Reason, e.Session))
	}
	r.events = nil
	return lines
}

func TestTableLoginLogout(t *testing.T) {
	var rec recorder
	table := NewTable(rec.note, "n1")
	v := vin(t, "A")
	require.Nil(t, table.Get(v))

	s := login(v, &testLink{})
	s.ID = 1
	before := time.Now()
	require.Nil(t, table.Login(s))
	require.Same(t, s, table.Get(v))
	require.Equal(t, 1, table.Len())
	require.False(t, s.LoginAt.Before(before), "LoginAt is set")
	require.Nil(t, table.Login(s), "again with the same session: nothing")
	require.Equal(t, 1, table.Len())

	e := rec.events[0]
	require.Empty(t, cmp.Diff(PresenceEvent{
		VIN: v, ProductKey: "gbt32960", Session: 1, Node: "n1", Online: true, At: e.At, Reason: ReasonLogin,
		Edition: codec.Edition2016, ICCID: s.ICCID,
	}, e))
	require.WithinRange(t, e.At, before, time.Now())

	require.True(t, table.Logout(s, ReasonIdle))
	require.False(t, table.Logout(s, ReasonPeerClosed), "once only")
	require.Nil(t, table.Get(v))
	require.Zero(t, table.Len())
	require.Equal(t, []string{"A online login 1", "A offline idle 1"}, rec.take())

	at := time.Unix(1_700_000_000, 0)
	again := login(v, &testLink{})
	again.LoginAt = at
	table.Login(again)
	require.Equal(t, at, again.LoginAt, "a given LoginAt stays")
}

func TestTableTakeover(t *testing.T) {
	links := map[string]*testLink{"v1": {}, "v2": {}, "p1": {platform: "P"}, "p2": {platform: "P"}, "q": {platform: "Q"}}
	for _, c := range []struct{ from, to string }{
		{"v1", "v2"}, {"v1", "p1"}, {"p1", "v1"}, {"p1", "p2"}, {"p1", "q"},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			var rec recorder
			table := NewTable(rec.note, "n1")
			v := vin(t, "A")
			old, next, back := login(v, links[c.from]), login(v, links[c.to]), login(v, links[c.from])
			old.ID, next.ID, back.ID = 1, 2, 3
			require.Nil(t, table.Login(old))
			require.Same(t, old, table.Login(next))
			require.Same(t, next, table.Get(v))
			require.False(t, table.Logout(old, ReasonPeerClosed), "the old one is gone")
			require.Same(t, next, table.Login(back), "the last sender wins, also back again")
			require.Equal(t, 1, table.Len())
			require.Equal(t, []string{
				"A online login 1", "A offline takeover 1", "A online login 2", "A offline takeover 2", "A online login 3",
			}, rec.take())
			for name, link := range links {
				want := 0
				if name == c.from && link.platform != "" {
					want = 1
				}
				require.Equal(t, want, linkLen(table, link), name)
			}
		})
	}
}

func TestTableRelogin(t *testing.T) {
	for _, link := range []*testLink{{}, {platform: "P"}} {
		var rec recorder
		table := NewTable(rec.note, "n1")
		first, second := login(vin(t, "A"), link), login(vin(t, "A"), link)
		first.ID = 1
		table.Login(first)
		first.Seen(time.Now())
		require.Nil(t, table.Login(second))
		require.EqualValues(t, 1, second.ID, "the session goes on")
		require.EqualValues(t, 1, second.Frames())
		require.Same(t, second, table.Get(second.VIN))
		require.Equal(t, 1, table.Len())
		require.False(t, table.Logout(first, ReasonLogout))
		require.True(t, table.Logout(second, ReasonLogout))
		require.Equal(t, []string{"A online login 1", "A offline logout 1"}, rec.take())
		require.Zero(t, linkLen(table, link))
	}
}

func TestTableLogoutLink(t *testing.T) {
	var rec recorder
	table := NewTable(rec.note, "n1")
	p, q, v := &testLink{platform: "P"}, &testLink{platform: "Q"}, &testLink{}
	for i := range 1000 {
		table.Login(login(vin(t, fmt.Sprintf("P%d", i)), p))
		table.Login(login(vin(t, fmt.Sprintf("Q%d", i)), q))
	}
	table.Login(login(vin(t, "P0"), v))
	table.Login(login(vin(t, "P1"), q))
	require.Equal(t, 998, linkLen(table, p))
	require.Equal(t, 1001, linkLen(table, q))
	rec.take()

	ended := table.LogoutLink(p, ReasonPeerClosed)
	require.Len(t, ended, 998)
	for _, s := range ended {
		require.Equal(t, "P", s.Platform)
		require.NotContains(t, []string{"P0", "P1"}, s.VIN.String(), "taken over before")
	}
	require.Zero(t, linkLen(table, p))
	require.Equal(t, 1002, table.Len())
	require.NotNil(t, table.Get(vin(t, "P0")), "taken over by another link: stays")
	require.NotNil(t, table.Get(vin(t, "P1")))
	require.Nil(t, table.Get(vin(t, "P2")))
	require.Len(t, rec.events, 998)
	for _, e := range rec.events {
		require.False(t, e.Online)
		require.Equal(t, ReasonPeerClosed, e.Reason)
		require.Equal(t, "P", e.Platform)
	}
	require.Empty(t, table.LogoutLink(p, ReasonPeerClosed))
	require.Empty(t, table.LogoutLink(v, ReasonPeerClosed), "not for vehicle links")

	table.Login(login(vin(t, "P5"), p))
	require.Len(t, table.LogoutLink(p, ReasonLogout), 1, "the link may log in again")
}

func TestTableEach(t *testing.T) {
	table := NewTable(nil, "n1")
	want := make(map[codec.VIN]*Session)
	for i := range 2000 {
		s := login(vin(t, fmt.Sprint(i)), &testLink{})
		table.Login(s)
		want[s.VIN] = s
	}
	seen := make(map[codec.VIN]*Session)
	table.Each(func(s *Session) bool {
		require.NotContains(t, seen, s.VIN)
		seen[s.VIN] = s
		require.Same(t, s, table.Get(s.VIN), "fn may use the table")
		return true
	})
	require.Len(t, seen, len(want))
	n := 0
	table.Each(func(*Session) bool { n++; return n < 10 })
	require.Equal(t, 10, n)
	table.Each(func(s *Session) bool { return table.Logout(s, ReasonDrain) })
	require.Zero(t, table.Len())
}

// TestTableRaces has many links fight for a few VINs: by vehicle links, platform links, re-logins,
// logouts and ends of platform links.
func TestTableRaces(t *testing.T) {
	type state struct {
		online  bool
		session uint64
		events  int
		at      time.Time
	}
	vins := []codec.VIN{vin(t, "A"), vin(t, "B"), vin(t, "C")}
	states := make(map[codec.VIN]*state)
	for _, v := range vins {
		states[v] = &state{}
	}
	seen := sync.Map{} // session ID + kind -> true: exactly once
	table := NewTable(func(e PresenceEvent) {
		st := states[e.VIN] // guarded by the shard's lock, as the race detector confirms
		if st.online == e.Online {
			t.Errorf("%s: %s twice in a row", e.VIN, e.Kind())
		}
		if !e.Online && st.session != e.Session {
			t.Errorf("%s: offline of session %x while %x is live", e.VIN, e.Session, st.session)
		}
		if e.At.Before(st.at) {
			t.Errorf("%s: events out of order", e.VIN)
		}
		if _, twice := seen.LoadOrStore(fmt.Sprint(e.Session, e.Online), true); twice {
			t.Errorf("%s: %s of session %x twice", e.VIN, e.Kind(), e.Session)
		}
		st.online, st.session, st.at = e.Online, e.Session, e.At
		st.events++
	}, "n1")

	var wg sync.WaitGroup
	var logins, displaced, ended atomic.Int64
	for range 32 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(rand.Uint64(), 1))
			platform := &testLink{platform: "P"}
			for range 300 {
				link := platform
				if rnd.IntN(2) == 0 {
					link = &testLink{}
				}
				s := login(vins[rnd.IntN(len(vins))], link)
				logins.Add(1)
				if old := table.Login(s); old != nil {
					displaced.Add(1)
					if old.VIN != s.VIN || old.Link == s.Link {
						t.Errorf("a wrong session is displaced")
					}
				}
				switch rnd.IntN(6) {
				case 0:
					if table.Logout(s, ReasonLogout) {
						ended.Add(1)
					}
				case 1:
					ended.Add(int64(len(table.LogoutLink(platform, ReasonPeerClosed))))
				case 2:
					table.Login(login(s.VIN, link)) // a re-login, or a takeover back
				case 3:
					if got := table.Get(s.VIN); got != nil && got.VIN != s.VIN {
						t.Errorf("Get returned another VIN's session")
					}
				}
			}
			table.LogoutLink(platform, ReasonPeerClosed)
		})
	}
	wg.Wait()

	live := 0
	for v, st := range states {
		s := table.Get(v)
		require.Equal(t, st.online, s != nil)
		if s != nil {
			require.Equal(t, st.session, s.ID)
			require.True(t, table.Logout(s, ReasonDrain))
			live++
		}
		require.Greater(t, st.events, 100)
	}
	require.Zero(t, table.Len())
	table.links.Range(func(_, set any) bool {
		require.Empty(t, set.(*linkSet).sessions)
		return true
	})
	require.Positive(t, displaced.Load())
	require.Positive(t, ended.Load())
	t.Logf("%d logins, %d displaced, %d ended, %d live at the end", logins.Load(), displaced.Load(), ended.Load(), live)
}

// TestTableOneVIN: thousands of vehicle links log in with one VIN at once.
func TestTableOneVIN(t *testing.T) {
	const n = 4000
	var online, offline int // guarded by the one shard
	last := false
	table := NewTable(func(e PresenceEvent) {
		if e.Online == last {
			t.Error("events do not alternate")
		}
		if last = e.Online; last {
			online++
		} else {
			offline++
		}
	}, "n1")
	v := vin(t, "A")
	var wg sync.WaitGroup
	var displaced sync.Map
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			if old := table.Login(login(v, &testLink{})); old != nil {
				if _, twice := displaced.LoadOrStore(old, true); twice {
					t.Error("one session is displaced twice")
				}
			}
		})
	}
	close(start)
	wg.Wait()
	require.Equal(t, 1, table.Len())
	require.NotNil(t, table.Get(v))
	require.Equal(t, n, online)
	require.Equal(t, n-1, offline)
	left := 0
	displaced.Range(func(any, any) bool { left++; return true })
	require.Equal(t, n-1, left)
}

func TestTableDoesNotAllocate(t *testing.T) {
	table := NewTable(func(PresenceEvent) {}, "n1")
	a, b := login(vin(t, "A"), &testLink{}), login(vin(t, "A"), &testLink{})
	table.Login(a)
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Get(a.VIN) }))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		table.Login(b)
		table.Login(a)
	}), "takeovers")
}

// linkLen is the number of live sessions that the table keeps of a platform link.
func linkLen(t *Table, link Link) int {
	v, ok := t.links.Load(link)
	if !ok {
		return 0
	}
	set := v.(*linkSet)
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.sessions)
}
