// Package relay brings commands to the gateway that the vehicle is connected to, where several gateways share a store and each
// takes the calls of the API.
//
//	API ─▶ Relay ─┬▶ command.Dispatcher ─▶ vehicle                        it is connected here
//	              └▶ Nodes ─▶ Relay of its node ─▶ command.Dispatcher     the registry says where else
//
// What passes between nodes is sealed with the key that they have in common, so that neither who reads along learns what is in
// a command nor who can publish there sends one. The message id is the asking node's: when the other does not answer in time,
// the caller has it and learns the end from the store.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
)

const (
	// takeTime is how long after a question a node may take the command on.
	takeTime = 3 * time.Second
	// waitTime is how long an answer is waited for: the node's clock may be off by the difference.
	waitTime = takeTime + 2*time.Second
	// maxSeen bounds the questions remembered so that none is answered twice.
	maxSeen = 1 << 16
)

// Nodes carries questions between the gateways.
type Nodes interface {
	// Ask brings a question to a node and passes on what is answered until heard returns true, which ends it without an error, or
	// ctx ends. delivered is false when the question did not reach the node, because nobody has that name or there is no connection.
	Ask(ctx context.Context, node string, question []byte, heard func(answer []byte) bool) (delivered bool, err error)
	// MaxQuestion is how many bytes a question may have.
	MaxQuestion() int
	// Answer has f answer the questions for a node, one after another, until stop is called.
	Answer(node string, f func(question []byte) []byte) (stop func(), err error)
}

// Sealer seals with a key that all nodes have; seal.Box is one.
type Sealer interface {
	Seal(plain []byte, context string) []byte
	Open(sealed []byte, context string) ([]byte, error)
}

// Commands are those of this node; command.Dispatcher is one.
type Commands interface {
	Send(ctx context.Context, r command.Request) (id int64, err error)
	Result(ctx context.Context, productKey string, id int64) (command.Result, error)
	Wait(ctx context.Context, id int64) (command.Result, error)
	NewID(ctx context.Context) (int64, error)
	Expect(r command.Result)
	Unheard(ctx context.Context, r command.Result)
}

// Options configure a Relay. All but Deliver, Device, Refusals, Observe and Logger are required.
type Options struct {
	Node     string
	Nodes    Nodes
	Seal     Sealer
	Commands Commands
	// Vehicle says at which node a vehicle is online, as far as the registry knows.
	Vehicle func(vin codec.VIN) (node string, online bool)

	// Deliver delivers a message to an MQTT device that is connected here, Device says where one is online.
	Deliver func(ctx context.Context, r command.TopicRequest) (id int64, err error)
	Device  func(productKey, deviceName string) (node string, online bool)
	// Refusals are the errors that travel between nodes, besides those of package command, by their names.
	Refusals map[string]error
	// TooLong is the kind of error for a message to an MQTT device that is too long to be brought to another node.
	TooLong error

	Observe func(Event)      // called for each command that goes to or comes from another node; must not block
	Logger  *slog.Logger     // others can cause its lines: it should be limited
	Now     func() time.Time // default time.Now
}

// Event is one command between two nodes, for metrics.
type Event struct {
	Taken   bool // from another node; else it was asked of one
	Outcome Outcome
}

// Outcome is what became of a command that was to go to another node.
type Outcome string

// The outcomes.
const (
	Accepted    Outcome = "accepted"    // the node has taken it on
	Refused     Outcome = "refused"     // the node has refused it: the vehicle has just left, too many commands wait
	Unreachable Outcome = "unreachable" // the node was not there: nothing was sent
	Silent      Outcome = "silent"      // the node did not answer in time: it may have been sent
	Untrusted   Outcome = "untrusted"   // the question, or all that came as an answer, is sealed with another key, for another node or has been seen before
)

// Relay sends commands here or at another node. It is safe for concurrent use.
type Relay struct {
	o    Options
	stop func()

	mu   sync.Mutex
	seen map[int64]time.Time // ids of questions taken, and until when whoever asked may be waiting
}

// New returns a relay that answers the other nodes until Close.
func New(o Options) (*Relay, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	r := &Relay{o: o, seen: map[int64]time.Time{}}
	stop, err := o.Nodes.Answer(o.Node, r.answer)
	if err != nil {
		return nil, fmt.Errorf("relay: questions for node %s: %w", o.Node, err)
	}
	r.stop = stop
	return r, nil
}

