package vehicle

import (
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Drive says what a simulated car does all day.
type Drive uint8

// The kinds of days.
const (
	// DriveRoad drives without an end; nothing is ever wrong.
	DriveRoad Drive = iota
	// DriveDay drives, parks and charges, with alarms of all levels now and then.
	DriveDay
)

func (d Drive) String() string {
	switch d {
	case DriveRoad:
		return "road"
	case DriveDay:
		return "day"
	}
	return fmt.Sprintf("Drive(%d)", uint8(d))
}

// ParseDrive is the inverse of [Drive.String].
func ParseDrive(name string) (Drive, error) {
	for _, d := range []Drive{DriveRoad, DriveDay} {
		if d.String() == name {
			return d, nil
		}
	}
	return 0, fmt.Errorf("vehicle: unknown drive %q (want road or day)", name)
}

// phase is what a car does at present.
type phase uint8

const (
	phaseDrive phase = iota
	phasePark
	phaseCharge
)

// day is the car's state machine: drive → park or charge → drive.
type day struct {
	on     bool // false: it drives for ever
	phase  phase
	kinds  int     // of faults that the edition knows
	pace   float64 // phases are shortened by this factor
	left   float64 // s until the phase ends
	since  float64 // s in this phase
	ending bool    // the drive is over as soon as the car stands
	rate   float64 // A, while it charges
	full   bool    // charging is complete; the plug is still in
}

// startDay begins the day: three cars of four are on the road, one charges.
func (m *motion) startDay(pace float64, e codec.Edition) {
	m.day = day{on: true, pace: pace, kinds: len(faults)}
	if e == codec.Edition2016 {
		m.day.kinds--
	}
	if m.choose(4) == 0 {
		m.enter(phaseCharge)
	} else {
		m.enter(phaseDrive)
	}
	m.day.left *= 0.1 + 0.9*m.draw() // it is under way already
	m.expectAlarm()
	m.tick() // so that the values fit the phase
}

func (m *motion) enter(p phase) {
	m.day.phase, m.day.since, m.day.ending, m.day.full = p, 0, false, false
	switch p {
	case phaseDrive:
		m.day.left = m.between(10, 40) * 60 / m.day.pace
	case phasePark:
		m.day.left = m.between(5, 90) * 60 / m.day.pace
	case phaseCharge:
		m.day.left = m.between(20, 60) * 60 / m.day.pace
		m.day.rate = m.between(30, 120)
	}
}

// live lets a second of the day pass.
func (m *motion) live() {
	d := &m.day
	if !d.on {
		return
	}
	d.left--
	d.since++
	switch {
	case d.phase == phaseDrive && m.charge < 0.12: // it has to
		d.left = 0
	case d.phase == phaseCharge && m.alarm.serious(): // charging ends, and the car stays where it is
		m.enter(phasePark)
	}
	if d.phase == phaseCharge && !d.full && (m.charge >= 0.98 || d.left <= 0) { // nobody has to charge to the top
		d.full = true
		d.left = 120 / d.pace
	}
	if d.left > 0 {
		return
	}
	switch d.phase {
	case phaseDrive:
		if d.ending = true; !m.stands() {
			return
		}
		if m.charge < 0.35 || m.choose(4) == 0 {
			m.enter(phaseCharge)
		} else {
			m.enter(phasePark)
		}
	case phasePark, phaseCharge:
		m.enter(phaseDrive)
	}
}

// reports says whether the car reports at this second: while it drives and charges, while something
// is wrong, and after power-off as the edition wants it: for three minutes (2016 B.2.1), or once just
// before the first hour is over (2025 B.2).
func (m *motion) reports(e codec.Edition, period time.Duration) bool {
	d := &m.day
	if d.phase != phasePark || m.alarm.level > 0 || m.alarm.after > 0 {
		return true
	}
	if e == codec.Edition2016 {
		return d.since <= 180/d.pace
	}
	last := 3590 / d.pace
	return d.since <= last && d.since+max(period.Seconds(), 1) > last
}

// blindZone is what the car's roads have of tunnels and valleys: every one to three hours of the day a
// stretch of 20 to 90 s without a network, if it drives then. What it reports there it reissues behind it.
func (c *car) blindZone() ScriptedFault {
	m := c.motion.clone() // the car's own draws stay as they are
	m.source.Seed(m.source.Uint64(), m.source.Uint64())
	length := max(m.between(20, 90)/c.cfg.Pace, 3)
	every := max(m.between(60, 180)*60/c.cfg.Pace, 2*length)
	return ScriptedFault{At: seconds(int64(every * (0.2 + 0.8*m.draw()))), For: seconds(int64(length)), Every: seconds(int64(every)),
		Share: 1, Fault: FaultBlindZone, road: true}
}
