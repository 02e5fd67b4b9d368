package probe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestNotRun: a case that lacks what it needs says so, and passes never.
func TestNotRun(t *testing.T) {
	f := newFake(t, nil)
	o := testOptions(f.addr, 20*time.Second)
	o.Cases = []string{"command.*", "idle.*"}
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, map[Outcome]int{NotRun: 2 * (9 + 3)}, Count(results))
	for _, r := range results {
		switch {
		case r.Case.Commands:
			require.Equal(t, "nothing makes the gateway send a command (--api, --commands)", r.Seen)
		case r.Case.Name == "idle.login":
			require.Contains(t, r.Seen, "(--login-deadline)")
		default:
			require.Contains(t, r.Seen, "(--idle)")
		}
	}
	var table, junit strings.Builder
	require.NoError(t, WriteTable(&table, results, false))
	require.Contains(t, table.String(), "----  2016  command.query                 not run: nothing makes the gateway send a command")
	require.Contains(t, table.String(), "\n24 cases: 0 passed, 0 warnings, 0 failed, 0 not applicable, 24 not run\n")
	require.NoError(t, WriteJUnit(&junit, results))
	require.Contains(t, junit.String(), `<testsuites tests="24" failures="0" skipped="24">`)

	// A person who is asked and sends nothing, and an API that refuses.
	asked, here, most := 0, 0, 0
	o.Cases = []string{"command.*"}
	o.Commands = &Commands{OneAtATime: true, Provoke: func(context.Context, Order) (*Provoked, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		asked++
		if here++; here > most {
			most = here
		}
		time.AfterFunc(20*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			here--
		})
		return &Provoked{Wait: 200 * time.Millisecond}, nil
	}}
	results, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, map[Outcome]int{NotRun: 18}, Count(results))
	require.Equal(t, "no paramQuery came within 200ms", results[0].Seen)
	require.Equal(t, 14, asked, "those of the repetition are not asked for without its interval")
	require.Equal(t, 1, most, "one at a time")
	o.Commands.Provoke = func(context.Context, Order) (*Provoked, error) { return nil, errors.New("no such key") }
	results, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "the gateway was not made to send a command: no such key", results[0].Seen)
	require.Equal(t, map[Outcome]int{NotRun: 18}, Count(results))

	// A gateway that verifies signatures and knows another key of the vehicle.
	f = newFake(t, func(g *fake) {
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			switch f.Command() {
			case codec.CommandActivation:
				return activationAnswer(2, 1)(f)
			case codec.CommandRealtime:
				return answerWith(codec.FlagSignatureError)(f)
			}
			return right
		}
	})
	o = testOptions(f.addr, 20*time.Second)
	o.Cases = []string{"signature.valid"}
	results, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, map[Outcome]int{NotRun: 1}, Count(results))
}

// TestCommandsOfAPerson: where the gateway cannot be asked, what is seen on the connection is all that counts, and the result says so.
func TestCommandsOfAPerson(t *testing.T) {
	o := newFake(t, func(g *fake) { g.mute = true }).options(20 * time.Second)
	o.Cases = []string{"command.query", "command.answer*", "command.otherVIN"}
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, map[Outcome]int{Pass: 10}, Count(results))
	for _, r := range results {
		require.Contains(t, r.Seen, "cannot be asked")
	}
}

// TestSignedWithMark: a gateway that wants the mark 0xFF to be covered by the signature is right as well.
func TestSignedWithMark(t *testing.T) {
	f := newFake(t, func(g *fake) {
		n := 0
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			if f.Command() == codec.CommandRealtime {
				if n++; n == 1 {
					return answerWith(codec.FlagSignatureError)(f)
				}
			}
			return right
		}
	})
	o := testOptions(f.addr, 20*time.Second)
	o.Cases = []string{"signature.valid"}
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, Pass, results[0].Outcome)
	require.Equal(t, "taken when it covers the mark 0xFF too, which the text leaves open", results[0].Seen)
}