// Close ends what other nodes may ask. Those that ask then learn that nobody is there.
func (r *Relay) Close() { r.stop() }

// Send sends a command to a vehicle, wherever it is connected. Its errors are those of command.Dispatcher's Send.
func (r *Relay) Send(ctx context.Context, q command.Request) (int64, error) {
	id, err := r.o.Commands.Send(ctx, q)
	if !errors.Is(err, command.ErrOffline) {
		return id, err
	}
	vin, bad := codec.ParseVIN(q.DeviceName)
	if bad != nil {
		return 0, err
	}
	other := r.elsewhere(ctx, place{
		where: func() (string, bool) { return r.o.Vehicle(vin) },
		here:  func() (int64, error) { return r.o.Commands.Send(ctx, q) }, offline: command.ErrOffline, tooLong: command.ErrUnitTooLong,
	}, question{
		ProductKey: q.ProductKey, DeviceName: q.DeviceName, Command: q.Command, Unit: q.Unit, RequestID: q.RequestID, AccessKeyID: q.AccessKeyID,
	})
	switch {
	case !other.asked:
		return 0, err
	case other.err != nil:
		return 0, &command.SendError{ProductKey: q.ProductKey, DeviceName: q.DeviceName, Command: q.Command, Err: other.err}
	}
	return other.id, nil
}

// Deliver delivers a message to an MQTT device, wherever it is connected. offline is the error of Options.Deliver that says that it
// is not connected here.
func (r *Relay) Deliver(ctx context.Context, q command.TopicRequest, offline error) (int64, error) {
	id, err := r.o.Deliver(ctx, q)
	if !errors.Is(err, offline) {
		return id, err
	}
	other := r.elsewhere(ctx, place{
		where: func() (string, bool) { return r.o.Device(q.ProductKey, q.DeviceName) },
		here:  func() (int64, error) { return r.o.Deliver(ctx, q) }, offline: offline, tooLong: r.o.TooLong,
	}, question{
		ProductKey: q.ProductKey, DeviceName: q.DeviceName, Topic: q.Topic, Unit: q.Payload, RequestID: q.RequestID, AccessKeyID: q.AccessKeyID,
	})
	if !other.asked {
		return 0, err
	}
	return other.id, other.err
}

// Result returns what is known about a command, of whatever node.
func (r *Relay) Result(ctx context.Context, productKey string, id int64) (command.Result, error) {
	return r.o.Commands.Result(ctx, productKey, id)
}

// Wait returns the result of a command, of whatever node, once it is over; see command.Dispatcher.
func (r *Relay) Wait(ctx context.Context, id int64) (command.Result, error) {
	return r.o.Commands.Wait(ctx, id)
}

// place is where a vehicle or device is to be looked for.
type place struct {
	where   func() (node string, online bool)
	here    func() (id int64, err error) // sends at this node
	offline error                        // of a node where it is not
	tooLong error                        // of what cannot be brought to another node
}

// found is what became of it; asked is false when there was no other node to ask.
type found struct {
	id    int64
	err   error
	asked bool
}

// elsewhere asks the node where the vehicle is; when it has left for another one meanwhile, that one too.
func (r *Relay) elsewhere(ctx context.Context, p place, q question) (f found) {
	last := r.o.Node
	for range 3 {
		node, online := p.where()
		if !online || node == "" || node == last {
			return f
		}
		last, f.asked = node, true
		if node == r.o.Node {
			f.id, f.err = p.here()
		} else {
			f.id, f.err = r.ask(ctx, node, p, q)
		}
		if !errors.Is(f.err, p.offline) {
			return f
		}
	}
	return f
}

