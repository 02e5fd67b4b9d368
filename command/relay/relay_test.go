package relay_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/relay"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testVIN     = "LTEST000000000001"
	testProduct = "gbt32960"
)

var (
	errNoDevice = errors.New("the device is not connected")
	errBusy     = errors.New("the device is busy")
	errTooLong  = errors.New("the message is too long")
	query       = []byte{26, 7, 1, 8, 0, 0, 1, codec.ParamReportPeriod}
)

// wires connect nodes. A test can cut the way there or the way back.
type wires struct {
	mu       sync.Mutex
	nodes    map[string]func([]byte) []byte
	forge    func(question []byte) []byte // what arrives instead
	deaf     bool                         // the question is lost
	mute     bool                         // the answer is lost
	noise    [][]byte                     // what comes before the answer
	limit    int                          // of a question; 0: none
	question []byte                       // the last one
	answer   []byte                       // to it
}

func (w *wires) Ask(ctx context.Context, node string, question []byte, heard func([]byte) bool) (bool, error) {
	w.mu.Lock()
	f, forge, deaf, mute, answers := w.nodes[node], w.forge, w.deaf, w.mute, w.noise
	w.question = question
	w.mu.Unlock()
	if f == nil {
		return false, errors.New("nobody is there")
	}
	if forge != nil {
		question = forge(question)
	}
	if !deaf {
		answer := f(question)
		if !mute {
			answers = append(slices.Clip(answers), answer)
		}
		w.mu.Lock()
		w.answer = answer
		w.mu.Unlock()
	}
	if slices.ContainsFunc(answers, heard) {
		return true, nil
	}
	<-ctx.Done()
	return true, ctx.Err()
}

func (w *wires) MaxQuestion() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cmp.Or(w.limit, 1<<20)
}

func (w *wires) Answer(node string, f func([]byte) []byte) (func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[node] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.nodes, node)
	}, nil
}

// land is two nodes with one store.
type land struct {
	wires
	kv     *memkv.KV
	mu     sync.Mutex
	where  string // of the vehicle, as the registry says
	online bool
	a, b   *node
}

type node struct {
	*relay.Relay
	d      *command.Dispatcher
	table  *session.Table
	log    *bytes.Buffer
	mu     sync.Mutex
	frames []codec.Frame
	topics []command.TopicRequest
	events []relay.Event
	states []command.State
	refuse error // of a message to a topic
}

// Send, Close, Remote and Platform make it a vehicle's link.
func (n *link) Send(frame []byte, done func(error)) {
	n.n.mu.Lock()
	n.n.frames = append(n.n.frames, frame)
	n.n.mu.Unlock()
	done(nil)
}

type link struct{ n *node }

func (n *link) Close(session.Reason)   {}
func (n *link) Remote() netip.AddrPort { return netip.AddrPort{} }
func (n *link) Platform() string       { return "" }

func newLand(t *testing.T) *land {
	l := &land{wires: wires{nodes: map[string]func([]byte) []byte{}}, kv: memkv.New()}
	l.a, l.b = l.node(t, "a", 1), l.node(t, "b", 1)
	return l
}

func (l *land) node(t *testing.T, name string, key byte) *node {
	n := &node{log: &bytes.Buffer{}}
	n.table = session.NewTable(nil, name)
	var err error
	n.d, err = command.NewDispatcher(t.Context(), command.Options{
		Sessions: n.table, KV: l.kv, Node: name, Publish: func(codec.VIN, string, []byte) {},
		Observe: func(r command.Result) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.states = append(n.states, r.State)
		},
	})
	require.NoError(t, err)
	box, err := seal.New(bytes.Repeat([]byte{key}, seal.KeySize))
	require.NoError(t, err)
	at := func() (string, bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.where, l.online
	}
	n.Relay, err = relay.New(relay.Options{
		Node: name, Nodes: &l.wires, Seal: box, Commands: n.d, Logger: slog.New(slog.NewTextHandler(n.log, nil)),
		Vehicle: func(codec.VIN) (string, bool) { return at() },
		Device:  func(string, string) (string, bool) { return at() },
		Deliver: func(ctx context.Context, r command.TopicRequest) (int64, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.refuse != nil {
				return 0, n.refuse
			}
			n.topics = append(n.topics, r)
			return r.MessageID, nil
		},
		Refusals: map[string]error{"noDevice": errNoDevice, "busy": errBusy}, TooLong: errTooLong,
		Observe: func(e relay.Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e)
		},
	})
	require.NoError(t, err)
	n.refuse = errNoDevice
	t.Cleanup(func() {
		n.Close()
		require.NoError(t, n.d.Close(context.Background()))
	})
	return n
}

