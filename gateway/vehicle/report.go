package vehicle

import (
	"math"
	"slices"

	"github.com/tboxgate/tboxgate/codec"
)

// What both editions share, in raw values of the wire.
const (
	stateStarted   = 1 // vehicle state: started
	stateOff       = 2 // switched off
	charging       = 1 // charge state: parked and charging
	notCharging    = 3
	chargeDone     = 4
	pureElectric   = 1 // run mode
	dcdcWorking    = 1
	dcdcOff        = 2
	gearDrive      = 0x0E // automatic D
	gearPark       = 0x0F
	gearPush       = 0x20 // driving force present
	gearBrake      = 0x10 // braking force present
	motorUsing     = 1    // motor state: consuming
	motorGiving    = 2    // generating
	motorOff       = 3
	motorReady     = 4
	positionValid  = 0    // valid fix, north, east
	insulationGood = 5000 // kΩ
	insulationBad  = 30
	wgs84          = 1
)

// celsius returns a temperature as it stands on the wire.
func celsius(t float64) uint8 { return uint8(min(max(math.Round(t)+40, 0), 250)) }

// tenths returns v with one decimal, raised by offset in the unit of v.
func tenths(v, offset float64) uint16 { return uint16(math.Round(10 * (v + offset))) }

func micro(degrees float64) uint32 { return uint32(math.Round(1e6 * degrees)) }

func (m *motion) gear() uint8 {
	switch {
	case m.stands() && m.target == 0:
		return gearPark | gearBrake
	case m.current < 0:
		return gearDrive | gearBrake
	}
	return gearDrive | gearPush
}

func (m *motion) motorState() uint8 {
	switch {
	case m.day.phase == phasePark:
		return motorOff
	case m.stands():
		return motorReady
	case m.current < 0:
		return motorGiving
	}
	return motorUsing
}

func (m *motion) soc() uint8 { return uint8(math.Round(100 * min(m.charge, 1))) }

// pedals returns the travel of accelerator and brake pedal in percent.
func (m *motion) pedals() (accelerator, brake uint8) {
	switch {
	case m.day.phase != phaseDrive:
		return 0, 0
	case m.speed < m.target:
		return 60, 0
	case m.speed > m.target || m.stands():
		return 0, 30
	}
	return uint8(m.speed / 5), 0
}

// cells returns the cell voltages and which cell is highest and lowest, counted from 1.
func (m *motion) cells() (list codec.List16, high, low int) {
	volts := make([]uint16, len(m.spread))
	high, low = 1, 1
	for i := range volts {
		volts[i] = m.cell(i)
		if volts[i] > volts[high-1] {
			high = i + 1
		}
		if volts[i] < volts[low-1] {
			low = i + 1
		}
	}
	return codec.MakeList16(volts...), high, low
}

// probes returns the probe temperatures and which probe is highest and lowest, counted from 1.
func (m *motion) probes(n int) (list codec.List8, high, low int) {
	raws := make([]uint8, n)
	high, low = 1, 1
	for i := range raws {
		raws[i] = celsius(float64(m.probe(i, n)))
		if raws[i] > raws[high-1] {
			high = i + 1
		}
		if raws[i] < raws[low-1] {
			low = i + 1
		}
	}
	return codec.MakeList8(raws...), high, low
}

// states returns what both editions say of the vehicle, its charging and its DC-DC converter.
func (m *motion) states() (vehicle, charge, dcdc uint8) {
	switch {
	case m.day.phase == phasePark:
		return stateOff, notCharging, dcdcOff
	case m.day.phase == phaseCharge && m.day.full:
		return stateOff, chargeDone, dcdcWorking
	case m.day.phase == phaseCharge:
		return stateOff, charging, dcdcWorking
	}
	return stateStarted, notCharging, dcdcWorking
}

// cellCode is the number of a cell as the extreme values of the 2016 edition can name it: from 251
// on they cannot, and the number is invalid.
func cellCode(n int) uint8 {
	if n > 250 {
		return 0xFF
	}
	return uint8(n)
}

// infos2016 returns the items of the frames of one report of the 2016 edition: a frame holds 200
// cells at most, so a larger pack is split over several frames of one time (table B.6). Some makers
// repeat the other items in each frame, others do not.
func (m *motion) infos2016(probes int, repeat bool) [][]codec.Item {
	items := m.info2016(probes)
	frames := [][]codec.Item{items}
	all := items[len(items)-2].(*codec.StorageVoltages2016).Subsystems[0]
	for first := cellsInARow; first < len(m.spread); first += cellsInARow {
		part := all
		part.FirstCell = uint16(first + 1)
		part.CellVoltages = all.CellVoltages[2*first : 2*min(first+cellsInARow, len(m.spread))]
		item := &codec.StorageVoltages2016{Subsystems: []codec.StorageVoltage2016{part}}
		if !repeat {
			frames = append(frames, []codec.Item{item})
			continue
		}
		again := slices.Clone(items)
		again[len(again)-2] = item
		frames = append(frames, again)
	}
	if len(frames) > 1 {
		part := all
		part.CellVoltages = all.CellVoltages[:2*cellsInARow]
		items[len(items)-2] = &codec.StorageVoltages2016{Subsystems: []codec.StorageVoltage2016{part}}
	}
	return frames
}

