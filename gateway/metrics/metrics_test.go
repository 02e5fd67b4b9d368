package metrics

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/clock"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/gateway/sink/duplicate"
	"github.com/tboxgate/tboxgate/gateway/trace"
	"github.com/tboxgate/tboxgate/session"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/metrics.md")

// full returns metrics with every source and every kind of event seen once.
func full() *Metrics {
	m := New()
	m.SetBuild("v1.2.3", "0123abc")
	m.Watch(Sources{
		Sessions:     func() int { return 3 },
		Devices:      func() int { return 7 },
		Platforms:    func() int { return 2 },
		StoreHealthy: func() error { return nil },
		StoreBacklog: func() int { return 5 },
		StoreStarts:  func() uint64 { return 2 },
		EventsLost:   func() uint64 { return 3 },
		LastStates:   func() (time.Duration, int) { return 1500 * time.Millisecond, 3 },
		StoreSpace: func() Space {
			return Space{
				Streams:  []StreamSpace{{Stream: "GBT32960", Bytes: 1 << 20, MaxBytes: 1 << 30, Age: time.Hour, Kept: 24 * time.Hour, Left: 23 * time.Hour}},
				DiskFree: 1 << 30,
			}
		},
		Commands: func() []PendingCommands {
			return []PendingCommands{{Command: "query", InFlight: 2, Queued: 3}, {Command: "set"}, {Command: "control"}, {Command: CommandMessage}}
		},
		Duplicates: func() duplicate.Stats { return duplicate.Stats{Fresh: 4, Found: 3, Unchecked: 2, Vehicles: 1} },
		Trace:      func() trace.Stats { return trace.Stats{Followers: 1, Dropped: 12} },
		Fleet: func() session.FleetSummary {
			return session.FleetSummary{Online: 3, Offline: 4, Sessions: []session.ListenerCount{
				{Listener: "0.0.0.0:8999", Edition: 2016, Sessions: 2}, {Listener: "0.0.0.0:8999", Platform: true, Edition: 2025, Sessions: 1},
			}, ClockKnown: 2, Ahead: [4]int{1}, Behind: [4]int{1, 1}, Encrypted: 1, Silent: [6]int{5, 4}}
		},
		Clock: func() clock.Status {
			return clock.Status{Known: true, Synchronized: true, Offset: time.Millisecond, EstimatedError: 2 * time.Millisecond, MaxError: time.Second}
		},
	})
	l := m.NewListener("0.0.0.0:8999")
	l.Opened()
	l.Opened()
	l.Became(LinkLogin, LinkVehicle)
	m.Certificate(ServerVehicles, "0.0.0.0:8999")(time.Unix(1_800_000_000, 0))
	m.Certificate(ServerMQTT, "0.0.0.0:8883")(time.Unix(1_800_000_000, 0))
	m.Certificate(ServerAPI, "0.0.0.0:8960")(time.Unix(1_900_000_000, 0))
	m.SetConnectionsLimit(18000)
	m.Handshake(HandshakeOK, "1.3", 3*time.Millisecond)
	m.Handshake("notTLS", "", time.Millisecond)
	m.LogLineSuppressed()
	m.Login(KindVehicle, session.RefusedNotRegistered)
	m.ConnectionRefused("0.0.0.0:8999", "limit")
	m.CommandDone("query", CommandAnswered, 20*time.Millisecond)
	m.APICall("AsyncRRpc", "iot.device.OfflineDevice", time.Millisecond)
	m.NewLoop(nil)
	m.Registry().MustRegister(&mqttdevice.Broker{})
	return m
}

func TestConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().Registry())
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestNames holds the names, types and labels of our own metrics: dashboards and alerts rely on them.
func TestNames(t *testing.T) {
	families, err := full().Registry().Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "tboxgate_") {
			continue
		}
		b.WriteString(f.GetName() + " " + strings.ToLower(f.GetType().String()))
		for _, l := range f.GetMetric()[0].GetLabel() {
			b.WriteString(" " + l.GetName())
		}
		b.WriteString("\n")
	}
	const golden = "testdata/names.txt"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

