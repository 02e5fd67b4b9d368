package probe

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// The frames that cases send. All are right unless a case breaks them.

const testICCID = "89860000000000000000"

// frame makes the bytes of a message that was made right.
func frame(m *codec.Message, err error) codec.Frame {
	if err == nil {
		var b []byte
		if b, err = m.Append(nil); err == nil {
			return b
		}
	}
	panic(err) // a mistake in a case
}

// raw makes a frame of any unit.
func (t *talk) raw(command codec.Command, vin codec.VIN, encryption codec.Encryption, unit []byte) codec.Frame {
	b, err := codec.AppendFrame(nil, codec.Header{Edition: t.edition, Command: command, Flag: codec.FlagCommand, VIN: vin, Encryption: encryption}, unit)
	if err != nil {
		panic(err) // a mistake in a case
	}
	return b
}

// now returns the time, another second at each call: two reports of one second would be the same.
func (t *talk) now() time.Time {
	t.ticks++
	return time.Now().Add(time.Duration(t.ticks-60) * time.Second)
}

func (t *talk) login(vin codec.VIN) codec.Frame {
	t.serial++
	return t.loginWith(vin, t.serial)
}

func (t *talk) loginWith(vin codec.VIN, serial uint16) codec.Frame {
	if t.edition == codec.Edition2025 {
		codes, err := codec.MakePackCodes([]string{"TBOXGATE0000000000000000"})
		if err != nil {
			panic(err) // a mistake here
		}
		return frame(codec.NewVehicleLogin2025(vin, t.now(), serial, testICCID, codes))
	}
	codes, err := codec.MakeStorageCodes(1)
	if err != nil {
		panic(err) // a mistake here
	}
	return frame(codec.NewVehicleLogin2016(vin, t.now(), serial, testICCID, codes))
}

func (t *talk) heartbeat() codec.Frame { return frame(codec.NewHeartbeat(t.edition, t.vin), nil) }

func (t *talk) timeSync() codec.Frame { return frame(codec.NewTimeSync(t.edition, t.vin), nil) }

func (t *talk) logout() codec.Frame {
	return frame(codec.NewVehicleLogout(t.edition, t.vin, t.now(), t.serial), nil)
}

// items are those of a car that stands.
func (t *talk) items() []codec.Item {
	if t.edition == codec.Edition2025 {
		return []codec.Item{
			&codec.Vehicle2025{VehicleState: 1, ChargeState: 3, RunMode: 1, Mileage: 12345, TotalVoltage: 3800, TotalCurrent: 30000, SOC: 80,
				DCDCState: 1, Gear: 0x0F, InsulationResistance: 5000},
			&codec.Position2025{CoordinateSystem: 1, Longitude: 124_200_000, Latitude: 30_200_000},
			&codec.Alarms2025{},
		}
	}
	return []codec.Item{
		&codec.Vehicle2016{VehicleState: 1, ChargeState: 3, RunMode: 1, Mileage: 12345, TotalVoltage: 3800, TotalCurrent: 10000, SOC: 80,
			DCDCState: 1, Gear: 0x0F, InsulationResistance: 5000},
		&codec.Position2016{Longitude: 124_200_000, Latitude: 30_200_000},
		&codec.Alarms2016{},
	}
}

func (t *talk) realtime(vin codec.VIN) codec.Frame {
	return frame(codec.NewRealtime(t.edition, vin, t.now(), t.items()...), nil)
}

func (t *talk) reissue() codec.Frame {
	return frame(codec.NewReissue(t.edition, t.vin, t.now().Add(-time.Hour), t.items()...), nil)
}

// damaged returns a copy with a wrong check byte.
func damaged(f codec.Frame) codec.Frame {
	b := append(codec.Frame(nil), f...)
	b[len(b)-1] ^= 0x5A
	return b
}

// withLength returns a copy whose length field says n; the check byte fits it.
func withLength(f codec.Frame, n int) codec.Frame {
	b := append(codec.Frame(nil), f...)
	b[22], b[23] = byte(n>>8), byte(n)
	b[len(b)-1] = codec.Check(b[2 : len(b)-1])
	return b
}
