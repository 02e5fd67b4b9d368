package nats

import (
	"context"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// ask asks a node "?" and returns what is answered first.
func ask(ctx context.Context, n Nodes, node string) (answer []byte, delivered bool, err error) {
	delivered, err = n.Ask(ctx, node, []byte("?"), func(a []byte) bool { answer = a; return true })
	return answer, delivered, err
}

// TestNodes: a question reaches the node of the name, and whoever asks knows when it certainly did not.
func TestNodes(t *testing.T) {
	s := openStore(t, Options{Listen: "127.0.0.1:0"})
	n := s.Nodes()
	_, delivered, err := ask(t.Context(), n, "node two")
	require.False(t, delivered)
	require.ErrorContains(t, err, "node two")
	stop, err := n.Answer("node two", func(q []byte) []byte { return append(q, "!"...) })
	require.NoError(t, err)
	a, delivered, err := ask(t.Context(), n, "node two")
	require.NoError(t, err)
	require.True(t, delivered)
	require.Equal(t, "?!", string(a))
	_, delivered, err = ask(t.Context(), n, "node")
	require.ErrorContains(t, err, "node node: ", "it is another node's question")
	require.False(t, delivered)

	// Readers of the embedded server neither hear nor ask.
	nc, err := natsgo.Connect("nats://" + s.Addr())
	require.NoError(t, err)
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = nc.RequestWithContext(ctx, SubjectNodes+"node=20two", []byte("?"))
	require.Error(t, err)
	require.ErrorContains(t, nc.LastError(), "ermissions")
	sub, err := nc.SubscribeSync(SubjectNodes + ">")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	_, _, err = ask(t.Context(), n, "node two")
	require.NoError(t, err)
	_, err = sub.NextMsg(100 * time.Millisecond)
	require.Error(t, err, "it heard a question")

	stop()
	require.Eventually(t, func() bool {
		_, delivered, err := ask(t.Context(), n, "node two")
		return err != nil && !delivered
	}, limit, time.Millisecond)
	block := make(chan struct{})
	stop, err = n.Answer("slow", func([]byte) []byte { <-block; return nil })
	require.NoError(t, err)
	defer stop()
	defer close(block)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, delivered, err = ask(ctx, n, "slow")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, delivered, "it may have been")
}

// TestNodesForged: somebody who hears the questions answers before the node does, with whatever he likes: also that nobody listens.
// The node's answer is heard all the same. Without one it is not certain that the node did not get the question.
func TestNodesForged(t *testing.T) {
	srv := externalServer(t)
	n := openStore(t, Options{URL: srv.ClientURL()}).Nodes()
	forger, err := natsgo.Connect(srv.ClientURL())
	require.NoError(t, err)
	defer forger.Close()
	absent := &natsgo.Msg{Header: natsgo.Header{"Status": {"503"}}}
	for name, c := range map[string]struct {
		forged    []*natsgo.Msg
		deaf      bool
		delivered bool
	}{
		"junk":                          {forged: []*natsgo.Msg{{Data: []byte("no")}, {}}, delivered: true},
		"nobody listens":                {forged: []*natsgo.Msg{absent}, delivered: true},
		"both":                          {forged: []*natsgo.Msg{absent, {}, absent}, delivered: true},
		"junk, and no answer":           {forged: []*natsgo.Msg{{}}, deaf: true, delivered: true},
		"both, and no answer":           {forged: []*natsgo.Msg{{}, absent}, deaf: true, delivered: true},
		"nobody listens, and no answer": {forged: []*natsgo.Msg{absent}, deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := forger.Subscribe(SubjectNodes+"two", func(m *natsgo.Msg) {
				for _, f := range c.forged {
					f.Subject = m.Reply
					_ = forger.PublishMsg(f)
				}
				if !c.deaf {
					_ = m.Respond([]byte("yes"))
				}
			})
			require.NoError(t, err)
			require.NoError(t, forger.Flush())
			patience := limit
			if c.deaf {
				patience = 2 * absentWait
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			delivered, err := n.Ask(ctx, "two", []byte("?"), func(a []byte) bool { return string(a) == "yes" })
			require.Equal(t, c.delivered, delivered)
			require.Equal(t, c.deaf, err != nil, "%v", err)
			require.NoError(t, sub.Unsubscribe())
			require.NoError(t, forger.Flush())
		})
	}
}

// TestNodesTooLong: MaxQuestion is what the server takes.
func TestNodesTooLong(t *testing.T) {
	n := openStore(t, Options{URL: externalServer(t).ClientURL()}).Nodes()
	stop, err := n.Answer("two", func(q []byte) []byte { return []byte("yes") })
	require.NoError(t, err)
	defer stop()
	heard := func([]byte) bool { return true }
	_, err = n.Ask(t.Context(), "two", make([]byte, n.MaxQuestion()), heard)
	require.NoError(t, err)
	delivered, err := n.Ask(t.Context(), "two", make([]byte, n.MaxQuestion()+1), heard)
	require.ErrorIs(t, err, natsgo.ErrMaxPayload)
	require.False(t, delivered)
}
