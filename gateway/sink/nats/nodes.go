package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/tboxgate/tboxgate/session"
)

// SubjectNodes begins the subjects on which the gateways of one store ask each other: SubjectNodes + node. Nothing there is stored, and readers of
// the embedded server can neither subscribe nor publish there.
const SubjectNodes = "TBOXGATE.NODE."

// Nodes carries questions between the gateways that share the store.
type Nodes struct{ store *Store }

// Nodes returns the way to the other gateways. It ends with the store.
func (s *Store) Nodes() Nodes { return Nodes{s} }

const (
	// absentWait is how much longer an answer is waited for when NATS has said that nobody listens: others than the server can say so.
	absentWait = 250 * time.Millisecond
	// maxAnswers bounds the answers, to one question, that wait to be looked at.
	maxAnswers = 1 << 10
)

// Ask brings a question to a node and passes on what is answered until heard returns true, which ends it without an error, or ctx
// ends. Who may publish in NATS can answer anything, hence heard. delivered is false when nobody got the question: there is no node
// of that name, or no connection.
func (n Nodes) Ask(ctx context.Context, node string, question []byte, heard func(answer []byte) bool) (delivered bool, err error) {
	delivered, err = n.ask(ctx, SubjectNodes+session.Token(node), question, heard)
	if err != nil {
		err = fmt.Errorf("nats: node %s: %w", node, err)
	}
	return delivered, err
}

func (n Nodes) ask(ctx context.Context, subject string, question []byte, heard func(answer []byte) bool) (delivered bool, err error) {
	nc := n.store.state
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return false, err
	}
	defer func() { _ = sub.Unsubscribe() }() // after the connection has ended there is nothing to end
	if err := errors.Join(sub.SetPendingLimits(maxAnswers, maxAnswers<<10), nc.PublishRequest(subject, inbox, question)); err != nil {
		unsent := errors.Is(err, natsgo.ErrReconnectBufExceeded) || errors.Is(err, natsgo.ErrConnectionClosed) || errors.Is(err, natsgo.ErrMaxPayload)
		return !unsent, err
	}
	absent, answered := false, false
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, natsgo.ErrNoResponders):
			if !absent {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, absentWait)
				defer cancel()
			}
			absent = true
		case err != nil && absent && !answered:
			return false, natsgo.ErrNoResponders
		case err != nil:
			return true, err
		case heard(m.Data):
			return true, nil
		default:
			answered = true // so somebody listens, whoever it is
		}
	}
}

// MaxQuestion is how many bytes a question may have.
func (n Nodes) MaxQuestion() int { return n.store.MaxPayload() }

// Answer has f answer the questions for a node, one after another, until stop is called. An empty answer is sent too.
func (n Nodes) Answer(node string, f func(question []byte) []byte) (stop func(), err error) {
	sub, err := n.store.state.Subscribe(SubjectNodes+session.Token(node), func(m *natsgo.Msg) {
		if err := m.Respond(f(m.Data)); err != nil {
			n.store.opts.Logger.Warn("another node is not answered", "error", err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	// The server knows of it when this returns: whoever hears of a vehicle here can ask at once.
	if err := n.store.state.FlushTimeout(n.store.opts.ReadyTimeout); err != nil {
		return nil, errors.Join(fmt.Errorf("nats: %w", err), sub.Unsubscribe())
	}
	return func() { _ = sub.Drain() }, nil // after the connection has ended there is nothing to stop
}