// move has the vehicle log in at a node.
func (l *land) move(t *testing.T, n *node, name string) *session.Session {
	vin, err := codec.ParseVIN(testVIN)
	require.NoError(t, err)
	s := &session.Session{ID: session.NewID(), VIN: vin, RawVIN: vin, ProductKey: testProduct, Edition: codec.Edition2016, Link: &link{n}}
	n.table.Login(s)
	l.say(name)
	return s
}

// say has the registry say where the vehicle is.
func (l *land) say(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.where, l.online = name, true
}

// inOurTime runs a test in a bubble whose clock shows a time in which message ids differ: they begin in 2026.
func inOurTime(t *testing.T, test func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour)
		test(t)
	})
}

func request() command.Request {
	return command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query, RequestID: "r", AccessKeyID: "k"}
}

// TestCommandElsewhere: a call at one node reaches a vehicle at another, and both nodes tell the result.
func TestCommandElsewhere(t *testing.T) {
	l := newLand(t)
	s := l.move(t, l.b, "b")
	id, err := l.a.Send(t.Context(), request())
	require.NoError(t, err)
	require.Len(t, l.b.frames, 1)
	require.Equal(t, string(query), string(l.b.frames[0].Unit()))
	require.NotContains(t, string(l.question), testVIN, "what passes between the nodes is sealed")

	r, err := l.a.Result(t.Context(), testProduct, id)
	require.NoError(t, err, "whether or not the store shows it yet")
	require.Equal(t, "b", r.Node)
	require.Equal(t, "k", r.AccessKeyID)
	answer, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandParamQuery, Flag: codec.FlagSuccess, VIN: s.RawVIN, Encryption: 1},
		[]byte{26, 7, 1, 8, 0, 1, 1, codec.ParamReportPeriod, 0, 10})
	require.NoError(t, err)
	l.b.d.Answer(s, answer)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, n := range []*node{l.a, l.b} {
		r, err := n.Wait(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.StateAnswered, r.State)
		require.Equal(t, "b", r.Node)
	}
	require.Equal(t, []relay.Event{{Outcome: relay.Accepted}}, l.a.events)
	require.Equal(t, []relay.Event{{Taken: true, Outcome: relay.Accepted}}, l.b.events)
}

// TestHereComesFirst: nobody is asked about a vehicle that is connected here, or nowhere.
func TestHereComesFirst(t *testing.T) {
	l := newLand(t)
	_, err := l.a.Send(t.Context(), request())
	require.ErrorIs(t, err, command.ErrOffline)
	l.move(t, l.a, "b") // the registry lags behind
	_, err = l.a.Send(t.Context(), request())
	require.NoError(t, err)
	require.Len(t, l.a.frames, 1)
	require.Empty(t, l.a.events)
}

// TestNodeGone: a node that has crashed leaves its vehicles online in the registry.
func TestNodeGone(t *testing.T) {
	l := newLand(t)
	l.say("c")
	_, err := l.a.Send(t.Context(), request())
	require.ErrorIs(t, err, command.ErrOffline)
	require.Equal(t, []relay.Event{{Outcome: relay.Unreachable}}, l.a.events)
	require.Contains(t, l.a.log.String(), "node=c")
}

// TestRefusals of the other node are those of the dispatcher there.
func TestRefusals(t *testing.T) {
	l := newLand(t)
	l.say("b")
	_, err := l.a.Send(t.Context(), request())
	require.ErrorIs(t, err, command.ErrOffline, "it has left")
	l.move(t, l.b, "b")
	long := request()
	long.Unit = make([]byte, codec.MaxUnitSize+1)
	_, err = l.a.Send(t.Context(), long)
	require.ErrorIs(t, err, command.ErrUnitTooLong)
	var refused *command.SendError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, testVIN, refused.DeviceName)
	for range 17 {
		_, err = l.a.Send(t.Context(), request())
		require.NoError(t, err)
	}
	_, err = l.a.Send(t.Context(), request())
	require.ErrorIs(t, err, command.ErrQueueFull)
}

// TestVehicleMoves: it leaves the node that was asked for another one, here or there.
func TestVehicleMoves(t *testing.T) {
	for _, to := range []string{"a", "c"} {
		t.Run(to, func(t *testing.T) {
			l := newLand(t)
			c := l.node(t, "c", 1)
			nodes := map[string]*node{"a": l.a, "c": c}
			l.say("b")
			l.forge = func(q []byte) []byte { l.move(t, nodes[to], to); l.forge = nil; return q }
			_, err := l.a.Send(t.Context(), request())
			require.NoError(t, err)
			require.Len(t, nodes[to].frames, 1)
		})
	}
}

