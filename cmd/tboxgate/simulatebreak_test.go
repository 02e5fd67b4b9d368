package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// balanced checks that every frame of a run is in one of the counters of what became of it.
func balanced(t *testing.T, out summary) {
	t.Helper()
	require.Equal(t, out.Sent, out.Acked+out.Refused+out.Unanswered+out.Interrupted, "%+v", out)
	require.LessOrEqual(t, out.Retried, out.Requeued, "%+v", out)
	require.LessOrEqual(t, out.Requeued, out.Interrupted, "%+v", out)
}

// TestSimulateReconnect: with --reconnect a break is no failure when all that it left without an answer has been reissued and
// answered, and is one when nobody is there any more.
func TestSimulateReconnect(t *testing.T) {
	t.Parallel()
	for _, comesBack := range []bool{true, false} {
		t.Run(fmt.Sprint(comesBack), func(t *testing.T) {
			t.Parallel()
			reconnect(t, comesBack)
		})
	}
}

func reconnect(t *testing.T, comesBack bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := newStandIn(t, l, func(s *standIn) { s.deaf = true })
	time.AfterFunc(time.Second, func() {
		if !comesBack {
			_ = l.Close()
		}
		s.cut()
	})
	p := start(t, "simulate", "--addr", s.addr, "--vehicles", "5", "--period", "100ms", "--ramp", "0s", "--drive", "road", "--reconnect",
		"--duration", "6s", "--summary", "json", "--answer-timeout", "60s")
	code := p.exit(t)
	var out summary
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &out), p.stderr.String())
	balanced(t, out)
	require.NotZero(t, out.Failed)
	require.GreaterOrEqual(t, out.Requeued, uint64(5))
	require.Zero(t, out.Unanswered)
	if comesBack {
		require.Zero(t, code, p.stderr.String())
		require.Empty(t, p.stderr.String())
		require.Equal(t, out.Requeued, out.Retried)
		require.EqualValues(t, 5, out.Reconnects)
		return
	}
	require.Equal(t, 1, code)
	require.Regexp(t, `^tboxgate: simulate: \d+ connections failed, 5 did not come back, \d+ reports wait to be reissued, the first: vehicle: `,
		p.stderr.String())
}

// TestSimulateSkew: a gateway whose clock is a minute and a half off is found out by the answer to 0x08, in both forms of the summary.
func TestSimulateSkew(t *testing.T) {
	for ahead, text := range map[time.Duration]string{90 * time.Second: " ahead of ours", -2 * time.Hour: " behind ours"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := newStandIn(t, l, func(s *standIn) { s.ahead = ahead })
		args := []string{"simulate", "--addr", s.addr, "--vehicles", "3", "--reports", "2", "--period", "10ms", "--ramp", "0s", "--edition", "both"}
		code, stdout, stderr := tboxgate(t, "", args...)
		require.Zero(t, code, stderr)
		var out summary
		require.NoError(t, json.Unmarshal([]byte(stdout), &out))
		require.EqualValues(t, 3, out.Skew.Answers)
		for _, ms := range []float64{out.Skew.Min, out.Skew.Mean, out.Skew.Max} {
			require.InDelta(t, ahead.Seconds(), ms/1000, 20)
		}
		code, stdout, stderr = tboxgate(t, "", append(args, "--summary", "text")...)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, text)
		require.Contains(t, stdout, "(mean of 3 answers, each right to half a second)")
	}
}

// TestSimulateSummaryDoc: docs/simulate.md explains every number of the JSON summary, in its order, and no other.
func TestSimulateSummaryDoc(t *testing.T) {
	page, err := os.ReadFile("../../docs/simulate.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| key | |\n|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var told []string
	for line := range strings.Lines(table) {
		for _, m := range regexp.MustCompile("`([A-Za-z0-9]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			told = append(told, m[1])
		}
	}
	text, err := json.Marshal(summary{Error: "x"})
	require.NoError(t, err)
	var keys []string
	dec := json.NewDecoder(strings.NewReader(string(text)))
	for depth, isKey := 0, true; ; {
		token, err := dec.Token()
		if err != nil {
			break
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' {
				depth++
			} else {
				depth--
			}
			isKey = true
		case string:
			if isKey {
				keys = append(keys, v)
			}
			isKey = !isKey
		default:
			isKey = true
		}
		if depth == 0 {
			break
		}
	}
	require.Equal(t, keys, told)
}

// TestSimulateWithoutATerminal: who is no terminal gets a line every ten seconds, and no escape sequences.
func TestSimulateWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &simulation{vehicles: 5, p: &program{stderr: &out, env: func(string) (string, bool) { return "", false }}}
		done := make(chan struct{})
		time.AfterFunc(25*time.Second, func() { close(done) })
		s.watch(done, time.Now())
		line := "0 of 5 online, 0 sent (0/s), 0 answered, 0 errors, 0 reconnects, 0 commands, no answers\n"
		require.Equal(t, line+line, out.String())
	})
}
