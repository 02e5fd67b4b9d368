package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
)

// documented is a row of docs/metrics.md.
type documented struct {
	kind, present string
	labels        map[string][]string // and the values, where they are a fixed set
}

var (
	metricRow   = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z]+)(?:, native)? \\| [^|]+ \\| ([^|]*) \\| ([^|]+) \\| [^|]+ \\|$")
	metricLabel = regexp.MustCompile("^`([a-z]+)`(?:: (.+))?$")
)

func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	rows := map[string]documented{}
	for _, m := range metricRow.FindAllStringSubmatch(string(page), -1) {
		d := documented{kind: m[2], present: m[4], labels: map[string][]string{}}
		for label := range strings.SplitSeq(m[3], "; ") {
			if label == "" {
				continue
			}
			l := metricLabel.FindStringSubmatch(label)
			require.NotNil(t, l, m[0])
			d.labels[l[1]] = nil
			if l[2] != "" {
				d.labels[l[1]] = strings.Split(l[2], ", ")
			}
		}
		rows[m[1]] = d
	}
	require.Equal(t, strings.Count(string(page), "\n| `"), len(rows), "rows that this test cannot read, or two for one metric")
	return rows
}

// scrapeRows reads what a gateway exposes, and holds each metric to its row.
func scrapeRows(t *testing.T, g *gatewayProcess, rows map[string]documented) map[string]*dto.MetricFamily {
	t.Helper()
	status, text := get(t, "http://"+g.Addresses.Admin+"/metrics")
	require.Equal(t, 200, status)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	for name, f := range families {
		row, known := rows[name]
		require.True(t, known, "docs/metrics.md has not %s", name)
		require.Equal(t, row.kind, strings.ToLower(f.GetType().String()), name)
		for _, m := range f.GetMetric() {
			require.Len(t, m.GetLabel(), len(row.labels), "%s: %v", name, m.GetLabel())
			for _, l := range m.GetLabel() {
				values, known := row.labels[l.GetName()]
				require.True(t, known, "%s: label %s", name, l.GetName())
				if values != nil && l.GetValue() != "" {
					require.Contains(t, values, l.GetValue(), "%s: label %s", name, l.GetName())
				}
			}
		}
	}
	return families
}

