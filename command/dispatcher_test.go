package command_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testVIN     = "LTEST000000000001"
	testProduct = "a1b2c3d4e5f"
)

// link is a vehicle's connection: it keeps the frames it was given.
type link struct {
	mu     sync.Mutex
	frames []codec.Frame
	refuse error                   // Send reports this
	hold   bool                    // Send keeps done in held
	held   []func(error)           //
	onSend func(frame codec.Frame) // called before done
}

func (l *link) Send(frame []byte, done func(error)) {
	l.mu.Lock()
	refuse, hold, onSend := l.refuse, l.hold, l.onSend
	if refuse == nil {
		l.frames = append(l.frames, frame)
	}
	if hold {
		l.held = append(l.held, done)
	}
	l.mu.Unlock()
	if onSend != nil {
		onSend(frame)
	}
	if !hold {
		done(refuse)
	}
}

func (l *link) Close(session.Reason)   {}
func (l *link) Remote() netip.AddrPort { return netip.AddrPort{} }
func (l *link) Platform() string       { return "" }

func (l *link) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.frames)
}

func (l *link) last() codec.Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames[len(l.frames)-1]
}

// bench is a dispatcher with its surroundings: a real session table, a bucket in memory, and the events it published.
type bench struct {
	*command.Dispatcher
	t     *testing.T
	table *session.Table
	kv    *memkv.KV
	link  *link

	mu     sync.Mutex
	events []event
}

type event struct {
	MessageID   int64           `json:"messageId"`
	ProductKey  string          `json:"productKey"`
	DeviceName  string          `json:"deviceName"`
	Command     string          `json:"command"`
	State       command.State   `json:"state"`
	At          time.Time       `json:"at"`
	RequestID   string          `json:"requestId"`
	AccessKeyID string          `json:"accessKeyId"`
	Flag        string          `json:"flag"`
	Reason      command.Reason  `json:"reason"`
	Frame       string          `json:"frame"`
	Masked      bool            `json:"masked"`
	Body        json.RawMessage `json:"body"`
}

func newBench(t *testing.T, change ...func(*command.Options)) *bench {
	t.Helper()
	b := &bench{t: t, kv: memkv.New(), link: &link{}, table: session.NewTable(nil, "n1")}
	b.open(change...)
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	b.login(b.link)
	return b
}

func (b *bench) open(change ...func(*command.Options)) {
	b.t.Helper()
	o := command.Options{Sessions: b.table, KV: b.kv, Node: "n1", Publish: b.publish}
	for _, f := range change {
		f(&o)
	}
	d, err := command.NewDispatcher(context.Background(), o)
	require.NoError(b.t, err)
	b.Dispatcher = d
}

func (b *bench) publish(vin codec.VIN, kind string, body []byte) {
	if vin.String() != testVIN || kind != "command" {
		b.t.Errorf("event for %s of kind %s", vin, kind)
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		b.t.Errorf("event %s: %v", body, err)
	}
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
}

// login logs the vehicle in over l and reports a displaced session, as the gateway does.
func (b *bench) login(l *link) *session.Session {
	vin, err := codec.ParseVIN(testVIN)
	require.NoError(b.t, err)
	s := &session.Session{ID: session.NewID(), VIN: vin, RawVIN: vin, ProductKey: testProduct, Edition: codec.Edition2016, Link: l}
	if displaced := b.table.Login(s); displaced != nil {
		b.Gone(displaced, session.ReasonTakeover)
	}
	return s
}

func (b *bench) logout(reason session.Reason) {
	s := b.live()
	require.True(b.t, b.table.Logout(s, reason))
	b.Gone(s, reason)
}

func (b *bench) live() *session.Session {
	vin, _ := codec.ParseVIN(testVIN)
	return b.table.Get(vin)
}

func (b *bench) send(cmd codec.Command, unit []byte) int64 {
	b.t.Helper()
	id, err := b.Send(context.Background(), command.Request{
		ProductKey: testProduct, DeviceName: testVIN, Command: cmd, Unit: unit, RequestID: "REQ", AccessKeyID: "KEY",
	})
	require.NoError(b.t, err)
	return id
}