func TestLoopsAddUp(t *testing.T) {
	m := New()
	a, b := m.NewLoop(nil), m.NewLoop(nil)
	for _, l := range []*Loop{a, b} {
		l.Opened()
		l.Received(334)
		l.Sent(31)
		l.Frame(2016, 0x02, FrameStored, 334)
		l.Published(1900)
	}
	a.Opened()
	a.Closed(CloseIdle)
	a.Frame(2016, 0x09, FrameIgnored, 25) // no command of 2016
	a.Frame(2025, 0x09, FrameAnswered, 25)
	a.Frame(2025, 0xC1, FrameStored, 334)
	a.Bad(BadCheck)
	a.Encrypted(codec.EncryptionAES)
	b.Encrypted(0x77)
	a.Paused(PauseWindow)
	b.Paused(PauseWindow)
	a.Stored(1900, 3*time.Millisecond)
	a.Answer(0x01, 4*time.Millisecond)
	b.Answer(0x01, time.Minute)
	b.Answer(0x55, -time.Second) // a clock that went back counts as no time at all
	b.Panic()
	b.Repeat()
	a.Publish()
	b.refresh = b.Publish // asked for at the scrape

	text := expose(t, m)
	for _, line := range []string{
		`tboxgate_connections 2`,
		`tboxgate_connections_opened_total 3`,
		`tboxgate_connections_closed_total{reason="idle"} 1`,
		`tboxgate_received_bytes_total 668`,
		`tboxgate_sent_bytes_total 62`,
		`tboxgate_frames_total{command="realtime",edition="2016",outcome="stored"} 2`,
		`tboxgate_frame_bytes_total{command="realtime",edition="2016",outcome="stored"} 668`,
		`tboxgate_encrypted_frames_total{method="aes"} 1`,
		`tboxgate_encrypted_frames_total{method="other"} 1`,
		`tboxgate_input_pauses_total{limit="window"} 2`,
		`tboxgate_frames_total{command="other",edition="2016",outcome="ignored"} 1`,
		`tboxgate_frames_total{command="activation",edition="2025",outcome="answered"} 1`,
		`tboxgate_frames_total{command="other",edition="2025",outcome="stored"} 1`,
		`tboxgate_bad_frames_total{reason="check"} 1`,
		`tboxgate_store_records_total 1`,
		`tboxgate_store_unconfirmed_records 1`,
		`tboxgate_store_unconfirmed_bytes 1900`,
		`tboxgate_answers_total{flag="success"} 2`,
		`tboxgate_answers_total{flag="other"} 1`,
		`tboxgate_answer_duration_seconds_bucket{le="0.0025"} 1`,
		`tboxgate_answer_duration_seconds_bucket{le="0.005"} 2`,
		`tboxgate_answer_duration_seconds_bucket{le="30"} 2`,
		`tboxgate_answer_duration_seconds_bucket{le="+Inf"} 3`,
		`tboxgate_answer_duration_seconds_sum 60.004`,
		`tboxgate_store_confirm_duration_seconds_count 1`,
		`tboxgate_panics_total 1`,
		`tboxgate_duplicate_checks_total{by="session",result="duplicate"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, `command="activation",edition="2016"`)
	require.NotContains(t, text, "tboxgate_sessions", "a source that is not set leaves its metric out")
}

func TestSourcesAndEvents(t *testing.T) {
	m := full()
	m.Watch(Sources{Sessions: func() int { return 4 }, StoreHealthy: func() error { return errors.New("disk full") }})
	m.CommandDone("control", "timedOut", time.Minute)
	m.CommandLate("control")
	m.CommandDone(CommandMessage, "sent", 0)
	m.APICall("AsyncRRpc", "", time.Millisecond)
	m.APICall("", "InvalidAction.NotFound", time.Millisecond)
	text := expose(t, m)
	for _, line := range []string{
		`tboxgate_sessions 4`,
		`tboxgate_store_healthy 0`,
		`tboxgate_logins_total{kind="vehicle",result="notRegistered"} 1`,
		`tboxgate_logins_total{kind="platform",result="accepted"} 0`,
		`tboxgate_connections_refused_total{listener="0.0.0.0:8999",reason="limit"} 1`,
		`tboxgate_commands_total{command="query",result="answered"} 1`,
		`tboxgate_commands_total{command="control",result="timedOut"} 1`,
		`tboxgate_commands_total{command="control",result="answered"} 0`,
		`tboxgate_command_late_answers_total{command="control"} 1`,
		`tboxgate_commands_total{command="message",result="sent"} 1`,
		`tboxgate_api_calls_total{action="AsyncRRpc",code=""} 1`,
		`tboxgate_api_calls_total{action="AsyncRRpc",code="iot.device.OfflineDevice"} 1`,
		`tboxgate_api_calls_total{action="other",code="InvalidAction.NotFound"} 1`,
		`tboxgate_api_call_duration_seconds_count{action="AsyncRRpc"} 2`,
		`tboxgate_command_duration_seconds_count{command="query"} 1`,
		`tboxgate_command_duration_seconds_count{command="control"} 0`,
		`tboxgate_command_duration_seconds_count{command="set"} 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, "tboxgate_fleet", "no fleet to ask any more")
	require.Contains(t, text, `tboxgate_build_info{goversion="go`)
	require.Contains(t, text, "go_goroutines ")
	require.Contains(t, text, "process_open_fds ")
}