// TestNodeSilent: when nobody knows whether a command was sent, the caller gets its id, and the result tells.
func TestNodeSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLand(t)
		l.move(t, l.b, "b")
		l.deaf = true
		id, err := l.a.Send(t.Context(), request())
		require.NoError(t, err)
		r, err := l.a.Result(t.Context(), testProduct, id)
		require.NoError(t, err)
		require.Equal(t, command.StateDisconnected, r.State)
		require.Equal(t, command.ReasonNodeSilent, r.Reason)
		require.Empty(t, l.b.frames)
		require.Equal(t, []command.State{command.StateDisconnected}, l.a.states)

		l.deaf, l.mute = false, true // it was sent after all
		id, err = l.a.Send(t.Context(), request())
		require.NoError(t, err)
		r, err = l.a.Result(t.Context(), testProduct, id)
		require.NoError(t, err)
		require.Equal(t, command.StateSent, r.State)
		require.Len(t, l.b.frames, 1)
	})
}

// TestNodeSilentStoreAway: when the store cannot tell either, it is asked again until it can, or until the end.
func TestNodeSilentStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLand(t)
		l.move(t, l.b, "b")
		_, err := l.a.Send(t.Context(), request()) // the store has the mark of message ids
		require.NoError(t, err)
		l.deaf = true
		l.kv.Fail(errors.New("away"))
		id, err := l.a.Send(t.Context(), request())
		require.NoError(t, err)
		_, err = l.a.Result(t.Context(), testProduct, id)
		require.ErrorIs(t, err, command.ErrStore)
		l.kv.Fail(nil)
		r, err := l.a.Wait(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, command.ReasonNodeSilent, r.Reason)
		synctest.Wait()
		l.a.mu.Lock()
		require.Equal(t, []command.State{command.StateDisconnected}, l.a.states)
		l.a.mu.Unlock()

		l.kv.Fail(errors.New("away"))
		_, err = l.a.Send(t.Context(), request())
		require.NoError(t, err)
		l.kv.Fail(nil)
		require.NoError(t, l.a.d.Close(t.Context()), "it does not wait for that")
	})
}

// TestNobodyElseSends: who can write between the nodes cannot have a command sent, not even one that was sent before.
func TestNobodyElseSends(t *testing.T) {
	inOurTime(t, func(t *testing.T) {
		l := newLand(t)
		l.move(t, l.b, "b")
		_, err := l.a.Send(t.Context(), request())
		require.NoError(t, err)
		require.Len(t, l.b.frames, 1)
		question := bytes.Clone(l.question)
		answer := l.nodes["b"](question)
		require.NotEmpty(t, answer)
		require.Len(t, l.b.frames, 1, "the same question again")
		require.Empty(t, l.nodes["a"](question), "a question to another node")
		require.Empty(t, l.nodes["b"]([]byte(`{"deviceName":"`+testVIN+`"}`)))
		require.Empty(t, l.nodes["b"](nil))
		require.Empty(t, l.nodes["b"](answer))

		foreign := l.node(t, "x", 2) // with another key
		id, err := foreign.Send(t.Context(), request())
		require.NoError(t, err)
		r, err := foreign.Result(t.Context(), testProduct, id)
		require.NoError(t, err)
		require.Equal(t, command.ReasonNodeSilent, r.Reason)
		require.Equal(t, []relay.Event{{Outcome: relay.Untrusted}}, foreign.events)
		require.Len(t, l.b.frames, 1)
		require.Contains(t, l.b.log.String(), "TBOXGATE_SEAL_KEY")
		require.Contains(t, foreign.log.String(), "TBOXGATE_SEAL_KEY")
		require.NotContains(t, l.b.log.String(), testVIN)

		l.forge = func(q []byte) []byte { time.Sleep(4 * time.Second); return q }
		_, err = l.a.Send(t.Context(), request())
		require.ErrorIs(t, err, command.ErrStore, "it comes too late")
		require.ErrorContains(t, err, "late")
		require.Len(t, l.b.frames, 1)
	})
}