// answer sends an answer as the vehicle.
func (b *bench) answer(cmd codec.Command, flag codec.Flag, unit []byte) {
	b.t.Helper()
	s := b.live()
	frame, err := codec.AppendFrame(nil, codec.Header{Edition: s.Edition, Command: cmd, Flag: flag, VIN: s.RawVIN, Encryption: codec.EncryptionNone}, unit)
	require.NoError(b.t, err)
	b.Answer(s, frame)
	clear(frame) // the dispatcher may not keep it
}

func (b *bench) result(id int64) command.Result {
	b.t.Helper()
	r, err := b.Result(context.Background(), testProduct, id)
	require.NoError(b.t, err)
	return r
}

// states lists the states that were published for a command.
func (b *bench) states(id int64) (states []command.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.MessageID == id {
			states = append(states, e.State)
		}
	}
	return states
}

func (b *bench) published() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

func (b *bench) lastEvent() event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[len(b.events)-1]
}

// Data units. The first six bytes are a time.
var (
	askTime    = []byte{26, 11, 23, 11, 30, 0}
	answerTime = []byte{26, 11, 23, 11, 30, 2}
	query      = append(bytes.Clone(askTime), 2, 0x02, 0x09)
	queryReply = append(bytes.Clone(answerTime), 2, 0x02, 0x00, 0x0A, 0x09, 0x3C)
	set        = append(bytes.Clone(askTime), 1, 0x02, 0x00, 0x1E)
	setPort    = append(bytes.Clone(askTime), 1, 0x06, 0x23, 0x27)
	setDomain  = append(bytes.Clone(askTime), 2, 0x04, 0x03, 0x05, 'a', '.', 'b')
	disconnect = append(bytes.Clone(askTime), 0x05)
	reset      = append(bytes.Clone(askTime), 0x03)
	shutdown   = append(bytes.Clone(askTime), 0x02)
	upgrade    = append(bytes.Clone(askTime), append([]byte{0x01}, "apn;user;Secret99;\x00\x00\x0A\x00\x00\x01;\x1F\x90;T001;HW001;FW002;ftp://u/f;\x00\x05"...)...)
	alarm      = append(bytes.Clone(askTime), 0x06, 0x01)
)

func TestSendBuildsTheFrame(t *testing.T) {
	for _, c := range []struct {
		command codec.Command
		edition codec.Edition
		raw     string
		unit    []byte
		frame   string
	}{
		{codec.CommandParamQuery, codec.Edition2016, testVIN, query, "232380fe" + hex.EncodeToString([]byte(testVIN)) + "010009" + "1a0b170b1e00020209"},
		{codec.CommandParamSet, codec.Edition2025, testVIN, set, "242481fe" + hex.EncodeToString([]byte(testVIN)) + "01000a" + "1a0b170b1e000102001e"},
		{codec.CommandControl, codec.Edition2016, "SHORT            ", reset, "232382fe" + hex.EncodeToString([]byte("SHORT            ")) + "010007" + "1a0b170b1e0003"},
	} {
		table, l := session.NewTable(nil, "n1"), &link{}
		d, err := command.NewDispatcher(context.Background(), command.Options{
			Sessions: table, KV: memkv.New(), Publish: func(codec.VIN, string, []byte) {},
		})
		require.NoError(t, err)
		table.Login(&session.Session{
			VIN: codec.MakeVIN([]byte(c.raw)), RawVIN: [17]byte([]byte(c.raw)), ProductKey: testProduct, Edition: c.edition,
			Encryption: codec.EncryptionAES, Link: l,
		})
		_, err = d.Send(context.Background(), command.Request{
			ProductKey: testProduct, DeviceName: codec.MakeVIN([]byte(c.raw)).String(), Command: c.command, Unit: c.unit,
		})
		require.NoError(t, err)
		frame := l.last()
		require.Equal(t, c.frame, hex.EncodeToString(frame[:len(frame)-1]))
		_, err = codec.ParseFrame(frame)
		require.NoError(t, err, "check byte")
		require.NoError(t, d.Close(context.Background()))
	}
}

