package vehicle

import "math"

// The general alarm bits that are played (2016 table 18, 2025 table 24).
const (
	bitTemperatureSpread = 0
	bitBatteryHot        = 1
	bitLowCharge         = 4
	bitPoorConsistency   = 10
	bitInsulation        = 11
	bitDCDCHot           = 12
	bitControllerHot     = 15
	bitInterlock         = 16
	bitMotorHot          = 17
	bitThermalEvent      = 23
)

// symptom is how far something has gone wrong: it grows in the minute before the alarm and is gone a minute after it.
type symptom struct {
	bit    uint8
	degree float64 // 0 to 1
}

const symptomSeconds = 60

// develop lets a second pass for the symptom of the alarm that is, or that comes.
func (a *alarm) develop() {
	s := &a.symptom
	want := a.fault
	if a.level == 0 && a.in > 0 && a.in <= symptomSeconds {
		want = a.coming
	}
	switch {
	case want.level > 0 && (s.degree == 0 || s.bit == want.bit):
		s.bit = want.bit
		if s.degree = min(s.degree+1.0/symptomSeconds, 1); a.level > 0 {
			s.degree = 1
		}
	default:
		s.degree = max(s.degree-1.0/symptomSeconds, 0)
	}
}

// of returns how far what bit tells has gone wrong, from 0 to 1.
func (s symptom) of(bit uint8) float64 {
	if s.bit == bit {
		return s.degree
	}
	return 0
}

// The values with their symptoms. A weak cell and a warm probe are those in the middle.

func (m *motion) insulation() uint16 {
	return uint16(math.Round(insulationGood - (insulationGood-insulationBad)*m.alarm.symptom.of(bitInsulation)))
}

// weakness is what the weak cell is below the others, in volts.
func (m *motion) weakness() float64 {
	return 0.25*m.alarm.symptom.of(bitPoorConsistency) + 1.2*m.alarm.symptom.of(bitThermalEvent)
}

// fever is what probe i of n is above the usual, in degrees.
func (m *motion) fever(i, n int) float64 {
	s := m.alarm.symptom
	all := 32 * s.of(bitBatteryHot)
	if i == n/2 {
		all += 14*s.of(bitTemperatureSpread) + 90*s.of(bitThermalEvent)
	}
	return all
}

// controllerHeat and motorHeat are temperatures in °C.
func (m *motion) controllerHeat() float64 {
	return m.heat + 12 + 75*m.alarm.symptom.of(bitControllerHot)
}
func (m *motion) motorHeat() float64 { return m.heat + 18 + 110*m.alarm.symptom.of(bitMotorHot) }
