package vehicle

import (
	"math"

	"github.com/tboxgate/tboxgate/codec"
)

// What both editions share, in raw values of the wire.
const (
	stateStarted  = 1 // vehicle state: started
	notCharging   = 3 // charge state
	pureElectric  = 1 // run mode
	dcdcWorking   = 1
	gearDrive     = 0x0E // automatic D
	gearPark      = 0x0F
	gearPush      = 0x20 // driving force present
	gearBrake     = 0x10 // braking force present
	motorUsing    = 1    // motor state: consuming
	motorGiving   = 2    // generating
	motorReady    = 4
	positionValid = 0 // valid fix, north, east
	insulation    = 5000
	wgs84         = 1
)

// celsius returns a temperature as it stands on the wire.
func celsius(t float64) uint8 { return uint8(min(max(math.Round(t)+40, 0), 250)) }

// tenths returns v with one decimal, raised by offset in the unit of v.
func tenths(v, offset float64) uint16 { return uint16(math.Round(10 * (v + offset))) }

func micro(degrees float64) uint32 { return uint32(math.Round(1e6 * degrees)) }

func (m *motion) gear() uint8 {
	switch {
	case m.parked() && m.target == 0:
		return gearPark | gearBrake
	case m.current < 0:
		return gearDrive | gearBrake
	}
	return gearDrive | gearPush
}

func (m *motion) motorState() uint8 {
	switch {
	case m.parked():
		return motorReady
	case m.current < 0:
		return motorGiving
	}
	return motorUsing
}

// pedals returns the travel of accelerator and brake pedal in percent.
func (m *motion) pedals() (accelerator, brake uint8) {
	switch {
	case m.speed < m.target:
		return 60, 0
	case m.speed > m.target || m.parked():
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
		raws[i] = celsius(float64(m.probe(i)))
		if raws[i] > raws[high-1] {
			high = i + 1
		}
		if raws[i] < raws[low-1] {
			low = i + 1
		}
	}
	return codec.MakeList8(raws...), high, low
}

// info2016 returns the items of a report of the 2016 edition.
func (m *motion) info2016(probes int) []codec.Item {
	cells, highCell, lowCell := m.cells()
	temps, highProbe, lowProbe := m.probes(probes)
	accelerator, brake := m.pedals()
	rpm, torque := m.motor()
	current := tenths(m.current, 1000)
	return []codec.Item{
		&codec.Vehicle2016{
			VehicleState: stateStarted, ChargeState: notCharging, RunMode: pureElectric,
			Speed: tenths(m.speed, 0), Mileage: uint32(math.Round(10 * m.distance)),
			TotalVoltage: m.total(), TotalCurrent: current, SOC: uint8(math.Round(100 * m.charge)),
			DCDCState: dcdcWorking, Gear: m.gear(), InsulationResistance: insulation,
			AcceleratorPedal: accelerator, BrakePedal: brake,
		},
		&codec.DriveMotors2016{Motors: []codec.DriveMotor2016{{
			Number: 1, State: m.motorState(), ControllerTemperature: celsius(m.heat + 12),
			Speed: uint16(20000 + rpm), Torque: uint16(20000 + torque), Temperature: celsius(m.heat + 18),
			InputVoltage: m.total(), BusCurrent: current,
		}}},
		&codec.Position2016{Status: positionValid, Longitude: micro(m.lon), Latitude: micro(m.lat)},
		&codec.Extremes2016{
			MaxVoltageSubsystem: 1, MaxVoltageCell: uint8(highCell), MaxCellVoltage: cells.At(highCell - 1),
			MinVoltageSubsystem: 1, MinVoltageCell: uint8(lowCell), MinCellVoltage: cells.At(lowCell - 1),
			MaxTemperatureSubsystem: 1, MaxTemperatureProbe: uint8(highProbe), MaxTemperature: temps.At(highProbe - 1),
			MinTemperatureSubsystem: 1, MinTemperatureProbe: uint8(lowProbe), MinTemperature: temps.At(lowProbe - 1),
		},
		&codec.Alarms2016{},
		&codec.StorageVoltages2016{Subsystems: []codec.StorageVoltage2016{{
			Number: 1, Voltage: m.total(), Current: current, CellCount: uint16(len(m.spread)), FirstCell: 1, CellVoltages: cells,
		}}},
		&codec.StorageTemperatures2016{Subsystems: []codec.StorageTemperature2016{{Number: 1, Temperatures: temps}}},
	}
}

// info2025 returns the items of a report of the 2025 edition. It is not signed: the gateway does
// not verify signatures.
func (m *motion) info2025(probes int) []codec.Item {
	cells, _, _ := m.cells()
	temps, _, _ := m.probes(probes)
	rpm, torque := m.motor()
	current := tenths(m.current, 3000)
	return []codec.Item{
		&codec.Vehicle2025{
			VehicleState: stateStarted, ChargeState: notCharging, RunMode: pureElectric,
			Speed: tenths(m.speed, 0), Mileage: uint32(math.Round(10 * m.distance)),
			TotalVoltage: m.total(), TotalCurrent: current, SOC: uint8(math.Round(100 * m.charge)),
			DCDCState: dcdcWorking, Gear: m.gear(), InsulationResistance: insulation,
		},
		&codec.DriveMotors2025{Motors: []codec.DriveMotor2025{{
			Number: 1, State: m.motorState(), ControllerTemperature: celsius(m.heat + 12),
			Speed: uint16(32000 + rpm), Torque: uint32(200000 + torque), Temperature: celsius(m.heat + 18),
		}}},
		&codec.Position2025{Status: positionValid, CoordinateSystem: wgs84, Longitude: micro(m.lon), Latitude: micro(m.lat)},
		&codec.Alarms2025{},
		&codec.CellVoltages2025{Packs: []codec.PackVoltage2025{{
			Number: 1, Voltage: m.total(), Current: current, CellVoltages: cells,
		}}},
		&codec.PackTemperatures2025{Packs: []codec.PackTemperature2025{{Number: 1, Temperatures: temps}}},
	}
}
