package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// PendingCommands is how many commands of a kind are not over.
type PendingCommands struct {
	Command  string // a kind of CommandDone
	InFlight int
	Queued   int
}

var (
	descCommands = desc("commands_pending", "Commands that are not over, by command and state: inFlight (sent, or about to be), queued (behind one of their kind to the same vehicle). A message to an MQTT device is in flight until it is acknowledged.",
		"command", "state")
	descChecks = desc("duplicate_checks_total", "Reports that could repeat a stored one, by who told (session: from memory, only what is a duplicate; store: was asked) and result; unknown: no answer, stored without a mark.",
		"by", "result")
	descWaiting      = desc("duplicate_waiting_vehicles", "Vehicles whose reports wait until the store has told whether they repeat others.")
	descTraces       = desc("trace_followers", "Vehicles that are followed with tboxgate trace.")
	descTraceDropped = desc("trace_dropped_events_total", "Frames and other events that tboxgate trace lost because its reader was too slow.")
)

// roomDescs are the descriptions of this file.
func roomDescs() []*prometheus.Desc {
	return []*prometheus.Desc{descCommands, descChecks, descWaiting, descTraces, descTraceDropped}
}

// collectRooms sends what other rooms count of themselves. repeats is what sessions recognised.
func (s *Sources) collectRooms(ch chan<- prometheus.Metric, repeats uint64) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	if s.Commands != nil {
		for _, p := range s.Commands() {
			send(descCommands, prometheus.GaugeValue, float64(p.InFlight), p.Command, "inFlight")
			send(descCommands, prometheus.GaugeValue, float64(p.Queued), p.Command, "queued")
		}
	}
	send(descChecks, prometheus.CounterValue, float64(repeats), "session", "duplicate")
	if s.Duplicates != nil {
		d := s.Duplicates()
		send(descChecks, prometheus.CounterValue, float64(d.Found), "store", "duplicate")
		send(descChecks, prometheus.CounterValue, float64(d.Fresh), "store", "fresh")
		send(descChecks, prometheus.CounterValue, float64(d.Unchecked), "store", "unknown")
		send(descWaiting, prometheus.GaugeValue, float64(d.Vehicles))
	}
	if s.Trace != nil {
		t := s.Trace()
		send(descTraces, prometheus.GaugeValue, float64(t.Followers))
		send(descTraceDropped, prometheus.CounterValue, float64(t.Dropped))
	}
}
