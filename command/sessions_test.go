package command_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

func TestSessionEnds(t *testing.T) {
	for name, c := range map[string]struct {
		command codec.Command
		unit    []byte
		reason  session.Reason
		state   command.State
		why     command.Reason
	}{
		"query":                {codec.CommandParamQuery, query, session.ReasonPeerClosed, command.StateDisconnected, "peerClosed"},
		"set":                  {codec.CommandParamSet, set, session.ReasonIdle, command.StateDisconnected, "idle"},
		"port, closed":         {codec.CommandParamSet, setPort, session.ReasonPeerClosed, command.StateAnswered, command.ReasonVehicleLeft},
		"domain, logout":       {codec.CommandParamSet, setDomain, session.ReasonLogout, command.StateAnswered, command.ReasonVehicleLeft},
		"port, idle":           {codec.CommandParamSet, setPort, session.ReasonIdle, command.StateAnswered, command.ReasonVehicleLeft},
		"port, kicked":         {codec.CommandParamSet, setPort, session.ReasonKicked, command.StateDisconnected, "kicked"},
		"port, gateway drains": {codec.CommandParamSet, setPort, session.ReasonDrain, command.StateDisconnected, "drain"},
		"control":              {codec.CommandControl, reset, session.ReasonPeerClosed, command.StateDisconnected, "peerClosed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id, waiting := b.send(c.command, c.unit), b.send(c.command, c.unit)
			b.logout(c.reason)
			r := b.result(id)
			require.Equal(t, c.state, r.State)
			require.Equal(t, c.why, r.Reason)
			require.Empty(t, r.Flag)
			w := b.result(waiting)
			require.Equal(t, command.StateDisconnected, w.State)
			require.Zero(t, w.Sends)
			require.Equal(t, 1, b.link.count())
			_, err := b.Send(context.Background(), command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: c.command, Unit: c.unit})
			require.ErrorIs(t, err, command.ErrOffline)
		})
	}
}

// A vehicle that could not reach its new platform comes back and refuses the setting after all (B.2.3).
func TestNewPlatformRefusedAfterReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamSet, setPort)
		b.logout(session.ReasonPeerClosed)
		require.Equal(t, command.StateAnswered, b.result(id).State)
		time.Sleep(2 * time.Minute)
		b.login(&link{})
		b.answer(codec.CommandParamSet, codec.FlagError, answerTime)
		r := b.result(id)
		require.Equal(t, command.StateRejected, r.State)
		require.Empty(t, r.Reason)
	})
}

func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id, waiting := b.send(codec.CommandControl, reset), b.send(codec.CommandControl, disconnect)
		second := &link{}
		b.login(second)
		synctest.Wait()
		r := b.result(id)
		require.Equal(t, command.StateSuperseded, r.State)
		require.Equal(t, command.Reason("takeover"), r.Reason)
		require.Equal(t, command.StateSent, b.result(waiting).State, "what waited goes out over the new connection")
		require.Equal(t, 1, second.count())
		require.Equal(t, 1, b.link.count())
	})
}

// A session may end before its link has said whether the frame went out. The end waits for that word, so the result says
// whether and when the command was sent.
func TestSessionEndsBeforeHandOver(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(b *bench, second *link)
		word  error // of the old link
		state command.State
		why   command.Reason
		sends int
		unit  []byte
	}{
		"takeover, sent": {func(b *bench, second *link) { b.login(second) }, nil, command.StateSuperseded, "takeover", 1, set},
		"takeover, not sent: goes out over the new connection": {func(b *bench, second *link) { b.login(second) }, session.ErrLinkClosed,
			command.StateSent, "", 1, set},
		"closed, sent":               {func(b *bench, _ *link) { b.logout(session.ReasonPeerClosed) }, nil, command.StateDisconnected, "peerClosed", 1, set},
		"closed, not sent":           {func(b *bench, _ *link) { b.logout(session.ReasonPeerClosed) }, session.ErrLinkClosed, command.StateDisconnected, "peerClosed", 0, set},
		"the vehicle left, sent":     {func(b *bench, _ *link) { b.logout(session.ReasonPeerClosed) }, nil, command.StateAnswered, command.ReasonVehicleLeft, 1, setPort},
		"the vehicle left, not sent": {func(b *bench, _ *link) { b.logout(session.ReasonPeerClosed) }, session.ErrLinkClosed, command.StateDisconnected, "peerClosed", 0, setPort},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.link.hold = true
				id := b.send(codec.CommandParamSet, c.unit)
				second := &link{}
				c.end(b, second)
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, command.StateQueued, b.result(id).State)
				b.link.held[0](c.word)
				synctest.Wait()
				r := b.result(id)
				require.Equal(t, c.state, r.State)
				require.Equal(t, c.why, r.Reason)
				require.Equal(t, c.sends, r.Sends)
				require.Equal(t, c.sends == 0, r.SentAt.IsZero(), "sent at %v", r.SentAt)
				if c.state == command.StateSent {
					require.Equal(t, 1, second.count())
				}
			})
		})
	}
	for name, end := range map[string]func(b *bench){
		"closed":   func(b *bench) { b.logout(session.ReasonIdle) },
		"takeover": func(b *bench) { b.login(&link{}) },
	} {
		t.Run("a link that never says: "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.link.hold = true
				id := b.send(codec.CommandParamQuery, query)
				end(b)
				time.Sleep(31 * time.Second)
				synctest.Wait()
				r := b.result(id)
				require.Equal(t, map[string]command.State{"closed": command.StateDisconnected, "takeover": command.StateSuperseded}[name], r.State)
				require.Equal(t, map[string]command.Reason{"closed": "idle", "takeover": "takeover"}[name], r.Reason)
				b.link.held[0](nil)
				require.Equal(t, r, b.result(id))
			})
		})
	}
}

