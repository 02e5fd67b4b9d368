package discard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/discard"
)

// never fails the test when it is called: Publish has already said "stored".
type never struct{ t *testing.T }

func (n never) Stored(ticket uint64) { n.t.Errorf("Stored(%d) called", ticket) }

func TestSinkStoresAtOnce(t *testing.T) {
	var s discard.Sink
	r := sink.Record{Body: []byte("x")}
	require.True(t, s.Publish(&r, never{t}, 1))
	require.NoError(t, s.Healthy())
	require.NoError(t, s.Close(t.Context()))
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Publish(&r, never{t}, 2) }))
}
