package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tboxgate_"+name, help, labels, nil)
}

var (
	descFrames = desc("frames_total", "Frames with right length and check byte, by edition, command and outcome.",
		"edition", "command", "outcome")
	descFrameBytes = desc("frame_bytes_total", "Bytes of frames with right length and check byte, by edition, command and outcome.",
		"edition", "command", "outcome")
	descEncrypted     = desc("encrypted_frames_total", "Stored frames whose data unit is encrypted, by method: nobody can read them here.", "method")
	descPaused        = desc("input_pauses_total", "Times that a connection's input was left unread because the store was slow, by the bound that was reached.", "limit")
	descBad           = desc("bad_frames_total", "Frames and runs of bytes that were refused, by reason.", "reason")
	descAnswers       = desc("answers_total", "Answers written, by response flag.", "flag")
	descAnswer        = desc("answer_duration_seconds", "Time from reading the last byte of a frame to writing its answer.")
	descIn            = desc("received_bytes_total", "Bytes read from connections.")
	descOut           = desc("sent_bytes_total", "Bytes written to connections.")
	descConns         = desc("connections", "Open connections.")
	descListenerConns = desc("listener_connections", "Open connections by listener and kind: login (nobody has logged in yet), vehicle, platform.",
		"listener", "kind")
	descListenerOpened = desc("listener_connections_opened_total", "Connections taken over by an event loop, by listener.", "listener")
	descOpened         = desc("connections_opened_total", "Connections taken over by an event loop.")
	descClosed         = desc("connections_closed_total", "Connections that ended, by reason.", "reason")
	descPanics         = desc("panics_total", "Panics that were kept to one connection.")

	descStored  = desc("store_records_total", "Records that the store confirmed.")
	descPending = desc("store_unconfirmed_records", "Records handed to the store and not confirmed yet.")
	descBytes   = desc("store_unconfirmed_bytes", "Bytes of records handed to the store and not confirmed yet.")
	descStore   = desc("store_confirm_duration_seconds", "Time from handing a record to the store to its confirmation.")

	descSessions  = desc("sessions", "Vehicles with a live session.")
	descDevices   = desc("devices", "Vehicles in the registry.")
	descPlatforms = desc("platforms", "Platforms in the registry.")
	descHealthy   = desc("store_healthy", "1 while the answering sink stores, else 0.")
	descLost      = desc("store_events_lost_total", "Events (presence, commands, refused logins, messages of MQTT devices) that had no room in memory while the store did not take any.")
	descRestarts  = desc("store_restarts_total", "Times that the embedded store had given up after a failed write and was started again in the process.")
	descLastLag   = desc("last_states_lag_seconds", "How far the last known states are behind the stream in the batched layout: the age of the last message that was looked at while more are waiting; else 0.")
	descLastQueue = desc("last_states_waiting_vehicles", "Vehicles with new frames whose last known state waits for its turn.")
	descBacklog   = desc("store_backlog_records", "Records that the answering sink holds until the store takes them.")
)

// collector adds the loops up and asks the sources.
type collector struct{ m *Metrics }

// Describe sends every description, so that a clash of names is found when a collector is registered.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descFrames, descFrameBytes, descEncrypted, descPaused, descBad, descAnswers, descAnswer, descIn, descOut, descConns, descListenerConns, descListenerOpened,
		descOpened, descClosed, descPanics, descStored, descPending, descBytes, descStore, descSessions, descDevices,
		descPlatforms, descHealthy, descBacklog, descRestarts, descLost,
		descLastLag, descLastQueue} {
		ch <- d
	}
	for _, d := range append(spaceDescs(), roomDescs()...) {
		ch <- d
	}
}

// Collect reads every loop once, all its counters at the same moment, so that a difference is never negative.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.m.mu.Lock()
	loops, listeners, sources := c.m.loops, c.m.listeners, c.m.sources
	c.m.mu.Unlock()

	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}

	var s counts
	for _, l := range loops {
		c := l.read()
		s.add(&c)
	}
	for e, commands := range s.frames {
		for class, byOutcome := range commands {
			if e == 0 && class >= 9 && class <= 11 {
				continue // 0x09–0x0B have no name in 2016
			}
			for o, n := range byOutcome {
				counter(descFrames, n.frames, editionNames[e], classNames[class], outcomeNames[o])
				counter(descFrameBytes, n.bytes, editionNames[e], classNames[class], outcomeNames[o])
			}
		}
	}
	for m, n := range s.encrypted {
		counter(descEncrypted, n, methodNames[m])
	}
	for r, n := range s.paused {
		counter(descPaused, n, pauseNames[r])
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
	for _, l := range listeners {
		l.collect(ch)
	}
	counter(descIn, s.bytesIn)
	counter(descOut, s.bytesOut)
	counter(descPanics, s.panics)
	counter(descStored, s.stored)
	gauge(descPending, float64(s.published-s.stored))
	gauge(descBytes, float64(s.publishedBytes-s.storedBytes))
	ch <- s.answerTime.metric(descAnswer, c.m.started)
	ch <- s.storeTime.metric(descStore, c.m.started)

	sources.collectRooms(ch, s.repeats)
	ask := func(d *prometheus.Desc, f func() int) {
		if f != nil {
			gauge(d, float64(f()))
		}
	}
	ask(descSessions, sources.Sessions)
	ask(descDevices, sources.Devices)
	ask(descPlatforms, sources.Platforms)
	ask(descBacklog, sources.StoreBacklog)
	if sources.StoreSpace != nil {
		sources.StoreSpace().collect(ch)
	}
	if sources.LastStates != nil {
		lag, waiting := sources.LastStates()
		gauge(descLastLag, lag.Seconds())
		gauge(descLastQueue, float64(waiting))
	}
	if sources.StoreStarts != nil {
		counter(descRestarts, sources.StoreStarts())
	}
	if sources.EventsLost != nil {
		counter(descLost, sources.EventsLost())
	}
	if sources.StoreHealthy != nil {
		healthy := 0.0
		if sources.StoreHealthy() == nil {
			healthy = 1
		}
		gauge(descHealthy, healthy)
	}
}

// add adds what another loop counted.
func (s *counts) add(o *counts) {
	for e := range o.frames {
		for class := range o.frames[e] {
			for outcome, n := range o.frames[e][class] {
				s.frames[e][class][outcome].frames += n.frames
				s.frames[e][class][outcome].bytes += n.bytes
			}
		}
	}
	for i, n := range o.encrypted {
		s.encrypted[i] += n
	}
	for i, n := range o.paused {
		s.paused[i] += n
	}
	for i, n := range o.bad {
		s.bad[i] += n
	}
	for i, n := range o.answers {
		s.answers[i] += n
	}
	for i, n := range o.closed {
		s.closed[i] += n
	}
	s.stored += o.stored
	s.storedBytes += o.storedBytes
	s.opened += o.opened
	s.published += o.published
	s.publishedBytes += o.publishedBytes
	s.bytesIn += o.bytesIn
	s.bytesOut += o.bytesOut
	s.panics += o.panics
	s.repeats += o.repeats
	s.answerTime.add(&o.answerTime)
	s.storeTime.add(&o.storeTime)
}