// ask has one node send a command. Only an answer that the node has sealed is believed: when there is none in time, whatever else
// has come, nobody knows whether the command was sent, and its result says so.
func (r *Relay) ask(ctx context.Context, node string, p place, q question) (int64, error) {
	id, err := r.o.Commands.NewID(ctx)
	if err != nil {
		return 0, err
	}
	now := r.o.Now()
	q.MessageID, q.From, q.To, q.Until = id, r.o.Node, node, now.Add(takeTime).UnixMilli()
	sealed := q.seal(r.o.Seal)
	if limit := r.o.Nodes.MaxQuestion(); len(sealed) > limit {
		r.o.Observe(Event{Outcome: Refused})
		return 0, fmt.Errorf("%w: %d bytes, and to what is connected to another gateway (%s) at most %d, by the max_payload of NATS",
			p.tooLong, len(q.Unit), node, q.room(len(sealed), limit))
	}
	// What was asked is not taken back when the caller goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitTime)
	defer cancel()
	var a answer
	unreadable := false
	delivered, err := r.o.Nodes.Ask(ctx, node, sealed, func(sealed []byte) bool {
		got, err := openAnswer(r.o.Seal, sealed, id)
		if err != nil {
			if !unreadable {
				r.o.Logger.Warn("what came as a node's answer cannot be read and is ignored", "node", node, "messageId", id, "error", err, "remedy", sameKey)
			}
			unreadable = true
			return false
		}
		a = got
		return got.Refusal != refusalTwice // somebody repeats the question: this says nothing about the first
	})
	result := q.result(node, now)
	switch {
	case !delivered:
		r.o.Observe(Event{Outcome: Unreachable})
		r.o.Logger.Warn("the node that a vehicle is online at does not answer; the vehicle counts as offline", "node", node, "error", err)
		return 0, p.offline
	case err != nil:
		outcome := Silent
		if unreadable {
			outcome = Untrusted
		}
		r.o.Observe(Event{Outcome: outcome})
		r.o.Logger.Warn("a node did not say whether it took a command on; its result tells", "node", node, "messageId", id, "error", err)
		r.o.Commands.Unheard(ctx, result)
		return id, nil
	}
	if err := r.refusal(a.Refusal); err != nil {
		r.o.Observe(Event{Outcome: Refused})
		return 0, fmt.Errorf("node %s: %w", node, err)
	}
	r.o.Observe(Event{Outcome: Accepted})
	r.o.Commands.Expect(result)
	return id, nil
}

// answer takes on what another node asks.
func (r *Relay) answer(sealed []byte) []byte {
	q, err := openQuestion(r.o.Seal, sealed, r.o.Node)
	if err != nil {
		r.o.Observe(Event{Taken: true, Outcome: Untrusted})
		r.o.Logger.Warn("a command of another node is refused", "error", err, "remedy", sameKey)
		return nil
	}
	if why := r.stale(&q); why != "" {
		r.o.Observe(Event{Taken: true, Outcome: Untrusted})
		r.o.Logger.Warn("a command of another node came twice, or later than it may; it is refused", "node", q.From, "messageId", q.MessageID, "remedy", "compare the clocks of the nodes")
		return answer{MessageID: q.MessageID, Refusal: why}.seal(r.o.Seal)
	}
	ctx, cancel := context.WithTimeout(context.Background(), takeTime)
	defer cancel()
	if q.Topic == "" {
		_, err = r.o.Commands.Send(ctx, command.Request{
			MessageID: q.MessageID, ProductKey: q.ProductKey, DeviceName: q.DeviceName, Command: q.Command, Unit: q.Unit,
			RequestID: q.RequestID, AccessKeyID: q.AccessKeyID,
		})
	} else {
		_, err = r.o.Deliver(ctx, command.TopicRequest{
			MessageID: q.MessageID, ProductKey: q.ProductKey, DeviceName: q.DeviceName, Topic: q.Topic, Payload: q.Unit,
			RequestID: q.RequestID, AccessKeyID: q.AccessKeyID,
		})
	}
	outcome := Accepted
	if err != nil {
		outcome = Refused
	}
	r.o.Observe(Event{Taken: true, Outcome: outcome})
	return answer{MessageID: q.MessageID, Refusal: r.nameOf(err)}.seal(r.o.Seal)
}

// stale notes a question, or says why it may not be taken on: refusalTwice, or refusalLate when it certainly never was.
func (r *Relay) stale(q *question) (refusal string) {
	now := r.o.Now()
	until := time.UnixMilli(q.Until)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.seen[q.MessageID]; twice {
		return refusalTwice
	}
	if now.After(until) || until.Sub(now) > 2*waitTime {
		return refusalLate
	}
	if len(r.seen) >= maxSeen {
		for id, end := range r.seen {
			if now.After(end) {
				delete(r.seen, id)
			}
		}
	}
	if len(r.seen) >= maxSeen {
		return refusalLate
	}
	r.seen[q.MessageID] = until.Add(waitTime)
	return ""
}

const sameKey = "all gateways on one store need the same seal key (TBOXGATE_SEAL_KEY, or seal.key in the data directory)"