// info2016 returns the items of a report of the 2016 edition. A car that is parked and charges sends
// no drive motors (table 8).
func (m *motion) info2016(probes int) []codec.Item {
	vehicle, charge, dcdc := m.states()
	cells, highCell, lowCell := m.cells()
	temps, highProbe, lowProbe := m.probes(probes)
	accelerator, brake := m.pedals()
	rpm, torque := m.motor()
	current := tenths(m.current, 1000)
	items := []codec.Item{
		&codec.Vehicle2016{
			VehicleState: vehicle, ChargeState: charge, RunMode: pureElectric,
			Speed: tenths(m.speed, 0), Mileage: uint32(math.Round(10 * m.distance)),
			TotalVoltage: m.total(), TotalCurrent: current, SOC: m.soc(),
			DCDCState: dcdc, Gear: m.gear(), InsulationResistance: m.insulation(),
			AcceleratorPedal: accelerator, BrakePedal: brake,
		},
		&codec.DriveMotors2016{Motors: []codec.DriveMotor2016{{
			Number: 1, State: m.motorState(), ControllerTemperature: celsius(m.controllerHeat()),
			Speed: uint16(20000 + rpm), Torque: uint16(20000 + torque), Temperature: celsius(m.motorHeat()),
			InputVoltage: m.total(), BusCurrent: current,
		}}},
		&codec.Position2016{Status: positionValid, Longitude: micro(m.lon), Latitude: micro(m.lat)},
		&codec.Extremes2016{
			MaxVoltageSubsystem: 1, MaxVoltageCell: cellCode(highCell), MaxCellVoltage: cells.At(highCell - 1),
			MinVoltageSubsystem: 1, MinVoltageCell: cellCode(lowCell), MinCellVoltage: cells.At(lowCell - 1),
			MaxTemperatureSubsystem: 1, MaxTemperatureProbe: uint8(highProbe), MaxTemperature: temps.At(highProbe - 1),
			MinTemperatureSubsystem: 1, MinTemperatureProbe: uint8(lowProbe), MinTemperature: temps.At(lowProbe - 1),
		},
		m.alarm.item2016(),
		&codec.StorageVoltages2016{Subsystems: []codec.StorageVoltage2016{{
			Number: 1, Voltage: m.total(), Current: current, CellCount: uint16(len(m.spread)), FirstCell: 1, CellVoltages: cells,
		}}},
		&codec.StorageTemperatures2016{Subsystems: []codec.StorageTemperature2016{{Number: 1, Temperatures: temps}}},
	}
	return m.withoutMotors(items)
}

// withoutMotors drops the drive motors, the second item, from the report of a car that charges.
func (m *motion) withoutMotors(items []codec.Item) []codec.Item {
	if m.day.phase == phaseCharge {
		return slices.Delete(items, 1, 2)
	}
	return items
}

// info2025 returns the items of a report of the 2025 edition. It is not signed: the gateway does
// not verify signatures.
func (m *motion) info2025(probes int) []codec.Item {
	vehicle, charge, dcdc := m.states()
	cells, _, _ := m.cells()
	temps, _, _ := m.probes(probes)
	rpm, torque := m.motor()
	current := tenths(m.current, 3000)
	items := []codec.Item{
		&codec.Vehicle2025{
			VehicleState: vehicle, ChargeState: charge, RunMode: pureElectric,
			Speed: tenths(m.speed, 0), Mileage: uint32(math.Round(10 * m.distance)),
			TotalVoltage: m.total(), TotalCurrent: current, SOC: m.soc(),
			DCDCState: dcdc, Gear: m.gear(), InsulationResistance: m.insulation(),
		},
		&codec.DriveMotors2025{Motors: []codec.DriveMotor2025{{
			Number: 1, State: m.motorState(), ControllerTemperature: celsius(m.controllerHeat()),
			Speed: uint16(32000 + rpm), Torque: uint32(200000 + torque), Temperature: celsius(m.motorHeat()),
		}}},
		&codec.Position2025{Status: positionValid, CoordinateSystem: wgs84, Longitude: micro(m.lon), Latitude: micro(m.lat)},
		m.alarm.item2025(),
		&codec.CellVoltages2025{Packs: []codec.PackVoltage2025{{
			Number: 1, Voltage: m.total(), Current: current, CellVoltages: cells,
		}}},
		&codec.PackTemperatures2025{Packs: []codec.PackTemperature2025{{Number: 1, Temperatures: temps}}},
	}
	return m.withoutMotors(items)
}
