package metrics

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink/follow"
)

const referenceHead = `# Metrics

<!-- Made from package gateway/metrics: go test ./gateway/metrics -update -->

` + "`/metrics` on the admin address (`admin.address`, with `admin.token` when one is set) in the formats that Prometheus asks for: text,\n" +
	"OpenMetrics, and the binary one that carries native histograms (a server with `--enable-feature=native-histograms`)." + `

- This is all that a gateway exposes: a test runs one with everything switched on and compares names, types and labels, both ways.
- No metric has a label by VIN: who wants to know *which* vehicles asks ` + "`tboxgate fleet`, `tboxgate sessions` or `tboxgate trace`" + `.
- Label values are a fixed set, but for addresses and names as configured (` + "`listener`, `sink`), the store's `stream`, and `action` and `code`" + `
  of the API, which are its own. Series are there from the start, with 0, where *present* does not say otherwise.
- Latencies have classic buckets and, marked *native*, a native histogram of 8 buckets for each doubling from 1 µs to an hour.
- Numbers of the fleet are counted at a scrape, at most every five seconds: 0.36 s of one core for a million vehicles, 700,000 of them online,
  measured by ` + "`go test -bench FleetSummary ./session`" + `.

Alerts, recording rules and dashboards for them are in [monitoring](monitoring/README.md).
`

// sections group the metrics by the question that they answer; a metric belongs to the first prefix that fits.
var sections = []struct {
	title, intro string
	prefixes     []string
}{
	{"Who is connected", "", []string{"connections", "listener_", "sessions", "accept_", "logins", "tls_"}},
	{"What comes in and what goes out", "", []string{"frame", "bad_frames", "encrypted_frames", "answer", "received_", "sent_", "input_", "duplicate_"}},
	{"The store", "", []string{"store_"}},
	{"Commands and the API", "", []string{"command", "api_"}},
	{"The fleet", "", []string{"fleet_", "devices", "platforms", "last_"}},
	{"The gateway itself", "", []string{"build_", "clock_", "panics", "log_", "trace_"}},
	{"Other sinks", "Of sinks beside or instead of the store ([sinks.md](sinks.md)); `sink` is its name.", []string{"sink_"}},
	{"MQTT devices", "Of the broker for devices ([mqtt-devices.md](mqtt-devices.md)).", []string{"mqtt_"}},
}

// presences say when a metric is there; the first prefix that fits. cmd/tboxgate holds a running gateway to them.
var presences = []struct{ prefix, present string }{
	{"tboxgate_tls_certificate_", "with TLS"},
	{"tboxgate_listener_sessions", "while there is a session"},
	{"tboxgate_api_", "after a call"},
	{"tboxgate_duplicate_waiting_", "with the sink nats"},
	{"tboxgate_store_disk_", "with the embedded store"},
	{"tboxgate_last_", "with the sink nats"},
	{"tboxgate_clock_", "where the kernel tells"},
	{"tboxgate_sink_", "with another sink"},
	{"tboxgate_mqtt_", "with an MQTT listener"},
	{"process_", "on Linux"},
	{"", "always"},
}

func presence(name string) string {
	for _, p := range presences {
		if strings.HasPrefix(name, p.prefix) {
			return p.present
		}
	}
	return ""
}

// unit reads the unit out of a name, where the conventions put it; a number without one is of what the name says.
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_timestamp_seconds"), name == "process_start_time_seconds", name == "go_memstats_last_gc_time_seconds":
		return "Unix time, s"
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	case strings.HasSuffix(name, "_info"):
		return "1"
	case strings.HasSuffix(name, "_healthy"), strings.HasSuffix(name, "_active"), strings.HasSuffix(name, "_synchronized"):
		return "0 or 1"
	}
	return "number"
}

const referenceTable = "| metric | type | unit | labels | present | |\n|---|---|---|---|---|---|\n"

// row is one line of the page.
type row struct{ name, kind, labels, help string }

func (r row) String() string {
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n", r.name, r.kind, unit(r.name), r.labels, presence(r.name), r.help)
}

// TestReference keeps docs/metrics.md what the code says.
func TestReference(t *testing.T) {
	m := full()
	m.Handler() // it counts its own errors
	families, err := m.Registry().Gather()
	require.NoError(t, err)
	rows := described(t, &follow.Collector{})
	var process []row
	for _, f := range families {
		r := row{f.GetName(), typeName(f), labelText(f), f.GetHelp()}
		if strings.HasPrefix(r.name, "tboxgate_") {
			rows = append(rows, r)
		} else {
			process = append(process, r)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })

	var b strings.Builder
	b.WriteString(referenceHead)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.intro != "" {
			fmt.Fprintf(&b, "%s\n\n", s.intro)
		}
		b.WriteString(referenceTable)
		var left []row
		for _, r := range rows {
			short := strings.TrimPrefix(r.name, "tboxgate_")
			if slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(short, p) }) {
				b.WriteString(r.String())
			} else {
				left = append(left, r)
			}
		}
		rows = left
	}
	require.Empty(t, rows, "metrics that belong to no section")
	b.WriteString("\n## The process\n\nOf the Go runtime, the operating system, and the page `/metrics` itself, as client_golang has them.\n\n" + referenceTable)
	for _, r := range process {
		b.WriteString(r.String())
	}

	const file = "../../docs/metrics.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, here(string(want)), here(b.String()), "run go test ./gateway/metrics -update and look at the diff")
}

// ofLinux are lines of what other systems do not have.
var ofLinux = regexp.MustCompile("(?m)^\\| `process_.*\n")

// here leaves out of the page what this system does not have.
func here(page string) string {
	if runtime.GOOS == "linux" {
		return page
	}
	return ofLinux.ReplaceAllString(page, "")
}

var descText = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: "([^"]+)", unit: "[^"]*", constLabels: \{\}, variableLabels: \{([^}]*)\}\}$`)

// described are the rows of a collector of another package, which cannot be asked for values without what it collects from.
func described(t *testing.T, c prometheus.Collector) (rows []row) {
	t.Helper()
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	for d := range descs {
		m := descText.FindStringSubmatch(d.String())
		require.NotNil(t, m, d.String())
		kind, labels := "gauge", ""
		if strings.HasSuffix(m[1], "_total") {
			kind = "counter"
		}
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`; `") + "`"
		}
		rows = append(rows, row{m[1], kind, labels, m[2]})
	}
	require.NotEmpty(t, rows)
	return rows
}

func typeName(f *dto.MetricFamily) string {
	name := strings.ToLower(f.GetType().String())
	if h := f.GetMetric()[0].GetHistogram(); h != nil && h.Schema != nil {
		name += ", native"
	}
	return name
}

// labelText lists the labels, and their values where these are a fixed set.
func labelText(f *dto.MetricFamily) string {
	var names []string
	values := map[string][]string{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if !slices.Contains(names, l.GetName()) {
				names = append(names, l.GetName())
			}
			if !slices.Contains(values[l.GetName()], l.GetValue()) {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = "`" + name + "`"
		switch name {
		case "listener", "code", "action", "goversion", "revision", "stream":
		case "version":
			if strings.HasSuffix(f.GetName(), "_info") {
				break
			}
			fallthrough
		default:
			shown := slices.DeleteFunc(values[name], func(v string) bool { return v == "" })
			texts[i] += ": " + strings.Join(shown, ", ")
		}
	}
	return strings.Join(texts, "; ")
}
