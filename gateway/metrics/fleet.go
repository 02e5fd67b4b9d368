package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tboxgate/tboxgate/session"
)

// fleetEvery is how old the numbers of the fleet may be: counting a large one takes a noticeable part of a second, and
// there may be several Prometheus servers.
const fleetEvery = 5 * time.Second

var (
	descListenerSessions = desc("listener_sessions", "Vehicles with a live session by listener, kind (vehicle: connected itself, platform: relayed) and edition of the login.",
		"listener", "kind", "edition")
	descFleet = desc("fleet_vehicles", "Registered vehicles by state: online (on this node), elsewhere (on another), offline, never (not seen yet), disabled (whatever the other states say).",
		"state")
	descSilent = desc("fleet_silent_vehicles", "Vehicles online here or offline whose last frame is at least so many seconds old.", "seconds")
	descClocks = desc("fleet_clock_known_vehicles", "Vehicles online here that have sent a realtime report, so that their clock is known.")
	descOff    = desc("fleet_clock_off_vehicles", "Vehicles online here whose last realtime report was collected at least so many seconds ahead of its arrival, or behind.",
		"direction", "seconds")
	descSealed = desc("fleet_encrypted_vehicles", "Vehicles online here that have sent encrypted data units, which nobody can read here.")

	descClockSync  = desc("clock_synchronized", "1 while the kernel says that a time service keeps the machine's clock, which vehicles are served (0x08).")
	descClockError = desc("clock_error_seconds", "How far the machine's clock may be off, as its time service believes: estimated, and at most.", "bound")
	descClockOff   = desc("clock_offset_seconds", "True time less the machine's clock, as its time service is correcting it at the moment.")
)

// fleetCollector shows the fleet in numbers, and the machine's own clock.
type fleetCollector struct {
	m *Metrics

	mu   sync.Mutex
	at   time.Time
	last session.FleetSummary
}

func (c *fleetCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descListenerSessions, descFleet, descSilent, descClocks, descOff, descSealed,
		descClockSync, descClockError, descClockOff} {
		ch <- d
	}
}

func (c *fleetCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.m.mu.Lock()
	sources := c.m.sources
	c.m.mu.Unlock()
	if sources.Clock != nil {
		if s := sources.Clock(); s.Known {
			synchronized := 0.0
			if s.Synchronized {
				synchronized = 1
			}
			gauge(descClockSync, synchronized)
			gauge(descClockError, s.EstimatedError.Seconds(), "estimated")
			gauge(descClockError, s.MaxError.Seconds(), "max")
			gauge(descClockOff, s.Offset.Seconds())
		}
	}
	if sources.Fleet == nil {
		return
	}
	s := c.summary(sources.Fleet)
	for _, n := range s.Sessions {
		kind := KindVehicle
		if n.Platform {
			kind = KindPlatform
		}
		gauge(descListenerSessions, float64(n.Sessions), n.Listener, kind, strconv.Itoa(int(n.Edition)))
	}
	gauge(descFleet, float64(s.Online), "online")
	gauge(descFleet, float64(s.Elsewhere), "elsewhere")
	gauge(descFleet, float64(s.Offline), "offline")
	gauge(descFleet, float64(s.NeverSeen), "never")
	gauge(descFleet, float64(s.Disabled), "disabled")
	for i, d := range session.SilentThresholds {
		gauge(descSilent, float64(s.Silent[i]), seconds(d))
	}
	gauge(descClocks, float64(s.ClockKnown))
	for i, d := range session.ClockThresholds {
		gauge(descOff, float64(s.Ahead[i]), "ahead", seconds(d))
		gauge(descOff, float64(s.Behind[i]), "behind", seconds(d))
	}
	gauge(descSealed, float64(s.Encrypted))
}

// summary is the latest, taken anew when it is too old.
func (c *fleetCollector) summary(ask func() session.FleetSummary) session.FleetSummary {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || time.Since(c.at) >= fleetEvery {
		c.last, c.at = ask(), time.Now()
	}
	return c.last
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