// missing are the rows of a kind that a gateway does not expose. What only a kernel can tell may be missing.
func missing(rows map[string]documented, families map[string]*dto.MetricFamily, wanted func(present string) bool) (names []string) {
	for name, row := range rows {
		if row.present == "where the kernel tells" || row.present == "on Linux" && runtime.GOOS != "linux" {
			continue
		}
		if families[name] == nil && wanted(row.present) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// scrapeUntil scrapes until nothing is missing: the store looks at its room by and by.
func scrapeUntil(t *testing.T, g *gatewayProcess, rows map[string]documented, wanted func(present string) bool) map[string]*dto.MetricFamily {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		families := scrapeRows(t, g, rows)
		left := missing(rows, families, wanted)
		if len(left) == 0 {
			return families
		}
		require.True(t, time.Now().Before(end), "docs/metrics.md has what the gateway does not expose: %v", left)
	}
}

// series is the value of a series of a counter or gauge, and whether it is there.
func series(families map[string]*dto.MetricFamily, name string, labels map[string]string) (float64, bool) {
	for _, m := range families[name].GetMetric() {
		fits := 0
		for _, l := range m.GetLabel() {
			if v, ok := labels[l.GetName()]; ok && v == l.GetValue() {
				fits++
			}
		}
		if fits == len(labels) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// TestMetricsOfABareGateway: what docs/metrics.md says is always there is there, and nothing else.
func TestMetricsOfABareGateway(t *testing.T) {
	rows := documentedMetrics(t)
	g := serve(t, dataDir(t))
	known := func(present string) bool {
		return slices.Contains([]string{"always", "on Linux", "with the sink nats", "with the embedded store"}, present)
	}
	families := scrapeUntil(t, g, rows, known)
	for name := range families {
		require.True(t, known(rows[name].present) || rows[name].present == "where the kernel tells", "%s is there already, and is said to be only %s", name, rows[name].present)
	}
}

// TestMetricsOfAFullGateway: with everything switched on and used, a gateway exposes what docs/metrics.md has, all of it
// and nothing else; and what happened is counted where it is said to be.
func TestMetricsOfAFullGateway(t *testing.T) {
	rows := documentedMetrics(t)
	dir := dataDir(t)
	files := t.TempDir()
	leaf := certificate(t, files, "server", 1).Leaf
	trusting := &tls.Config{RootCAs: x509.NewCertPool()}
	trusting.RootCAs.AddCert(leaf)
	own := fmt.Sprintf("tls: {cert: %[1]s/server.crt, key: %[1]s/server.key}", files)
	config := writeFile(t, "t.yaml", `
listeners: [{address: "127.0.0.1:0"}, {address: "localhost:0", `+own+`}]
api: {`+own+`}
mqtt: {listeners: [{address: "127.0.0.1:0", `+own+`}]}
sinks: [{type: nats, payload: raw, batch: {maxFrames: 64, maxDelay: 2ms}}, {type: file, path: `+t.TempDir()+`}]
products:
  - {key: gbt32960}
  - {key: meters1, protocol: mqtt}
`)
	g := untilRunning(t, dir, start(t, "serve", "--dev", "--config", config, "--data-dir", dir, "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--access-key", "test:testsecret"))

	// A message to an MQTT device that is not there: a call of the API with an error.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	api, err := client.New(client.Options{BaseURL: "https://" + g.Addresses.API, AccessKeyID: "test", AccessKeySecret: "testsecret", HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, DisableKeepAlives: true}}})
	require.NoError(t, err)
	_, err = api.Publish(ctx, client.Message{ProductKey: "meters1", DeviceName: "meter-01", Topic: "/meters1/meter-01/user/get"})
	require.Error(t, err)
	// An MQTT device that is not registered.
	device := paho.NewClient(paho.NewClientOptions().AddBroker("ssl://" + g.Addresses.MQTT[0]).SetTLSConfig(trusting).SetProtocolVersion(4).
		SetClientID("dev|securemode=2,signmethod=hmacsha256|").SetUsername("meter-01&meters1").SetPassword(strings.Repeat("0", 64)))
	token := device.Connect()
	require.True(t, token.WaitTimeout(patience))
	require.Error(t, token.Error())
	// A vehicle that sends one report three times, and one that may repeat a stored one; then it stays.
	const vin = "LTEST000000000001"
	at := time.Now().Truncate(time.Second).Add(2 * time.Second) // later than the login
	report := reportAt(t, vin, codec.CommandRealtime, at, 1)
	dialVehicle(t, g.Addresses.Vehicles[0], vin, report, report, report, reportAt(t, vin, codec.CommandReissue, at.Add(-time.Hour), 2))

	families := scrapeUntil(t, g, rows, func(string) bool { return true })
	for _, want := range []struct {
		name   string
		labels map[string]string
		value  float64
	}{
		{"tboxgate_sessions", nil, 1},
		{"tboxgate_duplicate_checks_total", map[string]string{"by": "session", "result": "duplicate"}, 2},
		{"tboxgate_duplicate_checks_total", map[string]string{"by": "store", "result": "fresh"}, 1},
		{"tboxgate_mqtt_refused_total", map[string]string{"reason": "notRegistered"}, 1},
		{"tboxgate_sink_healthy", map[string]string{"sink": "file"}, 1},
		{"tboxgate_commands_pending", map[string]string{"command": "query", "state": "queued"}, 0},
		{"tboxgate_trace_dropped_events_total", nil, 0},
	} {
		got, there := series(families, want.name, want.labels)
		require.True(t, there, "%s %v", want.name, want.labels)
		require.InDelta(t, want.value, got, 0, "%s %v", want.name, want.labels)
	}
	for server, listener := range map[string]string{"vehicles": "localhost:0", "mqtt": "127.0.0.1:0", "api": "127.0.0.1:0"} {
		expires, there := series(families, "tboxgate_tls_certificate_expiry_timestamp_seconds", map[string]string{"server": server, "listener": listener})
		require.True(t, there, server)
		require.InDelta(t, leaf.NotAfter.Unix(), expires, 0, server)
	}
	require.Len(t, families["tboxgate_tls_certificate_expiry_timestamp_seconds"].GetMetric(), 3)
	require.NotContains(t, fmt.Sprint(families), vin, "no label by VIN")
	require.NotContains(t, fmt.Sprint(families), "meter-01", "nor by device")
}
