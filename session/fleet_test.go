package session

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// doorLink is a link that knows its listener.
type doorLink struct{ testLink }

func (*doorLink) Listener() string       { return "0.0.0.0:8999" }
func (*doorLink) Remote() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:1") }

// TestFleet: one vehicle of every kind, counted and listed.
func TestFleet(t *testing.T) {
	kv := memkv.New()
	r := openRegistry(t, kv, RegistryOptions{})
	defer closeRegistry(t, r)
	table := NewTable(r.Note, "n1")
	f := Fleet{Table: table, Registry: r}
	mustRegister(t, r, "A", "B", "C", "D", "E", "F", "G")
	now := time.Now()

	online := func(name string, seen time.Time) *Session {
		s := &Session{ID: NewID(), VIN: vin(t, name), ProductKey: "p", Edition: codec.Edition2025, Link: &doorLink{}, LoginAt: now.Add(-3 * time.Hour)}
		table.Login(s)
		s.Seen(seen)
		return s
	}
	a := online("A", now.Add(-10*time.Minute)) // silent, its clock half an hour ahead
	a.Clocked(codec.MakeTime(now.Add(30*time.Minute)), now)
	b := online("B", now) // encrypted, its clock 20 s behind
	b.Encryption = codec.EncryptionSM4
	b.Clocked(codec.MakeTime(now.Add(-20*time.Second)), now)
	b.Sealed()
	b.Sealed()
	r.Note(PresenceEvent{VIN: vin(t, "C"), ProductKey: "p", Session: 1, Node: "n1", Online: true, At: now.Add(-50 * time.Hour)})
	r.Note(offlineEvent(vin(t, "C"), 1, now.Add(-48*time.Hour), ReasonIdle))
	r.Note(PresenceEvent{VIN: vin(t, "D"), ProductKey: "p", Session: 1, Node: "n2", Online: true, At: now.Add(-50 * time.Hour)})
	require.NoError(t, r.Disable(t.Context(), "p", vin(t, "E"), true))
	c := &Session{ID: NewID(), VIN: vin(t, "G"), ProductKey: "p", Edition: codec.Edition2016, Link: &testLink{platform: "P"}, Platform: "P", LoginAt: now}
	table.Login(c)

	sum := f.Summary(now)
	slices.SortFunc(sum.Sessions, func(a, b ListenerCount) int { return int(a.Edition) - int(b.Edition) })
	require.Equal(t, FleetSummary{
		At: At(now), Devices: 7, Disabled: 1, NeverSeen: 2, Online: 3, Elsewhere: 1, Offline: 1,
		Silent:     [6]int{2, 2, 1, 1, 1, 0}, // A for ten minutes, C for two days
		ClockKnown: 2, Ahead: [4]int{1, 1, 1, 0}, Behind: [4]int{1, 0, 0, 0},
		Encrypted: 1, EncryptedFrames: 2,
		Sessions: []ListenerCount{{Edition: 2016, Platform: true, Sessions: 1}, {Listener: "0.0.0.0:8999", Edition: 2025, Sessions: 2}},
	}, sum)

	silent := slices.Collect(f.Silent(now, 10*time.Minute, false))
	require.Equal(t, []string{"A", "C"}, names(silent))
	require.EqualValues(t, 600, silent[0].Silent)
	require.NotEmpty(t, silent[0].Session)
	require.Equal(t, ReasonIdle, silent[1].OfflineReason)
	require.EqualValues(t, 48*3600, silent[1].Silent)
	require.Equal(t, []string{"A", "C", "F"}, names(slices.Collect(f.Silent(now, 10*time.Minute, true))))
	require.Equal(t, []string{"C"}, names(slices.Collect(f.Silent(now, time.Hour, false))))

	off := slices.Collect(f.ClockOff(now, time.Minute))
	require.Equal(t, []string{"A"}, names(off))
	require.InDelta(t, 1800, *off[0].ClockOff, 1)
	require.Len(t, slices.Collect(f.ClockOff(now, 15*time.Second)), 2)

	sealed := slices.Collect(f.Encrypted(now))
	require.Equal(t, []string{"B"}, names(sealed))
	require.Equal(t, "sm4", sealed[0].Encryption)
	require.EqualValues(t, 2, sealed[0].EncryptedFrames)
}

func names(list []FleetVehicle) (vins []string) {
	for _, v := range list {
		vins = append(vins, v.VIN)
	}
	return vins
}
