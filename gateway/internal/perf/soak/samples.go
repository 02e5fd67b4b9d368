//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

// sample is the gateway at one moment.
type sample struct {
	at          time.Duration // since the start
	rss         float64       // KiB
	descriptors float64
	goroutines  float64
	connections float64
	records     float64 // stored so far
}

// watch takes samples and judges them.
type watch struct {
	srv     *server.Server
	started time.Time
	out     io.Writer
	before  sample // no client yet
	after   sample // no client any more
	list    []sample
}

// sample takes one and prints it; one without a name belongs to the soak itself.
func (w *watch) sample(ctx context.Context, name string) error {
	s, err := w.take(ctx)
	if err != nil {
		return err
	}
	switch name {
	case "":
		w.list = append(w.list, s)
	case "before":
		w.before = s
		_, err = fmt.Fprintln(w.out, "      at   RSS KiB  descriptors  goroutines  connections  records")
	case "after":
		w.after = s
	}
	_, printErr := fmt.Fprintf(w.out, "%8s %9.0f %12.0f %11.0f %12.0f %8.0f  %s\n", s.at.Round(time.Second), s.rss, s.descriptors, s.goroutines,
		s.connections, s.records, name)
	return errors.Join(err, printErr)
}

func (w *watch) take(ctx context.Context) (s sample, err error) {
	m, err := w.srv.Metrics(ctx)
	if err != nil {
		return s, err
	}
	rss, err := proc.RSS(w.srv.PID)
	if err != nil {
		return s, err
	}
	fds, err := proc.Descriptors(w.srv.PID)
	if err != nil {
		return s, err
	}
	if m["tboxgate_panics_total"] > 0 || m["tboxgate_store_healthy"] != 1 {
		return s, fmt.Errorf("the gateway had %.0f panics, its store is healthy: %.0f\n%s", m["tboxgate_panics_total"], m["tboxgate_store_healthy"], w.srv.Log())
	}
	return sample{
		at: time.Since(w.started), rss: float64(rss), descriptors: float64(fds), goroutines: m["go_goroutines"],
		connections: m["tboxgate_connections"], records: m["tboxgate_store_records_total"],
	}, nil
}

// rest waits until all clients have gone, takes the last sample and says what they have left behind.
func (w *watch) rest(ctx context.Context) error {
	for end := time.Now().Add(patience); ; {
		m, err := w.srv.Metrics(ctx)
		if err != nil {
			return err
		}
		if m["tboxgate_connections"] == 0 && m["tboxgate_sessions"] == 0 && m["tboxgate_store_unconfirmed_records"] == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("after all vehicles have gone there are still %.0f connections, %.0f sessions, %.0f unconfirmed records",
				m["tboxgate_connections"], m["tboxgate_sessions"], m["tboxgate_store_unconfirmed_records"])
		}
		if !wait(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	wait(ctx, time.Second) // goroutines of the last handshakes and calls
	return w.sample(ctx, "after")
}

// strictFrom is the length from which growth is judged strictly: a gateway needs some minutes to have seen everything
// that it allocates once.
const strictFrom = 15 * time.Minute

// growth is one quantity over the soak.
type growth struct {
	name        string
	first, last float64 // medians of the two windows
	least, most float64 // over all samples
	limit       float64 // the greatest growth allowed, as a share
}

func (g growth) share() float64 { return g.last/g.first - 1 }

// growths compares two windows. From strictFrom on: two minutes each, after a third of the time and at the end, and
// at most 5 % between them. Below: the halves, without the first samples, and 30 %.
func (w *watch) growths(length time.Duration) []growth {
	limit := 0.05
	first, last := w.window(length/3, length/3+2*time.Minute), w.window(length-2*time.Minute, length+time.Hour)
	if length < strictFrom {
		limit = 0.30
		first, last = w.window(length/6, length/2), w.window(length/2, length+time.Hour)
	}
	var out []growth
	for _, q := range []struct {
		name  string
		value func(sample) float64
	}{
		{"resident memory, KiB", func(s sample) float64 { return s.rss }},
		{"descriptors", func(s sample) float64 { return s.descriptors }},
		{"goroutines", func(s sample) float64 { return s.goroutines }},
	} {
		all := values(w.list, q.value)
		out = append(out, growth{
			name: q.name, first: median(values(first, q.value)), last: median(values(last, q.value)),
			least: slices.Min(all), most: slices.Max(all), limit: limit,
		})
	}
	return out
}

// window is the samples from one time to another.
func (w *watch) window(from, to time.Duration) []sample {
	var out []sample
	for _, s := range w.list {
		if s.at >= from && s.at <= to {
			out = append(out, s)
		}
	}
	return out
}

func values(list []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// leftMost is how many goroutines or descriptors there may be more, once all vehicles have gone, than before they came:
// files of the store, idle connections of the admin socket.
const leftMost = 20

// verdict is what has grown, or was left behind.
func (w *watch) verdict(o options) error {
	var errs []error
	for _, g := range w.growths(o.length) {
		if !(g.share() <= g.limit) {
			errs = append(errs, fmt.Errorf("%s grew by %.1f %%, from %.0f to %.0f; %.0f %% are allowed", g.name, 100*g.share(), g.first, g.last, 100*g.limit))
		}
	}
	for _, left := range []struct {
		name        string
		before, now float64
	}{
		{"goroutines", w.before.goroutines, w.after.goroutines},
		{"descriptors", w.before.descriptors, w.after.descriptors},
	} {
		if left.now > left.before+leftMost {
			errs = append(errs, fmt.Errorf("%s: %.0f before the first vehicle, %.0f after the last", left.name, left.before, left.now))
		}
	}
	return errors.Join(errs...)
}

// report is the page's part about the soak.
func (w *watch) report(clients string, o options) string {
	var rows [][]string
	for _, g := range w.growths(o.length) {
		verdict := "met"
		if !(g.share() <= g.limit) {
			verdict = "**missed**"
		}
		rows = append(rows, []string{
			g.name, fmt.Sprintf("%.0f", g.first), fmt.Sprintf("%.0f", g.last), fmt.Sprintf("**%+.1f %%**", 100*g.share()),
			fmt.Sprintf("≤ %.0f %%", 100*g.limit), verdict, fmt.Sprintf("%.0f–%.0f", g.least, g.most),
		})
	}
	rows[1] = append(rows[1], rest(w.before.descriptors, w.after.descriptors))
	rows[2] = append(rows[2], rest(w.before.goroutines, w.after.goroutines))
	rows[0] = append(rows[0], rest(w.before.rss, w.after.rss))
	then := "minute " + fmt.Sprintf("%.0f", (o.length/3).Minutes())
	last := "the end"
	if o.length < strictFrom {
		then, last = "first half", "second half"
	}
	return fmt.Sprintf("%s, %v: %s. %.0f records stored, no wrong or missing answer.\n\n%s", w.started.UTC().Format("2006-01-02 15:04 MST"), o.length, clients,
		w.after.records, page.Table([]string{"gateway", then, last, "growth", "allowed", "", "range", "without vehicles, before and after"}, rows))
}

func rest(before, after float64) string { return fmt.Sprintf("%.0f, %.0f", before, after) }