func TestAnswerForms(t *testing.T) {
	for name, c := range map[string]struct {
		command codec.Command
		unit    []byte
		flag    codec.Flag
		answer  []byte
		state   command.State
	}{
		"query, parameters":        {codec.CommandParamQuery, query, codec.FlagSuccess, queryReply, command.StateAnswered},
		"query, 6 bytes":           {codec.CommandParamQuery, query, codec.FlagSuccess, answerTime, command.StateAnswered},
		"query, flag 0xFE":         {codec.CommandParamQuery, query, codec.FlagCommand, queryReply, command.StateAnswered},
		"set, echo":                {codec.CommandParamSet, set, codec.FlagSuccess, set, command.StateAnswered},
		"set, request's time":      {codec.CommandParamSet, set, codec.FlagSuccess, askTime, command.StateAnswered},
		"set, empty":               {codec.CommandParamSet, set, codec.FlagSuccess, nil, command.StateAnswered},
		"set, refused":             {codec.CommandParamSet, set, codec.FlagError, answerTime, command.StateRejected},
		"control, id":              {codec.CommandControl, reset, codec.FlagSuccess, reset, command.StateAnswered},
		"control, other id":        {codec.CommandControl, reset, codec.FlagSuccess, disconnect, command.StateAnswered},
		"control, refused":         {codec.CommandControl, reset, codec.FlagError, nil, command.StateRejected},
		"control, flag of no name": {codec.CommandControl, reset, 0x77, answerTime, command.StateRejected},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.send(c.command, c.unit)
			require.Equal(t, command.StateSent, b.result(id).State)
			b.answer(c.command, c.flag, c.answer)
			r := b.result(id)
			require.Equal(t, c.state, r.State)
			require.Equal(t, c.flag.String(), r.Flag)
			require.Equal(t, 1, r.Sends)
			require.False(t, r.SentAt.IsZero() || r.AnsweredAt.IsZero() || r.EndedAt.IsZero())
			require.Contains(t, string(r.Body), `"v":1`)
			require.Equal(t, []command.State{command.StateSent, c.state}, b.states(id))
			b.answer(c.command, c.flag, c.answer)
			require.Len(t, b.states(id), 2, "a repeated answer changes nothing")
		})
	}
}

func TestEvents(t *testing.T) {
	b := newBench(t)
	id := b.send(codec.CommandParamQuery, query)
	e := b.lastEvent()
	require.Equal(t, hex.EncodeToString(b.link.last()), e.Frame)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	answered := b.lastEvent()
	require.NotEmpty(t, answered.Body)
	raw, err := hex.DecodeString(answered.Frame)
	require.NoError(t, err)
	frame, err := codec.ParseFrame(raw)
	require.NoError(t, err)
	require.Equal(t, queryReply, frame.Unit())
	e.Frame, answered.Frame, answered.Body = "", "", nil
	require.WithinDuration(t, time.Now(), e.At, time.Minute)
	e.At, answered.At = time.Time{}, time.Time{}
	want := event{
		MessageID: id, ProductKey: testProduct, DeviceName: testVIN, Command: "paramQuery", State: command.StateSent,
		RequestID: "REQ", AccessKeyID: "KEY",
	}
	require.Equal(t, want, e)
	want.State, want.Flag = command.StateAnswered, "success"
	require.Equal(t, want, answered)
}

