package follow

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

// Collector shows sinks to Prometheus. Labels are the sinks' names, which the configuration gives, and the
// streams' names.
type Collector struct {
	// Answering is the sink that answers, nil when it is the store, which has metrics of its own.
	Answering sink.Sink
	// AnsweringName is its name.
	AnsweringName string
	// Followers are all others, and the feed of events of the one that answers.
	Followers []*Follower
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tboxgate_sink_"+name, help, append([]string{"sink"}, labels...), nil)
}

var (
	descHealthy    = desc("healthy", "1 while the sink stores what it is given and can be given it, else 0.")
	descActive     = desc("active", "1 while this gateway feeds the sink, 0 while another one on the same store does.")
	descStored     = desc("stored_total", "Records and events that the sink stored.")
	descRetries    = desc("retries_total", "Attempts of the sink to store that were a repetition.")
	descWaiting    = desc("waiting_records", "Records and events that the sink holds and has not stored.")
	descLag        = desc("lag_messages", "Messages of the stream that the sink has not stored yet.", "stream")
	descAge        = desc("lag_seconds", "Age of the oldest message that the sink was given and has not stored; 0: none.", "stream")
	descLost       = desc("lost_total", "Messages that the stream's retention took before the sink had them.", "stream")
	descUnreadable = desc("unreadable_total", "Messages of the stream that could not be read and were passed over.", "stream")
)

// Describe sends all descriptions.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descHealthy, descActive, descStored, descRetries, descWaiting, descLag, descAge, descLost, descUnreadable} {
		ch <- d
	}
}

// Collect asks every sink.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	one := func(name string, s sink.Sink, err error) {
		healthy := 0.0
		if err == nil {
			healthy = 1
		}
		send(descHealthy, prometheus.GaugeValue, healthy, name)
		if counted, ok := s.(sink.Counted); ok {
			st := counted.Stats()
			send(descStored, prometheus.CounterValue, float64(st.Stored), name)
			send(descRetries, prometheus.CounterValue, float64(st.Retried), name)
			send(descWaiting, prometheus.GaugeValue, float64(st.Waiting), name)
		}
	}
	if c.Answering != nil {
		one(c.AnsweringName, c.Answering, c.Answering.Healthy())
	}
	for _, f := range c.Followers {
		if c.Answering == nil || f.name != c.AnsweringName {
			one(f.name, f.sink, f.Healthy())
		}
		active := 0.0
		if f.Active() {
			active = 1
		}
		send(descActive, prometheus.GaugeValue, active, f.name)
		for _, s := range f.Stats() {
			send(descLag, prometheus.GaugeValue, float64(s.Lag), f.name, s.Stream)
			send(descAge, prometheus.GaugeValue, s.LagSeconds, f.name, s.Stream)
			send(descLost, prometheus.CounterValue, float64(s.Lost), f.name, s.Stream)
			send(descUnreadable, prometheus.CounterValue, float64(s.Unreadable), f.name, s.Stream)
		}
	}
}
