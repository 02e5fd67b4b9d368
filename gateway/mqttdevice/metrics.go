package mqttdevice

import "github.com/prometheus/client_golang/prometheus"

var (
	descConnected   = desc("sessions", "MQTT devices that are connected.")
	descConnections = desc("connections_total", "MQTT connections by what became of them: accepted, or closed at once for a limit.", "result")
	descRefused     = desc("refused_total", "MQTT devices that were not let in, by reason.", "reason")
	descMessages    = desc("messages_total", "Messages of MQTT devices (up) and to them (down).", "direction")
	descDenied      = desc("topics_denied_total", "Topics that an MQTT device wanted and may not use.")
	descPanics      = desc("panics_total", "MQTT connections that ended by a fault of the gateway.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tboxgate_mqtt_"+name, help, labels, nil)
}

// Describe is that of a prometheus.Collector.
func (b *Broker) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descConnected, descConnections, descRefused, descMessages, descDenied, descPanics} {
		ch <- d
	}
}

// Collect is that of a prometheus.Collector.
func (b *Broker) Collect(ch chan<- prometheus.Metric) {
	s := b.Stats()
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	ch <- prometheus.MustNewConstMetric(descConnected, prometheus.GaugeValue, float64(s.Connected))
	count(descConnections, s.Accepted, "accepted")
	count(descConnections, s.OverLimit, "overLimit")
	for reason, n := range s.Refused {
		count(descRefused, n, reason)
	}
	count(descMessages, s.Received, "up")
	count(descMessages, s.Delivered, "down")
	count(descDenied, s.Denied)
	count(descPanics, s.Panics)
}
