package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tboxgate_"+name, help, labels, nil)
}

var (
	descFrames = desc("frames_total", "Frames with right length and check byte, by edition, command and outcome.",
		"edition", "command", "outcome")
	descBad     = desc("bad_frames_total", "Frames and runs of bytes that were refused, by reason.", "reason")
	descAnswers = desc("answers_total", "Answers written, by answer flag.", "flag")
	descAnswer  = desc("answer_duration_seconds", "Time from the arrival of a frame to its answer being written.")
	descIn      = desc("received_bytes_total", "Bytes read from connections.")
	descOut     = desc("sent_bytes_total", "Bytes written to connections.")
	descConns   = desc("connections", "Open connections.")
	descOpened  = desc("connections_opened_total", "Connections taken over by an event loop.")
	descClosed  = desc("connections_closed_total", "Connections that ended, by reason.", "reason")
	descPanics  = desc("panics_total", "Panics that were kept to one connection.")

	descStored  = desc("store_records_total", "Records that the store confirmed.")
	descPending = desc("store_unconfirmed_records", "Records handed to the store and not confirmed yet.")
	descBytes   = desc("store_unconfirmed_bytes", "Bytes of records handed to the store and not confirmed yet.")
	descStore   = desc("store_confirm_duration_seconds", "Time from handing a record to the store to its confirmation.")

	descSessions  = desc("sessions", "Vehicles with a live session.")
	descDevices   = desc("devices", "Vehicles in the registry.")
	descPlatforms = desc("platforms", "Platforms in the registry.")
	descHealthy   = desc("store_healthy", "1 while the answering sink stores, else 0.")
	descBacklog   = desc("store_backlog_records", "Records that the answering sink holds until the store takes them.")
)

// collector adds the loops up and asks the sources.
type collector struct{ m *Metrics }

// Describe sends every description, so that a clash of names is found when a collector is registered.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descFrames, descBad, descAnswers, descAnswer, descIn, descOut, descConns,
		descOpened, descClosed, descPanics, descStored, descPending, descBytes, descStore, descSessions, descDevices,
		descPlatforms, descHealthy, descBacklog} {
		ch <- d
	}
}

// Collect reads every counter once. Confirmations are read before publications, and ends before beginnings, so that a
// difference is never negative while the loops go on.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.m.mu.Lock()
	loops, sources := c.m.loops, c.m.sources
	c.m.mu.Unlock()

	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}

	var s sums
	for _, l := range loops {
		s.add(l)
	}
	for e, commands := range s.frames {
		for class, byOutcome := range commands {
			if e == 0 && class >= 9 && class <= 11 {
				continue // 0x09–0x0B have no name in 2016
			}
			for o, n := range byOutcome {
				counter(descFrames, n, editionNames[e], classNames[class], outcomeNames[o])
			}
		}
	}
	for r, n := range s.bad {
		counter(descBad, n, badNames[r])
	}
	for f, n := range s.answers {
		counter(descAnswers, n, flagNames[f])
	}
	var closed uint64
	for r, n := range s.closed {
		closed += n
		counter(descClosed, n, closeNames[r])
	}
	counter(descOpened, s.opened)
	gauge(descConns, float64(s.opened-closed))
	counter(descIn, s.bytesIn)
	counter(descOut, s.bytesOut)
	counter(descPanics, s.panics)
	counter(descStored, s.stored)
	gauge(descPending, float64(s.published-s.stored))
	gauge(descBytes, float64(s.publishedBytes-s.storedBytes))
	ch <- s.answerTime.metric(descAnswer)
	ch <- s.storeTime.metric(descStore)

	ask := func(d *prometheus.Desc, f func() int) {
		if f != nil {
			gauge(d, float64(f()))
		}
	}
	ask(descSessions, sources.Sessions)
	ask(descDevices, sources.Devices)
	ask(descPlatforms, sources.Platforms)
	ask(descBacklog, sources.StoreBacklog)
	if sources.StoreHealthy != nil {
		healthy := 0.0
		if sources.StoreHealthy() == nil {
			healthy = 1
		}
		gauge(descHealthy, healthy)
	}
}

// sums is what all loops counted.
type sums struct {
	frames                            [2][classes][outcomes]uint64
	bad                               [badReasons]uint64
	answers                           [len(flagNames)]uint64
	closed                            [closeReasons]uint64
	bytesIn, bytesOut, opened, panics uint64
	published, publishedBytes         uint64
	stored, storedBytes               uint64
	answerTime, storeTime             totals
}

func (s *sums) add(l *Loop) {
	for e := range l.frames {
		for class := range l.frames[e] {
			for o := range l.frames[e][class] {
				s.frames[e][class][o] += l.frames[e][class][o].Load()
			}
		}
	}
	for i := range l.bad {
		s.bad[i] += l.bad[i].Load()
	}
	for i := range l.answers {
		s.answers[i] += l.answers[i].Load()
	}
	for i := range l.closed {
		s.closed[i] += l.closed[i].Load()
	}
	s.stored += l.stored.Load()
	s.storedBytes += l.storedBytes.Load()
	s.opened += l.opened.Load()
	s.published += l.published.Load()
	s.publishedBytes += l.publishedBytes.Load()
	s.bytesIn += l.bytesIn.Load()
	s.bytesOut += l.bytesOut.Load()
	s.panics += l.panics.Load()
	s.answerTime.add(&l.answerTime)
	s.storeTime.add(&l.storeTime)
}

// metric gives the histogram with cumulative buckets in seconds.
func (t *totals) metric(d *prometheus.Desc) prometheus.Metric {
	buckets := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, b := range bounds {
		n += t.buckets[i]
		buckets[b.Seconds()] = n
	}
	n += t.buckets[len(bounds)]
	return prometheus.MustNewConstHistogram(d, n, time.Duration(t.sum).Seconds(), buckets)
}
