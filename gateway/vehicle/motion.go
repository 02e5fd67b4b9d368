package vehicle

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// motion is a car on a round trip through a town: it accelerates, cruises, brakes and waits. All
// values follow from it, so that they fit together: distance is speed over time, current is what
// the motion needs, the state of charge falls with the current, the voltages with both.
type motion struct {
	random *rand.Rand

	speed    float64   // km/h
	target   float64   // km/h, where the speed goes
	distance float64   // km on the odometer
	charge   float64   // share of the battery, 0 to 1
	current  float64   // A, positive when the battery gives
	heading  float64   // radians, 0 is north
	lat, lon float64   // degrees
	heat     float64   // °C of the battery
	spread   []float64 // V, what makes each cell differ from the mean
	until    float64   // s until a new target is chosen
}

const (
	capacityAh = 150.0
	pushAccel  = 5.4  // km/h per second: 1.5 m/s²
	pushBrake  = 9.0  // km/h per second: 2.5 m/s²
	massTonnes = 1.8  // of the car
	ambient    = 22.0 // °C
)

// seedOf makes a vehicle the same in every run.
func seedOf(vin string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(vin)) // a hash does not fail
	return h.Sum64()
}

func newMotion(vin string, cells int) *motion {
	seed := seedOf(vin)
	m := &motion{random: rand.New(rand.NewPCG(seed, 32960))}
	m.distance = 1000 + m.random.Float64()*90000
	m.charge = 0.4 + 0.55*m.random.Float64()
	m.heading = 2 * math.Pi * m.random.Float64()
	// A square of some 40 km in the East China Sea: no test vehicle drives through anyone's street.
	m.lon, m.lat = 124+0.4*m.random.Float64(), 30+0.4*m.random.Float64()
	m.heat = ambient + 6*m.random.Float64()
	m.spread = make([]float64, cells)
	for i := range m.spread {
		m.spread[i] = 0.012 * (m.random.Float64() - 0.5)
	}
	return m
}

// step lets d pass.
func (m *motion) step(d time.Duration) {
	// Small steps keep a long pause between two reports from ending in a jump.
	for s := d.Seconds(); s > 0; s -= 1 {
		m.tick(min(s, 1))
	}
}

func (m *motion) tick(s float64) {
	if m.until -= s; m.until <= 0 {
		m.until = 5 + 40*m.random.Float64()
		m.target = []float64{0, 30, 50, 50, 60, 80, 110}[m.random.IntN(7)]
		m.heading += (m.random.Float64() - 0.5) * math.Pi / 2
	}
	before := m.speed
	if m.speed < m.target {
		m.speed = min(m.target, m.speed+pushAccel*s)
	} else {
		m.speed = max(m.target, m.speed-pushBrake*s)
	}
	mean := (before + m.speed) / 2
	km := mean * s / 3600
	m.distance += km
	m.lat += km / 111.2 * math.Cos(m.heading)
	m.lon += km / 96.3 * math.Sin(m.heading) // a degree of longitude at 30° north
	if m.lat < 29.9 || m.lat > 30.5 || m.lon < 123.9 || m.lon > 124.5 {
		m.heading = math.Atan2(124.2-m.lon, 30.2-m.lat) // back to the middle
	}
	accel := (m.speed - before) / 3.6 / s                        // m/s²
	force := massTonnes*1000*accel + 180 + 0.4*mean*mean/3.6/3.6 // N: mass, rolling, air
	power := force*mean/3.6 + 600                                // W, with what the car itself takes
	m.current = min(max(power/(m.packMean()*float64(len(m.spread))), -120), 320)
	m.charge -= m.current * s / 3600 / capacityAh
	if m.charge < 0.08 {
		m.charge = 0.95 // an invisible stop at a charger
	}
	m.heat += (ambient + m.current*m.current/2500 - m.heat) * s / 900
}

// packMean returns the mean cell voltage: an open-circuit curve and the drop over the resistance.
func (m *motion) packMean() float64 { return 3.35 + 0.75*m.charge - m.current*0.0006 }

// cell returns the voltage of a cell in millivolts.
func (m *motion) cell(i int) uint16 {
	return uint16(math.Round(1000 * (m.packMean() + m.spread[i])))
}

// total returns the voltage of the pack in tenths of a volt.
func (m *motion) total() uint16 {
	sum := 0
	for i := range m.spread {
		sum += int(m.cell(i))
	}
	return uint16((sum + 50) / 100)
}

// probe returns a temperature of the battery in degrees Celsius.
func (m *motion) probe(i int) int { return int(math.Round(m.heat)) + i%3 - 1 }

// motor returns the speed of the motor (r/min) and its torque (tenths of a Nm).
func (m *motion) motor() (rpm, torque int) {
	rpm = int(m.speed * 75)
	if rpm > 0 {
		power := m.current * m.packMean() * float64(len(m.spread)) * 0.92
		torque = int(10 * power / (float64(rpm) * 2 * math.Pi / 60))
	}
	return rpm, min(max(torque, -3000), 3000)
}

// parked reports whether the car stands.
func (m *motion) parked() bool { return m.speed == 0 }
