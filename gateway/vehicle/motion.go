package vehicle

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// motion is a car with its day: on a round trip through a town it accelerates, cruises, brakes and
// waits; it parks, it charges (day.go), and now and then something is wrong with it (alarm.go). All
// values follow from it, so that they fit together: distance is speed over time, current is what
// the motion needs, the state of charge falls with the current, the voltages with both.
//
// It moves on a grid of whole seconds and draws from a source of its own, so that one seed gives one
// life; a copy of it lives the same life again (see clone).
type motion struct {
	source rand.PCG

	speed    float64 // km/h
	target   float64 // km/h, where the speed goes
	distance float64 // km on the odometer
	charge   float64 // share of the battery, 0 to 1
	current  float64 // A, positive when the battery gives
	heading  float64 // radians, 0 is north
	lat, lon float64 // degrees
	heat     float64 // °C of the battery
	until    float64 // s until a new target is chosen
	day      day
	alarm    alarm

	spread  []float32 // V, what makes each cell differ from the mean; clones share it
	strings int       // in parallel, each of at most 200 cells in a row
}

const (
	capacityAh  = 150.0
	pushAccel   = 5.4  // km/h per second: 1.5 m/s²
	pushBrake   = 9.0  // km/h per second: 2.5 m/s²
	massTonnes  = 1.8  // of the car
	ambient     = 22.0 // °C
	cellsInARow = 200
)

// seedOf makes a vehicle the same in every run.
func seedOf(vin string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(vin)) // a hash does not fail
	return h.Sum64()
}

// newMotion returns the car of a seed (that of the configuration) and a VIN.
func newMotion(seed uint64, vin string, cells int) *motion {
	m := &motion{strings: (cells + cellsInARow - 1) / cellsInARow}
	m.source.Seed(seedOf(vin), 32960^seed)
	m.distance = 1000 + m.draw()*90000
	m.charge = 0.2 + 0.75*m.draw()
	m.heading = 2 * math.Pi * m.draw()
	// A square of some 40 km in the East China Sea: no test vehicle drives through anyone's street.
	m.lon, m.lat = 124+0.4*m.draw(), 30+0.4*m.draw()
	m.heat = ambient + 6*m.draw()
	m.spread = make([]float32, cells)
	for i := range m.spread {
		m.spread[i] = float32(0.012 * (m.draw() - 0.5))
	}
	return m
}

// clone returns a second car that will live what m will live.
func (m *motion) clone() *motion {
	c := *m
	return &c
}

// draw returns a number from 0 to below 1.
func (m *motion) draw() float64 { return float64(m.source.Uint64()>>11) / (1 << 53) }

// between returns a number from low to high.
func (m *motion) between(low, high float64) float64 { return low + (high-low)*m.draw() }

// choose returns a number from 0 to n-1.
func (m *motion) choose(n int) int { return int(m.draw() * float64(n)) }

// step lets whole seconds pass.
func (m *motion) step(d time.Duration) {
	for range d / time.Second {
		m.tick()
	}
}

// tick lets a second pass.
func (m *motion) tick() {
	m.live()
	m.worry()
	switch m.day.phase {
	case phaseDrive:
		m.drive()
	case phasePark:
		m.speed, m.target, m.current = 0, 0, 0
	case phaseCharge:
		m.speed, m.target = 0, 0
		m.current = -min(m.day.rate, 4+1500*max(1-m.charge, 0)) // the current falls when the battery is nearly full
		if m.day.full {
			m.current = 0
		}
	}
	m.charge = min(m.charge-m.current/3600/capacityAh, 1)
	if m.charge < 0.08 {
		m.charge = 0.95 // it has got another battery: only a car that drives without an end comes here
	}
	m.heat += (ambient + m.current*m.current/2500 - m.heat) / 900
}

func (m *motion) drive() {
	if m.until--; m.until <= 0 {
		m.until = 5 + 40*m.draw()
		m.target = []float64{0, 30, 50, 50, 60, 80, 110}[m.choose(7)]
		m.heading += (m.draw() - 0.5) * math.Pi / 2
	}
	if m.day.ending || m.alarm.serious() {
		m.target = 0
	}
	before := m.speed
	if m.speed < m.target {
		m.speed = min(m.target, m.speed+pushAccel)
	} else {
		m.speed = max(m.target, m.speed-pushBrake)
	}
	mean := (before + m.speed) / 2
	km := mean / 3600
	m.distance += km
	m.lat += km / 111.2 * math.Cos(m.heading)
	m.lon += km / 96.3 * math.Sin(m.heading) // a degree of longitude at 30° north
	if m.lat < 29.9 || m.lat > 30.5 || m.lon < 123.9 || m.lon > 124.5 {
		m.heading = math.Atan2(124.2-m.lon, 30.2-m.lat) // back to the middle
	}
	accel := (m.speed - before) / 3.6                            // m/s²
	force := massTonnes*1000*accel + 180 + 0.4*mean*mean/3.6/3.6 // N: mass, rolling, air
	power := force*mean/3.6 + 600                                // W, with what the car itself takes
	m.current = min(max(power/m.volts(), -120), 320)
}

// packMean returns the mean cell voltage: an open-circuit curve and the drop over the resistance.
func (m *motion) packMean() float64 { return 3.35 + 0.75*m.charge - m.current*0.0006 }

// volts returns the voltage of the pack.
func (m *motion) volts() float64 { return m.packMean() * float64(len(m.spread)) / float64(m.strings) }

// cell returns the voltage of a cell in millivolts.
func (m *motion) cell(i int) uint16 {
	volts := m.packMean() + float64(m.spread[i])
	if i == len(m.spread)/2 {
		volts -= m.weakness()
	}
	return uint16(math.Round(1000 * volts))
}

// total returns the voltage of the pack in tenths of a volt.
func (m *motion) total() uint16 {
	sum := 0
	for i := range m.spread {
		sum += int(m.cell(i))
	}
	return uint16((sum/m.strings + 50) / 100)
}

// probe returns the temperature of probe i of n in degrees Celsius.
func (m *motion) probe(i, n int) int { return int(math.Round(m.heat+m.fever(i, n))) + i%3 - 1 }

// motor returns the speed of the motor (r/min) and its torque (tenths of a Nm).
func (m *motion) motor() (rpm, torque int) {
	rpm = int(m.speed * 75)
	if rpm > 0 {
		power := m.current * m.volts() * 0.92
		torque = int(10 * power / (float64(rpm) * 2 * math.Pi / 60))
	}
	return rpm, min(max(torque, -3000), 3000)
}

// stands reports whether the car does not move.
func (m *motion) stands() bool { return m.speed == 0 }
