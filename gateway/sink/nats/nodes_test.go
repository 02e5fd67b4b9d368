package nats

import (
	"context"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// TestNodes: a question reaches the node of the name, and whoever asks knows when it certainly did not.
func TestNodes(t *testing.T) {
	s := openStore(t, Options{Listen: "127.0.0.1:0"})
	n := s.Nodes()
	_, delivered, err := n.Ask(t.Context(), "node two", []byte("?"))
	require.False(t, delivered)
	require.ErrorContains(t, err, "node two")
	stop, err := n.Answer("node two", func(q []byte) []byte { return append(q, "!"...) })
	require.NoError(t, err)
	a, delivered, err := n.Ask(t.Context(), "node two", []byte("?"))
	require.NoError(t, err)
	require.True(t, delivered)
	require.Equal(t, "?!", string(a))

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
	_, _, err = n.Ask(t.Context(), "node two", []byte("?"))
	require.NoError(t, err)
	_, err = sub.NextMsg(100 * time.Millisecond)
	require.Error(t, err, "it heard a question")

	stop()
	require.Eventually(t, func() bool {
		_, delivered, err := n.Ask(t.Context(), "node two", []byte("?"))
		return err != nil && !delivered
	}, limit, time.Millisecond)
	block := make(chan struct{})
	stop, err = n.Answer("slow", func([]byte) []byte { <-block; return nil })
	require.NoError(t, err)
	defer stop()
	defer close(block)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, delivered, err = n.Ask(ctx, "slow", []byte("?"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, delivered, "it may have been")
}
