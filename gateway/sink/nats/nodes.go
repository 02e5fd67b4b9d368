package nats

import (
	"context"
	"errors"
	"fmt"

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

// Ask brings a question to a node and returns its answer. delivered is false when it is certain that nobody got the question:
// there is no node of that name, or no connection.
func (n Nodes) Ask(ctx context.Context, node string, question []byte) (answer []byte, delivered bool, err error) {
	m, err := n.store.state.RequestWithContext(ctx, SubjectNodes+session.Token(node), question)
	if err != nil {
		unsent := errors.Is(err, natsgo.ErrNoResponders) || errors.Is(err, natsgo.ErrReconnectBufExceeded) || errors.Is(err, natsgo.ErrConnectionClosed) ||
			errors.Is(err, natsgo.ErrMaxPayload)
		return nil, !unsent, fmt.Errorf("nats: node %s: %w", node, err)
	}
	return m.Data, true, nil
}

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
