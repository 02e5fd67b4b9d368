package nats

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// wholeStore is a sink that closes with its store, as it does in the program.
type wholeStore struct {
	*Sink
	closeStore func(context.Context) error
}

func (w wholeStore) Close(ctx context.Context) error { return w.closeStore(ctx) }

// TestConformance holds the store to what it promises, in both layouts.
func TestConformance(t *testing.T) {
	for name, batch := range map[string]Batch{"one a message": {}, "batched": {MaxFrames: 64, MaxDelay: 2 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Store {
				o := quiet(t, Options{Batch: batch, Node: "gw1"})
				var open *Store
				return sinktest.Store{
					Open: func(t *testing.T) sink.Sink {
						s := openStore(t, o)
						open = s
						return wholeStore{s.Sink(), func(ctx context.Context) error { open = nil; return s.Close(ctx) }}
					},
					Read: func(t *testing.T) (all []sinktest.Stored) {
						s := open
						if s == nil {
							s = openStore(t, o)
							defer func() { require.NoError(t, closeWithin(s, limit)) }()
						}
						for _, name := range []string{stream.Frames, stream.Batches} {
							st, err := s.JetStream().Stream(t.Context(), name)
							if err != nil || st.CachedInfo().State.Msgs == 0 {
								continue
							}
							for _, m := range contents(t, s, name) {
								records, err := stream.Parse(m.Subject(), m.Headers(), m.Data())
								require.NoError(t, err)
								for _, r := range records {
									x := sinktest.Stored{VIN: r.VIN.String(), Body: r.Body}
									if f, err := r.AppendFrame(nil); err == nil {
										x.Frame = f
									}
									all = append(all, x)
								}
							}
						}
						return all
					},
				}
			})
		})
	}
}
