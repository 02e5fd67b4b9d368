package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// TestCommandStyles: a query, a setting and a control end as they should with a terminal of every observed style, and
// the settings of commands hold.
func TestCommandStyles(t *testing.T) {
	dir := dataDir(t)
	config := writeFile(t, "t.yaml", "commands: {querySends: 2, queryInterval: 2s, setSends: 2, setInterval: 2s, controlSends: 2, controlInterval: 2s}\n")
	g := serve(t, dir, "--dev", "--config", config)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	var styles []vehicle.Style // all that have a name
	for s := vehicle.StyleTime; ; s++ {
		if _, err := vehicle.ParseStyle(s.String()); err != nil {
			break
		}
		styles = append(styles, s)
	}
	require.Contains(t, styles, vehicle.StyleLeave)
	vin := func(i int) string { return fmt.Sprintf("LTEST%012d", i+1) }
	for i, style := range styles {
		v, err := vehicle.New(vehicle.Config{
			Addr: g.Addresses.Vehicles[0], VIN: vin(i), Period: time.Hour, Style: style, AnswerDelay: 5 * time.Second, AnswerTimeout: patience,
		})
		require.NoError(t, err)
		go func() { ended <- v.Run(ctx) }()
	}
	defer func() {
		stop()
		for range styles {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	}()
	waitSessions(t, dir, len(styles))
	later := map[int64]string{} // what commands become in the end
	for i, style := range styles {
		for kind, args := range map[string][]string{"query": {"--params", "2,9"}, "set": {"--set", "reportPeriod=20"}, "control": {"--id", "0x90"}} {
			want := map[vehicle.Style]string{vehicle.StyleError: "rejected", vehicle.StyleSilent: "timedOut"}[style]
			if style == vehicle.StyleSilent || style == vehicle.StyleLate {
				args = append(args, "--no-wait")
			}
			_, stdout, stderr := tboxgate(t, "", append([]string{"send", kind, "--output", "json", "--data-dir", dir, "--vin", vin(i)}, args...)...)
			var a struct {
				State, Flag string
				MessageID   int64
			}
			require.NoError(t, json.Unmarshal([]byte(stdout), &a), "%s %s: %s%s", style, kind, stdout, stderr)
			if a.State == "" {
				later[a.MessageID] = cmp.Or(want, "answered")
				continue
			}
			require.Equal(t, cmp.Or(want, "answered"), a.State, "%s %s: %s", style, kind, stderr)
			if style == vehicle.StyleFlagFE {
				require.Equal(t, "command", a.Flag)
			}
		}
	}
	require.Len(t, later, 6)
	for id, want := range later {
		require.Eventually(t, func() bool { return commandState(t, dir, id) == want }, patience, 20*time.Millisecond)
	}
}

// commandState asks GetAsyncRRpcResult over the admin socket.
func commandState(t *testing.T, dir string, id int64) string {
	t.Helper()
	c := admin.NewClient(dir)
	defer c.Close()
	resp, err := c.Calls().Get(fmt.Sprint("http://gateway/?Action=GetAsyncRRpcResult&ProductKey=gbt32960&MessageId=", id))
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct{ Data struct{ State string } }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer.Data.State
}
