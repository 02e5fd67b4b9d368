package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// some are results of each outcome against a fake that is wrong in one way.
func some(t *testing.T) []Result {
	t.Helper()
	g := newFake(t, toCommand(codec.CommandHeartbeat, answerWith(codec.FlagVINDuplicate)))
	o := testOptions(g.addr, 20*time.Second)
	o.Editions = []codec.Edition{codec.Edition2016}
	o.Cases = []string{"answer.heartbeat", "answer.vehicleLogout", "platform.login", "platform.logout"}
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	o.Code, o.Cases = "", []string{"platform.*"}
	more, err := Run(t.Context(), o)
	require.NoError(t, err)
	results = append(results, more[0])
	require.Equal(t, map[Outcome]int{Pass: 3, Fail: 1, NotApplicable: 1}, Count(results))
	return results
}

func TestWriteTable(t *testing.T) {
	results := some(t)
	var b bytes.Buffer
	require.NoError(t, WriteTable(&b, results, false))
	require.Contains(t, b.String(), "FAIL  2016  answer.heartbeat              the heartbeat was answered vinDuplicate\n"+
		"            expected: success, with an empty data unit or a time (B.2.6, B.3.5.7)\n")
	require.Regexp(t, `connection 1  sent 232307fe4c54455354`, b.String())
	require.Contains(t, b.String(), "n/a   2016  platform.login                no platform was given\n")
	require.Contains(t, b.String(), "\n5 cases: 3 passed, 0 warnings, 1 failed, 1 not applicable, 0 not run\n")
	require.NotContains(t, b.String(), "sent 232304fe", "what passed is not shown in full")

	b.Reset()
	require.NoError(t, WriteTable(&b, results, true))
	require.Contains(t, b.String(), "心跳", "the fields have the standard's names")
	require.Contains(t, b.String(), "sent 232305fe54455354504c4154464f524d3030303031010029 and 42 bytes with a secret")
	require.NotContains(t, b.String(), "secret\x00")
	require.NotContains(t, b.String(), "736563726574", "the password in hex")
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteJSON(&b, some(t)))
	require.NotContains(t, b.String(), "736563726574", "the password in hex")
	require.NotContains(t, b.String(), `"password"`)
	var out struct {
		Count   map[string]int
		Results []struct {
			Case, Clause, Expect, Outcome, Seen string
			Edition                             int
			Steps                               []struct {
				Way, Hex string
				Frame    map[string]any
			}
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &out))
	require.Equal(t, map[string]int{"pass": 3, "fail": 1, "notApplicable": 1}, out.Count)
	for _, r := range out.Results {
		if r.Case == "answer.heartbeat" {
			require.Equal(t, "fail", r.Outcome)
			require.Equal(t, 2016, r.Edition)
			last := r.Steps[len(r.Steps)-1]
			require.Equal(t, "received", last.Way)
			require.Equal(t, "vinDuplicate", last.Frame["flag"])
			require.True(t, strings.HasPrefix(last.Hex, "23230703"))
		}
	}
}

func TestWriteJUnit(t *testing.T) {
	results := some(t)
	results[0].Seen = "not <XML> & \"quoted\""
	var b bytes.Buffer
	require.NoError(t, WriteJUnit(&b, results))
	require.NotContains(t, b.String(), "736563726574", "the password in hex")
	var out junitSuites
	require.NoError(t, xml.Unmarshal(b.Bytes(), &out))
	require.Equal(t, []int{5, 1, 1}, []int{out.Tests, out.Failures, out.Skipped})
	require.Equal(t, "GB/T 32960.3-2016", out.Suites[0].Name)
	require.Len(t, out.Suites[0].Cases, 5)
	failures := 0
	for _, c := range out.Suites[0].Cases {
		if c.Failure != nil {
			failures++
			require.Equal(t, "gbt32960.2016.answer", c.Class)
		}
	}
	require.Equal(t, 1, failures)
}

func TestRunErrors(t *testing.T) {
	good := testOptions("127.0.0.1:1", time.Second)
	for want, change := range map[string]func(*Options){
		"probe: Addr and VINs are needed":                                func(o *Options) { o.Addr = "" },
		`probe: no such case: "answer.nothing"`:                          func(o *Options) { o.Cases = []string{"answer.*", "answer.nothing"} },
		`probe: no such case: "[": syntax error in pattern`:              func(o *Options) { o.Cases = []string{"["} },
		`probe: codec: bad VIN: "" has 0 bytes, want 1 to 17`:            func(o *Options) { o.VINs = []string{""} },
		`probe: codec: bad VIN: "123456789012345678" has 18 bytes, want`: func(o *Options) { o.UnknownVIN = "123456789012345678" },
	} {
		o := good
		change(&o)
		_, err := Run(t.Context(), o)
		require.ErrorContains(t, err, want)
	}
}

// TestUnreachable: where nobody listens no case is begun; who goes away later fails those that are left.
func TestUnreachable(t *testing.T) {
	o := testOptions("127.0.0.1:1", time.Second)
	o.Cases = []string{"answer.heartbeat"}
	results, err := Run(t.Context(), o)
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.Empty(t, results)

	var first sync.Once
	o.Dial = func(string) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (conn net.Conn, err error) {
			err = errors.New("it has gone")
			first.Do(func() { conn, _ = net.Pipe(); err = nil })
			return conn, err
		}
	}
	results, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, r := range results {
		require.Equal(t, Fail, r.Outcome)
		require.Equal(t, "no connection: it has gone", r.Seen)
	}
}

func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := Run(ctx, testOptions("127.0.0.1:1", time.Second))
	require.ErrorIs(t, err, context.Canceled)
	for _, r := range results {
		if r.Case.Commands {
			require.Equal(t, NotRun, r.Outcome)
			continue
		}
		require.Equal(t, NotApplicable, r.Outcome)
	}
}

// TestCases: names are unique and in groups, and every case says what it expects and why.
func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		require.False(t, seen[c.Name], c.Name)
		seen[c.Name] = true
		require.Regexp(t, `^(framing|answer|odd|resync|session|activation|signature|command|idle|platform)\.[a-zA-Z]+$`, c.Name)
		require.NotEmpty(t, c.Expect)
		require.NotEmpty(t, c.Clause2025, c.Name)
		require.Equal(t, strings.HasPrefix(c.Name, "activation.") || strings.HasPrefix(c.Name, "signature."), c.Clause2016 == "", c.Name)
		require.Equal(t, strings.HasPrefix(c.Name, "platform."), c.Platform, c.Name)
		require.Equal(t, strings.HasPrefix(c.Name, "command."), c.Commands, c.Name)
	}
}

// TestMisMeasured: the check byte that a wrong length points to is never right by chance.
func TestMisMeasured(t *testing.T) {
	vin, err := codec.ParseVIN("LTEST000000000001")
	require.NoError(t, err)
	for _, e := range []codec.Edition{codec.Edition2016, codec.Edition2025} {
		talk := &talk{edition: e, vin: vin}
		for _, by := range []int{40, -9} {
			for range 2000 {
				b := talk.misMeasured(by)
				require.NotEqual(t, codec.Check(b[2:codec.Need(b)-1]), b[codec.Need(b)-1])
			}
		}
	}
}
