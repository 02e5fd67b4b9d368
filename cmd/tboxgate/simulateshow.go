package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// logEvery is the time between two lines when nobody looks at a terminal.
const logEvery = 10 * time.Second

// watch waits for the end and shows how it goes: a table that is drawn again each second on a terminal,
// else a line now and then.
func (s *simulation) watch(done <-chan struct{}, began time.Time) {
	every, table := logEvery, isTerminal(s.p.stderr)
	if kind, _ := s.p.env("TERM"); kind == "dumb" {
		table = false // it cannot move its cursor
	}
	if table {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before vehicle.Stats
	lines := 0
	for {
		select {
		case <-done:
			if lines > 0 {
				say(s.p.stderr, "\x1b[%dA\x1b[J", lines) // what follows is the summary
			}
			return
		case <-tick.C:
			now, fleet := s.total(), s.fleet()
			if !table {
				say(s.p.stderr, "%s\n", s.line(now, before, fleet, every))
			} else {
				width, height := terminalSize(s.p.stderr)
				rows := fit(s.table(now, float64(now.Sent-before.Sent), fleet, time.Since(began)), width, height)
				if lines > 0 {
					say(s.p.stderr, "\x1b[%dA", lines)
				}
				lines = len(rows)
				say(s.p.stderr, "\r\x1b[J%s\n", strings.Join(rows, "\n"))
			}
			before = now
		}
	}
}

// line is the state in one line.
func (s *simulation) line(now, before vehicle.Stats, f vehicle.Fleet, every time.Duration) string {
	rate := float64(now.Sent-before.Sent) / every.Seconds()
	return fmt.Sprintf("%d of %d online, %d sent (%.0f/s), %d answered, %d errors, %d reconnects, %d commands, %v",
		f.Online(), s.vehicles, now.Sent, rate, now.Acked, now.Errors(), now.Reconnects, now.Commands, &now.RTT)
}

// terminalSize returns the size of the terminal that w is, 0 when it cannot be told.
func terminalSize(w any) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			return width, height
		}
	}
	return 0, 0
}

// fit cuts rows to the size of a terminal, of which 0 is not known: what wraps or scrolls cannot be drawn over. The line below
// them is the cursor's.
func fit(rows []string, width, height int) []string {
	if height > 0 && len(rows) >= height {
		rows = rows[:max(height-1, 1)]
	}
	for i, row := range rows {
		if width > 0 && utf8.RuneCountInString(row) >= width {
			rows[i] = string([]rune(row)[:width-1])
		}
	}
	return rows
}

// table is the state in rows of label and value; rate is in frames sent each second.
func (s *simulation) table(now vehicle.Stats, rate float64, f vehicle.Fleet, took time.Duration) []string {
	row := func(label, format string, args ...any) string {
		return fmt.Sprintf("  %-10s %s", label, fmt.Sprintf(format, args...))
	}
	return []string{
		row("time", "%v", took.Round(time.Second)),
		row("vehicles", "%d of %d online: %d driving, %d charging, %d parked, %d in alarm", f.Online(), s.vehicles,
			f[vehicle.StateDriving], f[vehicle.StateCharging], f[vehicle.StateParked], f[vehicle.StateAlarm]),
		row("sent", "%d frames, %.0f/s: %d reports, %d reissues, %d heartbeats", now.Sent, rate, now.Reports, now.Reissues, now.Heartbeats),
		row("answered", "%d success, %d late, %d refused, %d wrong, %d without an answer", now.Acked, now.Late, now.Refused, now.Wrong,
			now.Unanswered),
		row("broken off", "%d frames, %d of them reports to reissue, %d reissued", now.Interrupted, now.Requeued, now.Retried),
		row("latency", "%v", &now.RTT),
		row("commands", "%d answered, %d ignored", now.Commands, now.Ignored),
		row("links", "%d connections, %d reconnects, %d failed, %d faults played", now.Connects, now.Reconnects, s.failures(), now.Faults),
		row("clock", "%s", skewText(now.Skew)),
	}
}

func (s *simulation) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// skewText tells the difference of the clocks for people.
func skewText(k vehicle.Skew) string {
	if k.Count == 0 {
		return "not compared"
	}
	where := "ahead of"
	mean := k.Mean().Round(100 * time.Millisecond)
	if mean < 0 {
		where, mean = "behind", -mean
	}
	return fmt.Sprintf("the gateway's is %v %s ours (mean of %d answers, each right to half a second)", mean, where, k.Count)
}