func TestListenersFleetAndClock(t *testing.T) {
	m := full()
	require.Same(t, m.NewListener("0.0.0.0:8999"), m.NewListener("0.0.0.0:8999"))
	text := expose(t, m)
	for _, line := range []string{
		`tboxgate_listener_connections{kind="login",listener="0.0.0.0:8999"} 1`,
		`tboxgate_listener_connections{kind="vehicle",listener="0.0.0.0:8999"} 1`,
		`tboxgate_listener_connections{kind="platform",listener="0.0.0.0:8999"} 0`,
		`tboxgate_listener_connections_opened_total{listener="0.0.0.0:8999"} 2`,
		`tboxgate_listener_sessions{edition="2016",kind="vehicle",listener="0.0.0.0:8999"} 2`,
		`tboxgate_listener_sessions{edition="2025",kind="platform",listener="0.0.0.0:8999"} 1`,
		`tboxgate_tls_handshakes_total{result="ok",version="1.3"} 1`,
		`tboxgate_tls_certificate_expiry_timestamp_seconds{listener="0.0.0.0:8999",server="vehicles"} 1.8e+09`,
		`tboxgate_tls_certificate_expiry_timestamp_seconds{listener="0.0.0.0:8960",server="api"} 1.9e+09`,
		`tboxgate_commands_pending{command="query",state="inFlight"} 2`,
		`tboxgate_commands_pending{command="query",state="queued"} 3`,
		`tboxgate_duplicate_checks_total{by="session",result="duplicate"} 0`,
		`tboxgate_duplicate_checks_total{by="store",result="duplicate"} 3`,
		`tboxgate_duplicate_checks_total{by="store",result="fresh"} 4`,
		`tboxgate_duplicate_checks_total{by="store",result="unknown"} 2`,
		`tboxgate_duplicate_waiting_vehicles 1`,
		`tboxgate_trace_followers 1`,
		`tboxgate_trace_dropped_events_total 12`,
		`tboxgate_mqtt_refused_total{reason="signature"} 0`,
		`tboxgate_connections_limit 18000`,
		`tboxgate_tls_handshakes_total{result="notTLS",version=""} 1`,
		`tboxgate_tls_handshake_duration_seconds_count 1`,
		`tboxgate_log_lines_suppressed_total 1`,
		`tboxgate_fleet_vehicles{state="offline"} 4`,
		`tboxgate_fleet_silent_vehicles{seconds="300"} 4`,
		`tboxgate_fleet_clock_known_vehicles 2`,
		`tboxgate_fleet_clock_off_vehicles{direction="behind",seconds="60"} 1`,
		`tboxgate_fleet_clock_off_vehicles{direction="ahead",seconds="60"} 0`,
		`tboxgate_fleet_encrypted_vehicles 1`,
		`tboxgate_clock_synchronized 1`,
		`tboxgate_clock_error_seconds{bound="max"} 1`,
		`tboxgate_clock_offset_seconds 0.001`,
	} {
		require.Contains(t, text, line+"\n")
	}
	m.Watch(Sources{Clock: func() clock.Status { return clock.Status{} }})
	require.NotContains(t, expose(t, m), "tboxgate_clock", "a kernel that does not tell leaves the metrics out")
}