func TestSecretsStayOut(t *testing.T) {
	b := newBench(t)
	id := b.send(codec.CommandControl, upgrade)
	require.Contains(t, string(b.link.last()), "Secret99", "the vehicle gets it")
	b.answer(codec.CommandControl, codec.FlagSuccess, upgrade)
	require.Equal(t, command.StateAnswered, b.result(id).State)
	require.NoError(t, b.Close(context.Background()))
	secretHex := hex.EncodeToString([]byte("Secret99"))
	for _, e := range b.events {
		require.True(t, e.Masked)
		require.Empty(t, e.Frame)
		require.NotContains(t, string(e.Body), "Secret99")
		require.NotContains(t, string(e.Body), secretHex)
	}
	value, err := b.kv.Get(context.Background(), strconv.FormatInt(id, 10))
	require.NoError(t, err)
	require.NotContains(t, string(value), "Secret99")
	require.NotContains(t, string(value), secretHex)
}

func TestOneOfAKindInFlight(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.QueueLength = 2 })
	first := b.send(codec.CommandParamQuery, query)
	second := b.send(codec.CommandParamQuery, query)
	third := b.send(codec.CommandParamQuery, query)
	require.Equal(t, 1, b.link.count())
	require.Equal(t, command.StateQueued, b.result(second).State)

	_, err := b.Send(context.Background(), command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query})
	require.ErrorIs(t, err, command.ErrQueueFull)
	var refused *command.SendError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, testVIN, refused.DeviceName)

	other := b.send(codec.CommandParamSet, set)
	require.Equal(t, 2, b.link.count(), "another kind does not wait")

	b.answer(codec.CommandParamQuery, codec.FlagSuccess, answerTime)
	require.Equal(t, command.StateAnswered, b.result(first).State)
	require.Equal(t, command.StateSent, b.result(second).State)
	require.Equal(t, command.StateQueued, b.result(third).State)
	b.answer(codec.CommandParamQuery, codec.FlagError, answerTime)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, answerTime)
	require.Equal(t, command.StateRejected, b.result(second).State)
	require.Equal(t, command.StateAnswered, b.result(third).State)
	require.Equal(t, command.StateSent, b.result(other).State)
	require.Equal(t, []command.State{command.StateQueued, command.StateSent, command.StateRejected}, b.states(second))
	require.Less(t, first, second)
	require.Less(t, second, third)
}

func TestPendingBytesAreBounded(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.MaxPendingBytes = 2 * len(query) })
	b.send(codec.CommandParamQuery, query)
	b.send(codec.CommandParamQuery, query)
	_, err := b.Send(context.Background(), command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query})
	require.ErrorIs(t, err, command.ErrQueueFull)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, nil)
	b.send(codec.CommandParamQuery, query)
}

func TestResend(t *testing.T) {
	for name, c := range map[string]struct {
		command  codec.Command
		unit     []byte
		sends    int
		interval time.Duration
	}{
		"query":    {codec.CommandParamQuery, query, 3, 30 * time.Second},
		"set":      {codec.CommandParamSet, set, 3, 30 * time.Second},
		"control":  {codec.CommandControl, alarm, 3, time.Minute},
		"upgrade":  {codec.CommandControl, upgrade, 1, time.Minute},
		"reset":    {codec.CommandControl, reset, 1, time.Minute},
		"shutdown": {codec.CommandControl, shutdown, 1, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				id := b.send(c.command, c.unit)
				next := b.send(c.command, c.unit)
				for n := 1; n <= c.sends; n++ {
					require.Equal(t, n, b.link.count())
					require.Equal(t, command.StateSent, b.result(id).State)
					require.Equal(t, n, b.result(id).Sends)
					time.Sleep(c.interval - time.Millisecond)
					synctest.Wait()
					require.Equal(t, n, b.link.count(), "not before the interval is over")
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				require.Equal(t, command.StateTimedOut, b.result(id).State)
				require.Equal(t, []command.State{command.StateSent, command.StateTimedOut}, b.states(id))
				require.Equal(t, command.StateSent, b.result(next).State, "the next one goes out")
				require.Equal(t, c.sends+1, b.link.count())
			})
		})
	}
}

func TestResendStopsAtTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		time.Sleep(31 * time.Second)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, b.link.count())
		require.Equal(t, command.StateAnswered, b.result(id).State)
		require.Equal(t, 2, b.result(id).Sends)
	})
}

func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		time.Sleep(2 * time.Minute)
		require.Equal(t, command.StateTimedOut, b.result(id).State)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		require.Equal(t, command.StateAnswered, b.result(id).State, "late, but an answer")

		id = b.send(codec.CommandParamQuery, query)
		time.Sleep(20 * time.Minute)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		require.Equal(t, command.StateTimedOut, b.result(id).State, "too late")
	})
}

// The command in flight gets the answer, unless the answer fits the one before it better.
func TestTies(t *testing.T) {
	later := func(unit []byte) []byte {
		u := bytes.Clone(unit)
		u[5] = 50
		return u
	}
	t.Run("equal time means the earlier command", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			first, second := b.send(codec.CommandParamSet, set), b.send(codec.CommandParamSet, later(set))
			time.Sleep(95 * time.Second) // the first has timed out, the second is in flight
			b.answer(codec.CommandParamSet, codec.FlagSuccess, set)
			require.Equal(t, command.StateAnswered, b.result(first).State)
			require.Equal(t, command.StateSent, b.result(second).State)
			b.answer(codec.CommandParamSet, codec.FlagSuccess, set)
			require.Equal(t, command.StateSent, b.result(second).State, "the answer to a repetition of the first")
			b.answer(codec.CommandParamSet, codec.FlagError, answerTime)
			require.Equal(t, command.StateRejected, b.result(second).State, "a time of its own says nothing")
		})
	})
	t.Run("equal control id means the earlier command", func(t *testing.T) {
		b := newBench(t)
		first, second := b.send(codec.CommandControl, alarm), b.send(codec.CommandControl, disconnect)
		b.answer(codec.CommandControl, codec.FlagSuccess, append(bytes.Clone(answerTime), alarm[6:]...))
		require.Equal(t, command.StateAnswered, b.result(first).State)
		b.answer(codec.CommandControl, codec.FlagSuccess, append(bytes.Clone(answerTime), alarm[6:]...))
		require.Equal(t, command.StateSent, b.result(second).State)
		b.answer(codec.CommandControl, codec.FlagSuccess, append(bytes.Clone(answerTime), disconnect[6:]...))
		require.Equal(t, command.StateAnswered, b.result(second).State)
	})
	t.Run("nothing to tell them apart: the one in flight", func(t *testing.T) {
		b := newBench(t)
		b.send(codec.CommandParamQuery, query)
		second := b.send(codec.CommandParamQuery, query)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, nil)
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, nil)
		require.Equal(t, command.StateAnswered, b.result(second).State)
	})
}

func TestAnswersToNothingAreIgnored(t *testing.T) {
	b := newBench(t)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	id := b.send(codec.CommandParamQuery, query)
	b.answer(codec.CommandParamSet, codec.FlagSuccess, nil)
	b.answer(codec.CommandHeartbeat, codec.FlagSuccess, nil)
	require.Equal(t, command.StateSent, b.result(id).State)
}

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

func TestBusyLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.link.refuse = errors.New("outbox full")
		id := b.send(codec.CommandControl, reset)
		require.Equal(t, command.StateQueued, b.result(id).State)
		b.answer(codec.CommandControl, codec.FlagSuccess, reset)
		require.Equal(t, command.StateQueued, b.result(id).State, "it cannot be answered before it was sent")
		time.Sleep(1500 * time.Millisecond)
		b.link.mu.Lock()
		b.link.refuse = nil
		b.link.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, command.StateSent, b.result(id).State)
		require.Equal(t, 1, b.link.count(), "once only, still")

		b.answer(codec.CommandControl, codec.FlagSuccess, reset)
		b.link.refuse = errors.New("outbox full")
		id = b.send(codec.CommandControl, reset)
		time.Sleep(62 * time.Second)
		synctest.Wait()
		r := b.result(id)
		require.Equal(t, command.StateTimedOut, r.State)
		require.Equal(t, command.ReasonLinkBusy, r.Reason)
		require.Zero(t, r.Sends)
	})
}