// summary is what simulate prints at the end. Times are in milliseconds.
type summary struct {
	Vehicles    int       `json:"vehicles"`
	Failed      int       `json:"failed"` // connections that ended with an error
	Error       string    `json:"error,omitempty"`
	Seconds     float64   `json:"seconds"`
	Sent        uint64    `json:"sent"`
	Acked       uint64    `json:"acked"`
	Late        uint64    `json:"late"`
	Refused     uint64    `json:"refused"`
	Wrong       uint64    `json:"wrong"`
	Unanswered  uint64    `json:"unanswered"`
	Interrupted uint64    `json:"interrupted"`
	Skipped     uint64    `json:"skipped"`
	Lingering   uint64    `json:"lingering"`
	Logins      uint64    `json:"logins"`
	Reports     uint64    `json:"reports"`
	Reissues    uint64    `json:"reissues"`
	Requeued    uint64    `json:"requeued"`
	Retried     uint64    `json:"retried"`
	Heartbeats  uint64    `json:"heartbeats"`
	TimeSyncs   uint64    `json:"timeSyncs"`
	Commands    uint64    `json:"commands"`
	Ignored     uint64    `json:"ignored"`
	Connects    uint64    `json:"connects"`
	Reconnects  uint64    `json:"reconnects"`
	Faults      uint64    `json:"faults"`
	Damaged     uint64    `json:"damaged"`
	Rejected    uint64    `json:"rejected"`
	RTT         rtt       `json:"rttMs"`
	Skew        clockSkew `json:"clockSkewMs"`
}

type rtt struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	P999   float64 `json:"p999"`
	Max    float64 `json:"max"`
}

// clockSkew is the gateway's clock against ours; positive: it is ahead.
type clockSkew struct {
	Answers uint64  `json:"answers"`
	Min     float64 `json:"min"`
	Mean    float64 `json:"mean"`
	Max     float64 `json:"max"`
}

func (s *simulation) summary(t vehicle.Stats, took time.Duration) summary {
	ms := func(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / float64(time.Millisecond) }
	out := summary{
		Vehicles: s.vehicles, Failed: s.failed, Seconds: took.Round(time.Millisecond).Seconds(),
		Sent: t.Sent, Acked: t.Acked, Late: t.Late, Refused: t.Refused, Wrong: t.Wrong, Unanswered: t.Unanswered,
		Interrupted: t.Interrupted, Requeued: t.Requeued, Retried: t.Retried, Skipped: t.Skipped,
		Lingering: t.Lingering, Logins: t.Logins, Reports: t.Reports, Reissues: t.Reissues, Heartbeats: t.Heartbeats,
		TimeSyncs: t.TimeSyncs, Commands: t.Commands, Ignored: t.Ignored, Connects: t.Connects, Reconnects: t.Reconnects,
		Faults: t.Faults, Damaged: t.Damaged, Rejected: t.Rejected,
		RTT: rtt{ms(t.RTT.Min()), ms(t.RTT.Quantile(0.5)), ms(t.RTT.Quantile(0.9)), ms(t.RTT.Quantile(0.99)), ms(t.RTT.Quantile(0.999)),
			ms(t.RTT.Max())},
		Skew: clockSkew{t.Skew.Count, ms(t.Skew.Min), ms(t.Skew.Mean()), ms(t.Skew.Max)},
	}
	if s.first != nil {
		out.Error = s.first.Error()
	}
	return out
}

// report prints the summary; the error says what went wrong, nil that all was answered.
func (s *simulation) report(took time.Duration) error {
	t := s.total()
	if s.text {
		rows := s.table(t, float64(t.Sent)/took.Seconds(), s.fleet(), took)
		rows = append(rows[:1], rows[2:]...) // nobody is online any more
		if _, err := fmt.Fprintln(s.p.stdout, strings.Join(rows, "\n")); err != nil {
			return err
		}
	} else if err := printJSON(s.p.stdout, s.summary(t, took)); err != nil {
		return err
	}
	switch {
	case s.first != nil && (!s.reconnect || t.Errors() > 0):
		return fmt.Errorf("simulate: %d connections failed, the first: %w", s.failed, s.first)
	case s.first != nil && (s.gone > 0 || t.Retried < t.Requeued): // it is not as if nothing had happened
		return fmt.Errorf("simulate: %d connections failed, %d did not come back, %d reports wait to be reissued, the first: %w",
			s.failed, s.gone, t.Requeued-t.Retried, s.first)
	case t.Errors() > 0:
		return fmt.Errorf("simulate: %d refused, %d wrong, %d unanswered, %d damaged, %d older connections left open", t.Refused, t.Wrong,
			t.Unanswered, t.Skipped, t.Lingering)
	}
	return nil
}
