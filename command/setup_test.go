package command_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"go.uber.org/goleak"
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

func (l *link) Close(session.Reason) {}

func (l *link) Remote() netip.AddrPort { return netip.AddrPort{} }

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
	t.Cleanup(func() {
		require.NoError(t, b.Close(context.Background()))
		require.Equal(t, [3]command.Pending{}, b.pending(), "whatever the test did, nothing is under way at the end")
	})
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

// pending is how many queries, settings and controls are not over.
func (b *bench) pending() (p [3]command.Pending) {
	for i := range p {
		p[i] = b.Pending(codec.CommandParamQuery + codec.Command(i))
	}
	return p
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
