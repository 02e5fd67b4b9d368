package vehicle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// accountFor checks that every frame that was sent is in exactly one of the counters of what became of it.
func accountFor(t *testing.T, s Stats) {
	t.Helper()
	require.Equal(t, s.Sent, s.Acked+s.Refused+s.Unanswered+s.Interrupted, "%+v", s)
	require.LessOrEqual(t, s.Requeued, s.Interrupted, "%+v", s)
	require.LessOrEqual(t, s.Retried, s.Requeued, "%+v", s)
	require.LessOrEqual(t, s.Retried, s.Reissues, "%+v", s)
	require.LessOrEqual(t, s.Logins+s.Reports+s.Reissues+s.Heartbeats+s.TimeSyncs, s.Sent, "%+v", s)
}

// TestAccountsOfABrokenConnection: reports that a break left without an answer are no errors, are reissued,
// and every frame is counted once.
func TestAccountsOfABrokenConnection(t *testing.T) {
	t.Parallel()
	quiet := make(chan struct{})
	p := newPeer(t, func(f codec.Frame) []byte {
		select {
		case <-quiet:
		default:
			if f.Command() == codec.CommandRealtime {
				return nil
			}
		}
		return usual(f)
	})
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Period, cfg.Cells = time.Second, 450 // three frames a report
	v := newVehicle(t, cfg)
	done := make(chan error, 1)
	go func() { done <- v.Run(t.Context()) }()
	conn := <-p.conns
	for range 3 {
		require.NotNil(t, p.next(codec.CommandRealtime))
	}
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	s := v.Stats()
	accountFor(t, s)
	require.Zero(t, s.Errors(), "the break is the error, and Run tells it: %+v", s)
	require.GreaterOrEqual(t, s.Requeued, uint64(3))
	require.Zero(t, s.Retried)

	close(quiet) // from now on all is answered
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- v.Run(ctx) }()
	for range s.Requeued {
		require.NotNil(t, p.next(codec.CommandReissue))
	}
	cancel()
	require.NoError(t, <-done)
	after := v.Stats()
	accountFor(t, after)
	require.Equal(t, s.Requeued, after.Retried)
	require.Equal(t, s.Interrupted, after.Interrupted)
	require.Zero(t, after.Errors(), "%+v", after)
}

// TestAccountsOfFaults: the books balance whatever a script does to the connection.
func TestAccountsOfFaults(t *testing.T) {
	for fault := range faultLasts {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			p := roughPeer(t)
			p.takeover.Store(true)
			s := play(t, p, ScriptedFault{At: 20 * time.Millisecond, Share: 1, Fault: fault, For: 300 * time.Millisecond}, func() {
				if fault == FaultDrop || fault == FaultBlindZone || fault == FaultDuplicate {
					require.NotNil(t, p.next(codec.CommandVehicleLogin))
					require.NotNil(t, p.next(codec.CommandVehicleLogin))
				}
				for range 60 {
					require.NotNil(t, p.next(codec.CommandRealtime))
				}
			})
			accountFor(t, s)
			require.Zero(t, s.Unanswered)
		})
	}
}
