package metrics

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/gateway/sink/follow"
)

const referenceHead = `# Metrics

<!-- Made from package gateway/metrics: go test ./gateway/metrics -update -->

` + "`/metrics` on the admin address (`admin.address`, with `admin.token` when one is set) in the formats that Prometheus asks for: text,\n" +
	"OpenMetrics, and the binary one that carries native histograms (a server with `--enable-feature=native-histograms`)." + `

- No metric has a label by VIN: who wants to know *which* vehicles asks ` + "`tboxgate fleet`, `tboxgate sessions` or `tboxgate trace`" + `.
- Label values are a fixed set, but for ` + "`listener`" + ` (an address as configured) and ` + "`code`" + ` (of the API's errors). They are there from the start, with 0.
- Latencies have classic buckets and, marked *native*, a native histogram of 8 buckets for each doubling from 1 µs to an hour.
- Numbers of the fleet are counted at a scrape, at most every five seconds.
- What belongs to the embedded store is there when a store runs; ` + "`tboxgate_clock_*`" + ` only where the kernel tells.

Alerts, recording rules and dashboards for them are in [monitoring](monitoring/README.md).
`

// sections group the metrics by the question that they answer; a metric belongs to the first prefix that fits.
var sections = []struct {
	title    string
	prefixes []string
}{
	{"Who is connected", []string{"connections", "listener_", "sessions", "accept_", "logins", "tls_"}},
	{"What comes in and what goes out", []string{"frame", "bad_frames", "encrypted_frames", "answer", "received_", "sent_", "input_"}},
	{"The store", []string{"store_"}},
	{"Commands and the API", []string{"command", "api_"}},
	{"The fleet", []string{"fleet_", "devices", "platforms"}},
	{"The gateway itself", []string{"build_", "clock_", "panics", "log_", "trace_"}},
}

// TestReference keeps docs/metrics.md what the code says.
func TestReference(t *testing.T) {
	families, err := full().Registry().Gather()
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString(referenceHead)
	left := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "tboxgate_") {
			left[f.GetName()] = f
		}
	}
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", s.title)
		for _, f := range families {
			short := strings.TrimPrefix(f.GetName(), "tboxgate_")
			if left[f.GetName()] == nil || !slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(short, p) }) {
				continue
			}
			delete(left, f.GetName())
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), typeName(f), labelText(f), f.GetHelp())
		}
	}
	require.Empty(t, left, "a metric that belongs to no section")
	fmt.Fprintf(&b, "\n## Other sinks\n\nOf sinks beside or instead of the store ([sinks.md](sinks.md)); `sink` is its name.\n\n%s", described(t, &follow.Collector{}))
	fmt.Fprintf(&b, "\n## MQTT devices\n\nOf the broker for devices ([mqtt-devices.md](mqtt-devices.md)), where it has a listener.\n\n%s", described(t, &mqttdevice.Broker{}))
	b.WriteString("\nBeside them are the Go runtime's (`go_*`) and the process's own (`process_*`): memory, garbage collection, goroutines, processor time,\ndescriptors.\n")

	const file = "../../docs/metrics.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "run go test ./gateway/metrics -update and look at the diff")
}

var descText = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: "([^"]+)", unit: "[^"]*", constLabels: \{\}, variableLabels: \{([^}]*)\}\}$`)

// described is the table of a collector of another package, which cannot be asked for values without what it collects from.
func described(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	rows := []string{}
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
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", m[1], kind, labels, m[2]))
	}
	require.NotEmpty(t, rows)
	slices.Sort(rows)
	return "| metric | type | labels | |\n|---|---|---|---|\n" + strings.Join(rows, "")
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
		case "listener", "code", "action", "goversion", "revision":
		case "version":
			if f.GetName() == "tboxgate_build_info" {
				break
			}
			fallthrough
		default:
			var shown []string
			for _, v := range values[name] {
				if v != "" {
					shown = append(shown, v)
				}
			}
			texts[i] += ": " + strings.Join(shown, ", ")
		}
	}
	return strings.Join(texts, "; ")
}