// While the end of a session waits for its link's word the vehicle comes back: what is asked then goes out, whatever that word is.
func TestBackBeforeHandOver(t *testing.T) {
	for name, word := range map[string]func(*link){
		"sent":     func(l *link) { l.held[0](nil) },
		"not sent": func(l *link) { l.held[0](session.ErrLinkClosed) },
		"never":    func(*link) { time.Sleep(31 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.link.hold = true
				id, waiting := b.send(codec.CommandParamQuery, query), b.send(codec.CommandParamQuery, query)
				b.logout(session.ReasonPeerClosed)
				require.Equal(t, command.StateDisconnected, b.result(waiting).State)
				second := &link{}
				b.login(second)
				later := b.send(codec.CommandParamQuery, query)
				word(b.link)
				synctest.Wait()
				require.Equal(t, command.StateDisconnected, b.result(id).State)
				require.Equal(t, command.Reason("peerClosed"), b.result(id).Reason)
				require.Equal(t, command.StateSent, b.result(later).State)
				require.Equal(t, 1, second.count())
			})
		})
	}
}

// A late answer belongs to the command that was sent, not to those that waited behind it.
func TestLateAnswerBeforeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id, waiting := b.send(codec.CommandParamQuery, query), b.send(codec.CommandParamQuery, query)
		b.logout(session.ReasonPeerClosed)
		b.login(&link{})
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		require.Equal(t, command.StateAnswered, b.result(id).State)
		require.Equal(t, command.StateDisconnected, b.result(waiting).State)
	})
}

// Wired to the table's callback the dispatcher hears of every end, also of the many sessions of a platform link.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *command.Dispatcher
		table := session.NewTable(func(e session.PresenceEvent) { d.Presence(e) }, "n1")
		var err error
		d, err = command.NewDispatcher(context.Background(), command.Options{
			Sessions: table, KV: memkv.New(), Publish: func(codec.VIN, string, []byte) {},
		})
		require.NoError(t, err)
		vin, err := codec.ParseVIN(testVIN)
		require.NoError(t, err)
		login := func(l *link, platform string) {
			table.Login(&session.Session{ID: session.NewID(), VIN: vin, RawVIN: vin, ProductKey: testProduct, Edition: codec.Edition2016, Platform: platform, Link: l})
		}
		send := func() int64 {
			id, err := d.Send(context.Background(), command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandControl, Unit: reset})
			require.NoError(t, err)
			return id
		}
		state := func(id int64) (command.State, command.Reason) {
			synctest.Wait()
			r, err := d.Result(context.Background(), testProduct, id)
			require.NoError(t, err)
			return r.State, r.Reason
		}
		platform, direct := &link{}, &link{}
		login(platform, "P1")
		first, second := send(), send()
		login(direct, "")
		got, why := state(first)
		require.Equal(t, command.StateSuperseded, got)
		require.Equal(t, command.Reason("takeover"), why)
		got, _ = state(second)
		require.Equal(t, command.StateSent, got)
		require.Equal(t, 1, direct.count())

		login(platform, "P1") // back over the same platform link: a session of its own
		got, _ = state(second)
		require.Equal(t, command.StateSuperseded, got)
		third := send()
		require.Len(t, table.LogoutLink(platform, session.ReasonPeerClosed), 1)
		got, why = state(third)
		require.Equal(t, command.StateDisconnected, got)
		require.Equal(t, command.Reason("peerClosed"), why)
		require.NoError(t, d.Close(context.Background()))
	})
}

// The gateway may tell of a displaced session late, or of nothing at all: the timer notices.
func TestTakeoverUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		old := b.live()
		second := &link{}
		b.table.Login(&session.Session{ID: session.NewID(), VIN: old.VIN, RawVIN: old.RawVIN, ProductKey: testProduct, Edition: codec.Edition2025, Link: second})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		require.Equal(t, command.StateSuperseded, b.result(id).State)

		id = b.send(codec.CommandParamQuery, query)
		b.Gone(old, session.ReasonTakeover)
		require.Equal(t, command.StateSent, b.result(id).State, "it is on its way over another connection")
		require.Equal(t, codec.Edition2025, second.last().Edition())
		require.True(t, b.table.Logout(b.live(), session.ReasonPeerClosed))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		require.Equal(t, command.StateDisconnected, b.result(id).State)
	})
}

// A re-login on the same connection changes nothing for a command in flight.
func TestReLogin(t *testing.T) {
	b := newBench(t)
	id := b.send(codec.CommandParamQuery, query)
	b.login(b.link)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	require.Equal(t, command.StateAnswered, b.result(id).State)
}