func TestCloseReasons(t *testing.T) {
	for r := CloseReason(0); r < closeReasons; r++ {
		require.Equal(t, r, CloseReasonOf(r.String()))
	}
	require.Equal(t, CloseOther, CloseReasonOf("gatewayRestart"))
}

// TestCountingAllocatesNothing holds the promise to the frame path.
func TestCountingAllocatesNothing(t *testing.T) {
	l := New().NewLoop(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { count(l) }))
}

// TestScrapeWhileCounting: a scrape sees all counters of a loop at one moment, and the loop keeps counting.
func TestScrapeWhileCounting(t *testing.T) {
	m := New()
	ask := make(chan chan struct{})
	l := m.NewLoop(func() { shown := make(chan struct{}); ask <- shown; <-shown })
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case shown, more := <-ask:
				if !more {
					return
				}
				l.Publish()
				close(shown)
			default:
				l.Opened()
				count(l)
				l.Closed(ClosePeer)
			}
		}
	})
	last := -1.0
	for range 20 {
		families, err := m.Registry().Gather()
		require.NoError(t, err)
		for _, f := range families {
			switch v := f.GetMetric()[0]; f.GetName() {
			case "tboxgate_connections", "tboxgate_store_unconfirmed_records", "tboxgate_store_unconfirmed_bytes":
				require.Zero(t, v.GetGauge().GetValue(), f.GetName())
			case "tboxgate_connections_opened_total":
				require.Greater(t, v.GetCounter().GetValue(), last)
				last = v.GetCounter().GetValue()
			}
		}
		for start := l.read().opened; l.read().opened == start; { // until it has counted on
		}
	}
	close(ask)
	wg.Wait()
}

func BenchmarkCount(b *testing.B) {
	l := New().NewLoop(nil)
	b.ReportAllocs()
	for b.Loop() {
		count(l)
	}
}

// count does what one realtime frame costs.
func count(l *Loop) {
	l.Received(334)
	l.Frame(2016, 0x02, FrameStored, 334)
	l.Published(1900)
	l.Stored(1900, 800*time.Microsecond)
	l.Answer(1, 900*time.Microsecond)
	l.Sent(31)
}

func expose(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

// TestNamesAreTheCodecs: a label reads like the same word in a record.
func TestNamesAreTheCodecs(t *testing.T) {
	for i, edition := range []codec.Edition{codec.Edition2016, codec.Edition2025} {
		for c := range 256 {
			command := codec.Command(c)
			want := command.Name(edition)
			if strings.HasPrefix(want, "0x") {
				want = "other"
			}
			require.Equal(t, want, classNames[classOf(i, command)])
		}
	}
	for f := 1; f < len(flagNames); f++ {
		require.Equal(t, codec.Flag(f).String(), flagNames[f])
	}
}