// TestNobodyElseAnswers: what the node has not sealed itself, for this very question, is no answer. Its own that comes behind it
// counts; without one nobody knows whether the command was sent, and that is what the caller hears.
func TestNobodyElseAnswers(t *testing.T) {
	inOurTime(t, func(t *testing.T) {
		l := newLand(t)
		l.say("b")
		_, err := l.a.Send(t.Context(), request())
		require.ErrorIs(t, err, command.ErrOffline)
		offline := l.answer // which the node has sealed, of another question
		forged := [][]byte{nil, []byte(`{"messageId":1,"refusal":"offline"}`), offline, offline[:len(offline)-1]}
		l.noise = forged
		_, err = l.a.Send(t.Context(), request())
		require.ErrorIs(t, err, command.ErrOffline)

		l.move(t, l.b, "b")
		q := request()
		for i, want := range []command.State{command.StateSent, command.StateSent, command.StateDisconnected} {
			l.mute = i > 0 // it is sent, and nobody says so
			l.deaf = i > 1 // it is not
			id, err := l.a.Send(t.Context(), q)
			require.NoError(t, err)
			synctest.Wait() // for the store
			r, err := l.a.Result(t.Context(), testProduct, id)
			require.NoError(t, err)
			require.Equal(t, want, r.State)
			if want == command.StateDisconnected {
				require.Equal(t, command.ReasonNodeSilent, r.Reason)
			}
			q.Command++ // one of a kind at a time
		}
		require.Len(t, l.b.frames, 2)
		require.Equal(t, []relay.Event{
			{Outcome: relay.Refused}, {Outcome: relay.Refused}, {Outcome: relay.Accepted}, {Outcome: relay.Untrusted}, {Outcome: relay.Untrusted},
		}, l.a.events)
		require.Equal(t, 4, strings.Count(l.a.log.String(), "cannot be read and is ignored"), "once a question")
	})
}

// TestQuestionRepeated: what the node says of a question that somebody repeats tells nothing about the question itself.
func TestQuestionRepeated(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "when it is too late": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLand(t)
				l.move(t, l.b, "b")
				l.forge = func(q []byte) []byte {
					require.NotEmpty(t, l.nodes["b"](q)) // lost on its way back
					time.Sleep(after)
					return q
				}
				id, err := l.a.Send(t.Context(), request())
				require.NoError(t, err, "it was sent")
				r, err := l.a.Result(t.Context(), testProduct, id)
				require.NoError(t, err)
				require.Equal(t, command.StateSent, r.State)
				require.Len(t, l.b.frames, 1)
			})
		})
	}
}

// TestTopicElsewhere: messages to MQTT devices go the same way.
func TestTopicElsewhere(t *testing.T) {
	l := newLand(t)
	m := command.TopicRequest{ProductKey: "meters", DeviceName: "meter-01", Topic: "/meters/meter-01/user/get", Payload: []byte("now"), AccessKeyID: "k"}
	_, err := l.a.Deliver(t.Context(), m, errNoDevice)
	require.ErrorIs(t, err, errNoDevice)
	l.say("b")
	_, err = l.a.Deliver(t.Context(), m, errNoDevice)
	require.ErrorIs(t, err, errNoDevice)
	l.b.refuse = errBusy
	_, err = l.a.Deliver(t.Context(), m, errNoDevice)
	require.ErrorIs(t, err, errBusy)
	l.b.refuse = nil
	id, err := l.a.Deliver(t.Context(), m, errNoDevice)
	require.NoError(t, err)
	m.MessageID = id
	require.Equal(t, []command.TopicRequest{m}, l.b.topics)
}

// TestTooLongForTheRelay: what does not fit into a message between the nodes is refused with its size and the limit, and what just
// fits is brought over.
func TestTooLongForTheRelay(t *testing.T) {
	l := newLand(t)
	l.say("b")
	l.b.refuse = nil
	l.limit = 10 << 10
	m := command.TopicRequest{ProductKey: "meters", DeviceName: "meter-01", Topic: "/meters/meter-01/user/get", Payload: make([]byte, 12<<10)}
	_, err := l.a.Deliver(t.Context(), m, errNoDevice)
	require.ErrorIs(t, err, errTooLong)
	require.Regexp(t, `^the message is too long: 12288 bytes, and to what is connected to another gateway \(b\) at most 7[0-9]{3}, by the max_payload of NATS$`, err.Error())
	require.Empty(t, l.b.topics)
	require.Equal(t, []relay.Event{{Outcome: relay.Refused}}, l.a.events)
	var most int
	_, err = fmt.Sscanf(err.Error()[strings.Index(err.Error(), "at most"):], "at most %d", &most)
	require.NoError(t, err)
	m.Payload = m.Payload[:most]
	_, err = l.a.Deliver(t.Context(), m, errNoDevice)
	require.NoError(t, err)
	m.Payload = make([]byte, most+3)
	_, err = l.a.Deliver(t.Context(), m, errNoDevice)
	require.ErrorIs(t, err, errTooLong)
	require.Len(t, l.b.topics, 1)
}
