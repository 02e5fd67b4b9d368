package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
)

func openRegistry(t testing.TB, kv KV, opt RegistryOptions) *Registry {
	t.Helper()
	if opt.Node == "" {
		opt.Node = "n1"
	}
	r, err := OpenRegistry(t.Context(), kv, opt)
	require.NoError(t, err)
	return r
}

func closeRegistry(t testing.TB, r *Registry) {
	t.Helper()
	require.NoError(t, r.Close(context.Background()))
	require.Zero(t, r.Backlog())
}

// mustRegister registers VINs that must all be new.
func mustRegister(t testing.TB, r *Registry, vins ...string) {
	t.Helper()
	result, err := r.Register(t.Context(), "p", vins)
	require.NoError(t, err)
	require.Equal(t, len(vins), result.Count(Registered))
}

func onlineEvent(v codec.VIN, session uint64, at time.Time) PresenceEvent {
	return PresenceEvent{
		VIN: v, ProductKey: "p", Session: session, Node: "n1", Online: true, At: at, Reason: ReasonLogin,
		Edition: codec.Edition2025, ICCID: MakeICCID([]byte("89860000000000000001")),
	}
}

func offlineEvent(v codec.VIN, session uint64, at time.Time, reason Reason) PresenceEvent {
	return PresenceEvent{VIN: v, ProductKey: "p", Session: session, Node: "n1", At: at, Reason: reason}
}

// stored returns the entry of a VIN as the bucket holds it.
func stored(t testing.TB, kv *memkv.KV, productKey, vin string) map[string]any {
	t.Helper()
	value, err := kv.Get(context.Background(), productKey+"."+Token(vin))
	require.NoError(t, err)
	var entry map[string]any
	require.NoError(t, json.Unmarshal(value, &entry))
	return entry
}

func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		r := openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, r, "A", "B")
		result, err := r.Register(t.Context(), "q", []string{"C", "A", "C ", "", "LTEST0000000000012", "\x00", "a\tb", "x.y z"})
		require.NoError(t, err)
		for i, want := range []RegisterItem{
			{"C", Registered, ""}, {"A", OtherProduct, "p"}, {"C ", AlreadyRegistered, ""}, {"", InvalidVIN, "bytes"},
			{"LTEST0000000000012", InvalidVIN, "18 bytes"}, {"\x00", InvalidVIN, "padding"}, {"a\tb", InvalidVIN, "control character"},
			{"x.y z", Registered, ""},
		} {
			got := result.Items[i]
			require.Equal(t, want.VIN, got.VIN)
			require.Equal(t, want.Status, got.Status, got.VIN)
			require.Contains(t, got.Detail, want.Detail)
		}
		require.Equal(t, 4, result.Count(InvalidVIN))
		require.Equal(t, []string{"p.A", "p.B", "q.C", "q.x=2Ey=20z"}, kv.Keys(), "in the store when Register returns")
		require.Equal(t, 4, r.Len())

		d, ok := r.Lookup(vin(t, "C"))
		require.True(t, ok)
		require.Empty(t, cmp.Diff(Device{VIN: vin(t, "C"), ProductKey: "q", RegisteredAt: time.Now().UTC()}, d))
		_, ok = r.Lookup(vin(t, "D"))
		require.False(t, ok)

		puts := kv.Puts()
		_, err = r.Register(t.Context(), "p", []string{"A", "B"})
		require.NoError(t, err)
		require.Equal(t, puts, kv.Puts(), "registering again writes nothing")
		_, err = r.Register(t.Context(), "", []string{"E"})
		require.Error(t, err)
		closeRegistry(t, r)

		again := openRegistry(t, kv, RegistryOptions{})
		require.Equal(t, 4, again.Len())
		got, ok := again.Lookup(vin(t, "x.y z"))
		require.True(t, ok)
		require.Equal(t, "q", got.ProductKey)
		closeRegistry(t, again)
	})
}

func TestRegistryLists(t *testing.T) {
	r := openRegistry(t, memkv.New(), RegistryOptions{})
	defer closeRegistry(t, r)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf("V%03d", i))
	}
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled)
	mustRegister(t, r, shuffled...)
	_, err := r.Register(t.Context(), "q", []string{"Q"})
	require.NoError(t, err)

	var got []string
	for d := range r.List("p") {
		got = append(got, d.VIN.String())
	}
	require.Equal(t, want, got)
	got = nil
	for d := range r.List("") {
		if got = append(got, d.VIN.String()); len(got) == 2 {
			break
		}
	}
	require.Equal(t, []string{"Q", "V000"}, got)
	for range r.List("unknown") {
		t.Fatal("an unknown product has no devices")
	}
}

func TestDeleteAndDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		var barred []string
		r := openRegistry(t, kv, RegistryOptions{OnBarred: func(v codec.VIN) { barred = append(barred, v.String()) }})
		mustRegister(t, r, "A", "B")
		a, b := vin(t, "A"), vin(t, "B")

		require.NoError(t, r.Disable(t.Context(), "p", a, true))
		require.Equal(t, true, stored(t, kv, "p", "A")["disabled"], "in the store when Disable returns")
		puts := kv.Puts()
		require.NoError(t, r.Disable(t.Context(), "p", a, true))
		require.Equal(t, puts, kv.Puts(), "again: nothing to write")
		require.Equal(t, []string{"A"}, barred)
		require.NoError(t, r.Disable(t.Context(), "p", a, false))
		require.NotContains(t, stored(t, kv, "p", "A"), "disabled")
		require.Equal(t, []string{"A"}, barred)
		require.ErrorIs(t, r.Disable(t.Context(), "p", vin(t, "C"), true), ErrNotRegistered)
		require.ErrorIs(t, r.Disable(t.Context(), "q", a, true), ErrNotRegistered)

		require.ErrorIs(t, r.Delete(t.Context(), "q", b), ErrNotRegistered, "an unknown product")
		_, err := r.Register(t.Context(), "q", []string{"Q"})
		require.NoError(t, err)
		require.ErrorIs(t, r.Delete(t.Context(), "q", b), ErrNotRegistered, "another product's")
		require.NoError(t, r.Delete(t.Context(), "p", b))
		require.Equal(t, []string{"p.A", "q.Q"}, kv.Keys())
		require.ErrorIs(t, r.Delete(t.Context(), "p", b), ErrNotRegistered)
		require.Equal(t, []string{"A", "B"}, barred)
		require.Equal(t, 2, r.Len())

		// Free again, for another product too.
		result, err := r.Register(t.Context(), "q", []string{"B"})
		require.NoError(t, err)
		require.Equal(t, 1, result.Count(Registered))
		synctest.Wait() // echoes of all that
		d, ok := r.Lookup(b)
		require.True(t, ok)
		require.Equal(t, "q", d.ProductKey)
		require.Equal(t, []string{"p.A", "q.B", "q.Q"}, kv.Keys())
		closeRegistry(t, r)

		require.ErrorIs(t, r.Delete(t.Context(), "q", b), ErrClosed)
		require.ErrorIs(t, r.Disable(t.Context(), "q", b, true), ErrClosed)
		_, err = r.Register(t.Context(), "q", []string{"X"})
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		r := openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, r, "A")
		registered := time.Now()
		v := vin(t, "A")
		t0 := registered.Add(time.Minute)
		e := onlineEvent(v, 7, t0)
		e.Platform = "P1"
		r.Note(e)
		d, _ := r.Lookup(v)
		require.True(t, d.Online())
		r.Note(offlineEvent(v, 7, t0.Add(time.Hour), ReasonIdle))
		r.Note(offlineEvent(vin(t, "X"), 8, t0, ReasonIdle)) // not registered: passed over
		synctest.Wait()

		d, _ = r.Lookup(v)
		require.False(t, d.Online())
		require.Empty(t, cmp.Diff(Device{
			VIN: v, ProductKey: "p", RegisteredAt: registered.UTC(), ActivatedAt: t0.UTC(), LastOnlineAt: t0.UTC(),
			LastOfflineAt: t0.Add(time.Hour).UTC(), OfflineReason: ReasonIdle, ICCID: "89860000000000000001",
			Edition: codec.Edition2025, Node: "n1", Platform: "P1", Session: 7,
		}, d))
		stamp := func(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
		require.Equal(t, map[string]any{
			"vin": "A", "productKey": "p", "registeredAt": stamp(registered), "activatedAt": stamp(t0), "lastOnlineAt": stamp(t0),
			"lastOfflineAt": stamp(t0.Add(time.Hour)), "offlineReason": "idle", "iccid": "89860000000000000001", "edition": 2025.0,
			"node": "n1", "platform": "P1", "session": "0000000000000007", "changedAt": stamp(registered), "writer": "n1",
		}, stored(t, kv, "p", "A"))

		// A takeover within one millisecond leaves it online; the offline of a session that is not
		// the last one changes nothing.
		t1 := t0.Add(2 * time.Hour)
		r.Note(onlineEvent(v, 8, t1))
		r.Note(offlineEvent(v, 8, t1, ReasonTakeover))
		r.Note(onlineEvent(v, 9, t1))
		r.Note(offlineEvent(v, 8, t1.Add(time.Second), ReasonPeerClosed))
		d, _ = r.Lookup(v)
		require.True(t, d.Online())
		require.Equal(t, t0.UTC(), d.ActivatedAt, "the first login")

		// A clock that was put back does not hide a login.
		r.Note(offlineEvent(v, 9, t1.Add(time.Second), ReasonIdle))
		r.Note(onlineEvent(v, 10, t0))
		d, _ = r.Lookup(v)
		require.True(t, d.Online())
		closeRegistry(t, r)

		again := openRegistry(t, kv, RegistryOptions{})
		got, _ := again.Lookup(v)
		require.Empty(t, cmp.Diff(d, got), "Close has written the last state")
		closeRegistry(t, again)
	})
}

func TestRecoverOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		dead := openRegistry(t, kv, RegistryOptions{})
		mustRegister(t, dead, "A", "B", "C", "D")
		now := time.Now()
		a := onlineEvent(vin(t, "A"), 1, now)
		a.Platform = "P1"
		dead.Note(a)
		dead.Note(onlineEvent(vin(t, "B"), 2, now))
		dead.Note(offlineEvent(vin(t, "B"), 2, now, ReasonIdle))
		other := onlineEvent(vin(t, "C"), 3, now)
		other.Node = "n2"
		dead.Note(other)
		closeRegistry(t, dead) // all of it stored: then the process dies

		r := openRegistry(t, kv, RegistryOptions{})
		at := now.Add(time.Hour)
		var events []PresenceEvent
		require.Equal(t, 1, r.RecoverOnline(at, func(e PresenceEvent) { events = append(events, e) }))
		require.Empty(t, cmp.Diff([]PresenceEvent{{
			VIN: vin(t, "A"), ProductKey: "p", Platform: "P1", Session: 1, Node: "n1", At: at, Reason: ReasonGatewayRestart,
			Edition: codec.Edition2025, ICCID: a.ICCID,
		}}, events))
		d, _ := r.Lookup(vin(t, "A"))
		require.False(t, d.Online())
		require.Equal(t, ReasonGatewayRestart, d.OfflineReason)
		require.Zero(t, r.RecoverOnline(at, func(PresenceEvent) { t.Error("once only") }))
		d, _ = r.Lookup(vin(t, "C"))
		require.True(t, d.Online(), "another node's")
		closeRegistry(t, r)
		require.Equal(t, "gatewayRestart", stored(t, kv, "p", "A")["offlineReason"])
	})
}

func TestDeviceJSON(t *testing.T) {
	d := Device{VIN: vin(t, "A"), ProductKey: "p", RegisteredAt: time.Unix(0, 0).UTC(), Disabled: true}
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.Equal(t, `{"vin":"A","productKey":"p","registeredAt":"1970-01-01T00:00:00.000Z","disabled":true}`, string(text))
}

func TestOpenRegistryFails(t *testing.T) {
	kv := memkv.New()
	away := errors.New("away")
	kv.Fail(away)
	_, err := OpenRegistry(t.Context(), kv, RegistryOptions{Node: "n1"})
	require.ErrorIs(t, err, away)
	kv.Fail(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = OpenRegistry(ctx, kv, RegistryOptions{Node: "n1"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestRegistryRaces(t *testing.T) {
	kv := memkv.New()
	r := openRegistry(t, kv, RegistryOptions{OnBarred: func(codec.VIN) {}})
	vins := []string{"A", "B", "C", "D"}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 150 {
				text := vins[(i+n)%len(vins)]
				v := codec.MakeVIN([]byte(text))
				var err error
				switch (i*7 + n) % 6 {
				case 0, 1:
					_, err = r.Register(t.Context(), []string{"p", "q"}[n%2], []string{text})
				case 2:
					err = r.Delete(t.Context(), "p", v)
				case 3:
					err = r.Disable(t.Context(), "p", v, n%2 == 0)
				case 4:
					r.Note(onlineEvent(v, NewID(), time.Now()))
				case 5:
					for range r.List("") { //revive:disable-line:empty-block the loop is the test
					}
					r.Lookup(v)
				}
				if err != nil && !errors.Is(err, ErrNotRegistered) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	closeRegistry(t, r)

	again := openRegistry(t, kv, RegistryOptions{})
	defer closeRegistry(t, again)
	require.Equal(t, slices.Collect(again.List("")), slices.Collect(r.List("")), "memory and store agree at the end")
	require.Len(t, kv.Keys(), r.Len())
}

func TestDeviceStatus(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for want, d := range map[Status]Device{
		StatusUnactive: {RegisteredAt: at},
		StatusOnline:   {RegisteredAt: at, ActivatedAt: at, LastOnlineAt: at.Add(time.Minute), LastOfflineAt: at},
		StatusOffline:  {RegisteredAt: at, ActivatedAt: at, LastOnlineAt: at, LastOfflineAt: at.Add(time.Minute)},
		StatusDisable:  {RegisteredAt: at, ActivatedAt: at, LastOnlineAt: at.Add(time.Minute), Disabled: true},
	} {
		require.Equal(t, want, d.Status())
	}
}
