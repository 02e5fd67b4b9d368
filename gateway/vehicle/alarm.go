package vehicle

import "github.com/tboxgate/tboxgate/codec"

// alarm is what is wrong with a car, and what will be.
type alarm struct {
	level   uint8 // 0: nothing, up to 3 (2025: 4)
	fault   fault
	left    float64 // s until it is over
	after   float64 // s since a serious one that are reported closely
	symptom symptom

	coming fault   // the next one
	in     float64 // s until then
}

// fault is a kind of alarm.
type fault struct {
	level uint8
	bit   uint8 // of the general alarm flags (2016 table 18, 2025 table 24)
	list  uint8 // which list its code stands in: 1 storage, 2 motors, 4 others
}

// faults are the kinds of alarms. The last one is new in the 2025 edition.
var faults = [...]fault{
	{1, bitTemperatureSpread, 1}, {1, bitLowCharge, 1}, {1, bitDCDCHot, 4},
	{2, bitBatteryHot, 1}, {2, bitPoorConsistency, 1}, {2, bitControllerHot, 2}, {2, bitMotorHot, 2},
	{3, bitInsulation, 4}, {3, bitInterlock, 4},
	{4, bitThermalEvent, 1},
}

// serious alarms are reported once a second, from 30 s before them to 30 s after (2016 §5.2.4,
// B.2.1: level 3; 2025: levels 3 and 4).
const (
	seriousLevel  = 3
	seriousAround = 30 // s
)

func (a *alarm) serious() bool { return a.level >= seriousLevel }

// close reports whether the car reports every second.
func (a *alarm) close() bool { return a.serious() || a.after > 0 }

// expectAlarm draws the next alarm, so that what comes before it can be kept.
func (m *motion) expectAlarm() {
	m.alarm.coming = faults[m.choose(m.day.kinds)]
	m.alarm.in = m.between(10, 40)*60/m.day.pace + seriousAround
}

// lowCharge is the state of charge below which it is called low.
const lowCharge = 0.3

// worry lets a second pass for the alarms. A parked car has none.
func (m *motion) worry() {
	a := &m.alarm
	if !m.day.on {
		return
	}
	defer a.develop()
	if a.after > 0 {
		a.after--
	}
	if a.level > 0 {
		if a.left--; a.left <= 0 {
			if a.serious() {
				a.after = seriousAround
			}
			a.level, a.fault = 0, fault{}
			m.expectAlarm()
		}
		return
	}
	if m.day.phase == phasePark && a.in <= seriousAround+1 {
		return // it waits for the next drive
	}
	if a.in--; a.in <= 0 {
		if low := m.charge < lowCharge; a.coming.level == 1 && low {
			a.coming = fault{1, bitLowCharge, 1}
		} else if a.coming.bit == bitLowCharge && !low {
			a.coming = fault{1, bitDCDCHot, 4}
		}
		a.level, a.fault = a.coming.level, a.coming
		a.left = m.between(15, 60)
		a.after = 0
	}
}

// nears reports whether a serious alarm is as near as what must be kept before it.
func (a *alarm) nears() bool {
	return a.level == 0 && a.coming.level >= seriousLevel && a.in > 0 && a.in <= seriousAround
}

func (a *alarm) flags() uint32 {
	if a.level == 0 {
		return 0
	}
	return 1 << a.fault.bit
}

// codes returns the codes of one list, at most one: makers define them.
func (a *alarm) codes(list uint8) codec.List32 {
	if a.level == 0 || a.fault.list != list {
		return nil
	}
	return codec.MakeList32(0x00320000 | uint32(a.fault.bit))
}

func (a *alarm) item2016() *codec.Alarms2016 {
	return &codec.Alarms2016{HighestLevel: min(a.level, 3), Flags: a.flags() & (1<<19 - 1),
		StorageFaults: a.codes(1), MotorFaults: a.codes(2), OtherFaults: a.codes(4)}
}

func (a *alarm) item2025() *codec.Alarms2025 {
	item := &codec.Alarms2025{HighestLevel: a.level, Flags: a.flags(),
		StorageFaults: a.codes(1), MotorFaults: a.codes(2), OtherFaults: a.codes(4)}
	if a.level > 0 {
		item.AlarmLevels = []codec.AlarmLevel2025{{Bit: a.fault.bit, Level: a.level}}
	}
	return item
}