// The vehicle may answer before the link has told that the frame went out.
func TestAnswerBeforeHandOver(t *testing.T) {
	b := newBench(t)
	b.link.hold = true
	id := b.send(codec.CommandParamQuery, query)
	require.Equal(t, command.StateQueued, b.result(id).State)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	b.link.held[0](nil)
	require.Equal(t, []command.State{command.StateSent, command.StateAnswered}, b.states(id))
	require.Equal(t, 1, b.result(id).Sends)
}

func TestSendErrors(t *testing.T) {
	b := newBench(t)
	good := command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query}
	for name, c := range map[string]struct {
		change func(*command.Request)
		want   error
	}{
		"no session":     {func(r *command.Request) { r.DeviceName = "LTEST000000000002" }, command.ErrOffline},
		"other product":  {func(r *command.Request) { r.ProductKey = "other" }, command.ErrOffline},
		"no VIN":         {func(r *command.Request) { r.DeviceName = "" }, command.ErrOffline},
		"uplink command": {func(r *command.Request) { r.Command = codec.CommandRealtime }, command.ErrCommand},
		"reserved":       {func(r *command.Request) { r.Command = 0x83 }, command.ErrCommand},
		"too long":       {func(r *command.Request) { r.Unit = make([]byte, codec.MaxUnitSize+1) }, command.ErrUnitTooLong},
	} {
		r := good
		c.change(&r)
		_, err := b.Send(context.Background(), r)
		require.ErrorIs(t, err, c.want, name)
	}
	require.Zero(t, b.link.count())
	good.Unit = make([]byte, codec.MaxUnitSize)
	_, err := b.Send(context.Background(), good)
	require.NoError(t, err)
	require.Len(t, b.link.last(), codec.MaxFrameSize)

	require.NoError(t, b.Close(context.Background()))
	_, err = b.Send(context.Background(), good)
	require.ErrorIs(t, err, command.ErrClosed)
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		r, err := b.Wait(short, id)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, command.StateSent, r.State)
		go func() {
			time.Sleep(5 * time.Second)
			b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		}()
		r, err = b.Wait(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, command.StateAnswered, r.State)
		_, err = b.Wait(context.Background(), 12345)
		require.ErrorIs(t, err, command.ErrNotFound)
	})
}

// Many callers, an answering vehicle and reconnections at once: every command ends, and its events are in order.
func TestConcurrency(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.QueueLength = 1000 })
	reply := func(l *link) {
		l.onSend = func(f codec.Frame) {
			b.Answer(b.live(), codec.AppendAnswer(nil, f, codec.FlagSuccess, f.Unit()))
		}
	}
	reply(b.link)
	var wg sync.WaitGroup
	ids := make(chan int64, 1000)
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				id, err := b.Send(context.Background(), command.Request{
					ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery + codec.Command(i%3), Unit: disconnect,
				})
				if err == nil {
					ids <- id
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			l := &link{}
			reply(l)
			b.login(l)
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	close(ids)
	seen := map[int64]bool{}
	order := map[command.State]int{command.StateQueued: 0, command.StateSent: 1, command.StateAnswered: 2, command.StateSuperseded: 2}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for id := range ids {
		require.False(t, seen[id])
		seen[id] = true
		r, err := b.Wait(ctx, id)
		require.NoError(t, err)
		require.Contains(t, []command.State{command.StateAnswered, command.StateSuperseded}, r.State)
		var states []command.State
		require.Eventually(t, func() bool { states = b.states(id); return len(states) > 0 && states[len(states)-1] == r.State },
			5*time.Second, time.Millisecond, "another goroutine may be about to publish it")
		require.True(t, slices.IsSortedFunc(states, func(a, b command.State) int { return order[a] - order[b] }), "%v", states)
	}
	require.Len(t, seen, 200)
}
