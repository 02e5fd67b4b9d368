package vehicle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// view is what a reader of the frames of one time knows of a vehicle, in physical units and in one form for both editions.
type view struct {
	at                         time.Time
	state, charge, gear        uint8
	speed, mileage, volts, amp float64
	soc                        int
	insulation                 int
	motor                      bool
	motorState                 uint8
	rpm, torque, controller    float64
	motorHeat                  float64
	lon, lat                   float64
	level                      uint8
	flags                      uint32
	codes                      [4]codec.List32
	levels                     []codec.AlarmLevel2025
	cells                      []int // mV
	cellCount                  int
	packVolts, packAmp         float64
	probes                     []int // °C
	extremes                   *codec.Extremes2016
}

// see adds a frame to what is known of its time.
func (v *view) see(t *testing.T, f codec.Frame) {
	look(t, f) // it has no problems, and is what the codec writes
	var m codec.Message
	m.Decode(f)
	celsius := func(raw uint8) float64 { return float64(raw) - 40 }
	for _, item := range m.Body.(*codec.Realtime).Info {
		switch i := item.(type) {
		case *codec.Vehicle2016:
			v.state, v.charge, v.gear, v.soc, v.insulation = i.VehicleState, i.ChargeState, i.Gear, int(i.SOC), int(i.InsulationResistance)
			v.speed, v.mileage = i.SpeedValue().Float64(), i.MileageValue().Float64()
			v.volts, v.amp = i.TotalVoltageValue().Float64(), i.TotalCurrentValue().Float64()
		case *codec.Vehicle2025:
			v.state, v.charge, v.gear, v.soc, v.insulation = i.VehicleState, i.ChargeState, i.Gear, int(i.SOC), int(i.InsulationResistance)
			v.speed, v.mileage = i.SpeedValue().Float64(), i.MileageValue().Float64()
			v.volts, v.amp = i.TotalVoltageValue().Float64(), i.TotalCurrentValue().Float64()
		case *codec.DriveMotors2016:
			o := i.Motors[0]
			v.motor, v.motorState, v.rpm, v.torque = true, o.State, float64(o.Speed)-20000, (float64(o.Torque)-20000)/10
			v.controller, v.motorHeat = celsius(o.ControllerTemperature), celsius(o.Temperature)
			require.InDelta(t, v.amp, (float64(o.BusCurrent)-10000)/10, 0.01)
		case *codec.DriveMotors2025:
			o := i.Motors[0]
			v.motor, v.motorState, v.rpm, v.torque = true, o.State, float64(o.Speed)-32000, (float64(o.Torque)-200000)/10
			v.controller, v.motorHeat = celsius(o.ControllerTemperature), celsius(o.Temperature)
		case *codec.Position2016:
			v.lon, v.lat = i.LongitudeValue().Float64(), i.LatitudeValue().Float64()
		case *codec.Position2025:
			v.lon, v.lat = i.LongitudeValue().Float64(), i.LatitudeValue().Float64()
		case *codec.Extremes2016:
			v.extremes = i
		case *codec.Alarms2016:
			v.level, v.flags = i.HighestLevel, i.Flags
			v.codes = [4]codec.List32{i.StorageFaults, i.MotorFaults, i.EngineFaults, i.OtherFaults}
		case *codec.Alarms2025:
			v.level, v.flags, v.levels = i.HighestLevel, i.Flags, i.AlarmLevels
			v.codes = [4]codec.List32{i.StorageFaults, i.MotorFaults, i.EngineFaults, i.OtherFaults}
		case *codec.StorageVoltages2016:
			p := i.Subsystems[0]
			require.Equal(t, len(v.cells)+1, int(p.FirstCell), "the parts of a pack follow one another")
			v.cellCount, v.packVolts, v.packAmp = int(p.CellCount), float64(p.Voltage)/10, float64(p.Current)/10-1000
			for _, mv := range p.CellVoltages.All() {
				v.cells = append(v.cells, int(mv))
			}
		case *codec.CellVoltages2025:
			p := i.Packs[0]
			v.cellCount, v.packVolts, v.packAmp = p.CellVoltages.Len(), float64(p.Voltage)/10, float64(p.Current)/10-3000
			for _, mv := range p.CellVoltages.All() {
				v.cells = append(v.cells, int(mv))
			}
		case *codec.StorageTemperatures2016:
			v.probes = degrees(i.Subsystems[0].Temperatures)
		case *codec.PackTemperatures2025:
			v.probes = degrees(i.Packs[0].Temperatures)
		}
	}
}

func degrees(l codec.List8) (all []int) {
	for _, raw := range l.All() {
		all = append(all, int(raw)-40)
	}
	return all
}

// parked, charged and driven say in which part of its day a vehicle is.
func (v *view) parked() bool  { return v.state == stateOff && v.charge == notCharging }
func (v *view) charged() bool { return v.charge == charging || v.charge == chargeDone }
func (v *view) driven() bool  { return v.state == stateStarted }

func (v *view) has(bit uint8) bool { return v.flags&(1<<bit) != 0 }

// flaws are what does not fit together in a report.
func (v *view) flaws(cfg Config) (bad []string) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	strings := (cfg.Cells + 199) / 200
	sum := 0
	for _, mv := range v.cells {
		sum += mv
	}
	check(len(v.cells) == cfg.Cells && v.cellCount == cfg.Cells, "%d cells and %d counted, the car has %d", len(v.cells), v.cellCount, cfg.Cells)
	check(len(v.probes) == cfg.Probes, "%d probes, the car has %d", len(v.probes), cfg.Probes)
	check(math.Abs(v.volts-float64(sum)/1000/float64(strings)) <= 0.11, "%v V, its cells make %v", v.volts, float64(sum)/1000/float64(strings))
	check(v.volts == v.packVolts && math.Abs(v.amp-v.packAmp) < 0.01, "%v V and %v A, the pack says %v and %v", v.volts, v.amp, v.packVolts, v.packAmp)
	high, low := slices.Max(v.cells), slices.Min(v.cells)
	check(low > 1500 && high < 4300, "cells of %d to %d mV", low, high)
	if e := v.extremes; e != nil {
		check(int(e.MaxCellVoltage) == high && int(e.MinCellVoltage) == low, "extremes of %d and %d mV, cells of %d and %d", e.MaxCellVoltage, e.MinCellVoltage, high, low)
		for _, x := range [][2]int{{int(e.MaxVoltageCell), high}, {int(e.MinVoltageCell), low}} {
			if x[0] == 0xFF {
				check(slices.Index(v.cells, x[1]) >= 250, "the cell of %d mV has a code", x[1])
			} else {
				check(v.cells[x[0]-1] == x[1], "cell %d has not the %d mV of the extreme", x[0], x[1])
			}
		}
		hot, cold := slices.Max(v.probes), slices.Min(v.probes)
		check(int(e.MaxTemperature)-40 == hot && int(e.MinTemperature)-40 == cold, "extremes of %d and %d °C, probes of %d and %d", e.MaxTemperature-40, e.MinTemperature-40, hot, cold)
		check(v.probes[e.MaxTemperatureProbe-1] == hot && v.probes[e.MinTemperatureProbe-1] == cold, "the extreme temperatures are of other probes")
	}

	switch {
	case v.charge == charging:
		check(v.amp < 0 && v.speed == 0 && v.state == stateOff && !v.motor, "it charges with %v A at %v km/h in state %d, motors %v", v.amp, v.speed, v.state, v.motor)
	case v.charge == chargeDone:
		check(v.amp == 0 && v.speed == 0 && !v.motor, "it is charged, %v A at %v km/h, motors %v", v.amp, v.speed, v.motor)
	case v.parked():
		check(v.amp == 0 && v.speed == 0 && v.gear&0x0F == gearPark, "it is parked, %v A at %v km/h, gear %x", v.amp, v.speed, v.gear)
	default:
		check(v.driven() && v.motor, "state %d, motors %v", v.state, v.motor)
		check(v.volts*math.Abs(v.amp) < 150_000, "%v kW", v.volts*v.amp/1000)
		check(math.Abs(v.rpm-75*v.speed) <= 5, "%v r/min at %v km/h", v.rpm, v.speed)
		check(v.torque*v.amp >= 0, "%v Nm with %v A", v.torque, v.amp)
		switch v.motorState {
		case motorUsing:
			check(v.amp >= 0 && v.gear&gearPush != 0, "the motor pulls with %v A, gear %x", v.amp, v.gear)
		case motorGiving:
			check(v.amp <= 0 && v.gear&gearBrake != 0, "the motor brakes with %v A, gear %x", v.amp, v.gear)
		case motorReady:
			check(v.speed == 0 && v.amp < 10, "the motor is ready at %v km/h with %v A", v.speed, v.amp)
		default:
			check(false, "the motor is in state %d while it drives", v.motorState)
		}
	}

	check((v.level == 0) == (v.flags == 0), "level %d with the flags %x", v.level, v.flags)
	listed := 0
	for _, codes := range v.codes {
		listed += codes.Len()
	}
	if v.level == 0 {
		check(listed == 0 && len(v.levels) == 0, "no alarm, and faults are listed")
	}
	for _, f := range faults {
		if !v.has(f.bit) {
			continue
		}
		check(v.flags == 1<<f.bit && v.level == f.level, "bit %d at level %d with the flags %x", f.bit, v.level, v.flags)
		check(listed == 1 && v.codes[f.list-1].Len() == 1, "the fault of bit %d is in another list", f.bit)
		if cfg.Edition == codec.Edition2025 {
			check(slices.Equal(v.levels, []codec.AlarmLevel2025{{Bit: f.bit, Level: f.level}}), "the levels are %v", v.levels)
		}
	}
	check(v.level <= map[codec.Edition]uint8{codec.Edition2016: 3, codec.Edition2025: 4}[cfg.Edition], "level %d", v.level)
	check(!v.has(bitInsulation) || v.insulation < 100, "an insulation alarm at %d kΩ", v.insulation)
	check(!v.has(bitLowCharge) || v.soc <= 30, "SOC low at %d %%", v.soc)
	check(!v.has(bitBatteryHot) || slices.Max(v.probes) >= 50, "a hot battery of %d °C", slices.Max(v.probes))
	check(!v.has(bitTemperatureSpread) || slices.Max(v.probes)-slices.Min(v.probes) >= 10, "a difference of %d °C", slices.Max(v.probes)-slices.Min(v.probes))
	check(!v.has(bitPoorConsistency) || high-low >= 200, "poor consistency within %d mV", high-low)
	check(!v.has(bitThermalEvent) || slices.Max(v.probes) >= 80 && high-low >= 1000, "a thermal event of %d °C", slices.Max(v.probes))
	check(!v.has(bitMotorHot) || !v.motor || v.motorHeat >= 120, "a hot motor of %v °C", v.motorHeat)
	check(!v.has(bitControllerHot) || !v.motor || v.controller >= 80, "a hot controller of %v °C", v.controller)
	return bad
}

// metres is the way between two places.
func metres(a, b *view) float64 {
	dx := (b.lon - a.lon) * 111_320 * math.Cos((a.lat+b.lat)/2*math.Pi/180)
	return math.Hypot(dx, (b.lat-a.lat)*111_200)
}

// breaks are what cannot have happened between two reports that follow one another.
func breaks(a, b *view) (bad []string) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	s := b.at.Sub(a.at).Seconds()
	check(b.mileage >= a.mileage, "the mileage fell from %v to %v", a.mileage, b.mileage)
	check(b.mileage-a.mileage <= 111*s/3600+0.1, "%v km in %v s", b.mileage-a.mileage, s)
	check(metres(a, b) <= 1000*(b.mileage-a.mileage)+105, "%v m away after %v km", metres(a, b), b.mileage-a.mileage)
	if s > 10 { // it was parked in between
		return bad
	}
	check(math.Abs(b.speed-a.speed) <= 9*s+0.1, "from %v to %v km/h in %v s", a.speed, b.speed, s)
	check(metres(a, b) <= 1.02*(max(a.speed, b.speed)+5.4*s)/3.6*s+0.2, "%v m in %v s at %v and %v km/h", metres(a, b), s, a.speed, b.speed)
	check(metres(a, b) > 0 || a.speed+b.speed < 1, "it stays where it is at %v and %v km/h", a.speed, b.speed)
	check(!a.charged() || !b.charged() || b.soc >= a.soc, "SOC falls from %d to %d while it charges", a.soc, b.soc)
	check(!a.parked() || !b.parked() || b.soc == a.soc && metres(a, b) == 0, "it is parked, and SOC goes from %d to %d, %v m", a.soc, b.soc, metres(a, b))
	check(math.Abs(float64(b.soc-a.soc)) <= 1, "SOC goes from %d to %d in %v s", a.soc, b.soc, s)
	check(math.Abs(float64(b.insulation-a.insulation)) <= 90*s, "insulation goes from %d to %d kΩ in %v s", a.insulation, b.insulation, s)
	return bad
}

// views lets a vehicle live, with an absence of some minutes in each hour whose reports it reissues, and returns what it has told,
// in the order of collection.
func views(t *testing.T, cfg Config, hours int) []*view {
	c := testCar(t, cfg)
	c.start(dayStart, dayStart)
	byTime := map[time.Time]*view{}
	take := func(frames []codec.Frame) {
		for _, f := range frames {
			at, ok := f.Time()
			require.True(t, ok)
			if byTime[at] == nil {
				byTime[at] = &view{at: at}
			}
			byTime[at].see(t, f)
		}
	}
	for h := range hours {
		from := dayStart.Add(time.Duration(h) * time.Hour)
		lost, back := from.Add(50*time.Minute), from.Add(53*time.Minute)
		take(live(t, c, c.due, lost.Sub(c.due)))
		c.resume(lost, back)
		take(live(t, c, back, from.Add(time.Hour).Sub(back)))
	}
	all := make([]*view, 0, len(byTime))
	for _, v := range byTime {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *view) int { return a.at.Compare(b.at) })
	return all
}

// TestRealism holds 5,760 simulated minutes of both editions, as the frames tell them, to physics and to themselves: within a
// report, from one report to the next, and over drives, charges and stretches of ten minutes.
func TestRealism(t *testing.T) {
	for _, e := range editions {
		t.Run(fmt.Sprint(e), func(t *testing.T) {
			t.Parallel()
			minutes, seen := 0, map[string]int{}
			for i := range 6 {
				cfg := Config{VIN: fmt.Sprintf("LTEST00000000010%d", i), Edition: e, Drive: DriveDay, Period: 10 * time.Second,
					Cells: []int{96, 120, 450}[i%3], Probes: 16, Seed: uint64(i)}
				all := views(t, cfg, 8)
				minutes += 480
				judge(t, cfg, all, seen)
			}
			require.Greater(t, 2*minutes, 5000)
			for _, what := range []string{"drive", "park", "charge", "charge done", "drive ended", "charge ended", "ten minutes", "level 0", "level 1", "level 2", "level 3",
				"serious while charging"} {
				require.Positive(t, seen[what], "%s: %v", what, seen)
			}
			for _, f := range faults {
				if f.level < 4 || e == codec.Edition2025 {
					require.Positive(t, seen[fmt.Sprintf("bit %d", f.bit)], "bit %d: %v", f.bit, seen)
				}
			}
		})
	}
}

// judge looks at the life of one vehicle and counts what it has seen of it.
func judge(t *testing.T, cfg Config, all []*view, seen map[string]int) {
	t.Helper()
	fail := func(i int, what string) {
		t.Helper()
		t.Fatalf("%s, report %d at %v: %s\n%+v", cfg.VIN, i, all[i].at, what, all[i])
	}
	var phase string
	first, least, window := 0, 0, 0 // of the phase, its least SOC, and of ten minutes
	way := 0.0                      // km by the speed since window
	for i, v := range all {
		if bad := v.flaws(cfg); len(bad) > 0 {
			fail(i, bad[0])
		}
		now := "drive"
		switch {
		case v.charge == chargeDone:
			now = "charge done"
		case v.charged():
			now = "charge"
		case v.parked():
			now = "park"
		}
		seen[now]++
		seen[fmt.Sprintf("level %d", v.level)]++
		for bit := range uint8(32) {
			if v.has(bit) {
				seen[fmt.Sprintf("bit %d", bit)]++
			}
		}
		if i == 0 {
			phase, least = now, v.soc
			continue
		}
		before := all[i-1]
		if bad := breaks(before, v); len(bad) > 0 {
			fail(i, bad[0])
		}
		if before.charge == charging && v.parked() && v.level >= 3 {
			seen["serious while charging"]++
		}
		if now != phase {
			switch phase {
			case "drive":
				seen["drive ended"]++
				if before.soc > all[first].soc {
					fail(i, fmt.Sprintf("SOC rose from %d to %d on a drive", all[first].soc, before.soc))
				}
			case "charge":
				seen["charge ended"]++
				if i-first > 60 && before.soc <= all[first].soc { // ten minutes
					fail(i, fmt.Sprintf("SOC went from %d to %d while it charged", all[first].soc, before.soc))
				}
			}
			phase, first, least = now, i, v.soc
		}
		least = min(least, v.soc)
		if now == "drive" && v.soc > least+1 {
			fail(i, fmt.Sprintf("SOC was %d on this drive and is %d", least, v.soc))
		}
		if v.at.After(before.at.Add(11 * time.Second)) { // it was parked
			window, way = i, 0
			continue
		}
		way += (before.speed + v.speed) / 2 * v.at.Sub(before.at).Seconds() / 3600
		if v.at.Sub(all[window].at) >= 10*time.Minute {
			if told := v.mileage - all[window].mileage; math.Abs(told-way) > 0.15+0.1*way {
				fail(i, fmt.Sprintf("%.2f km in ten minutes, the speeds make %.2f", told, way))
			}
			seen["ten minutes"]++
			window, way = i, 0
		}
		if since := sinceSerious(all, i); v.level >= 3 && since > 20*time.Second && v.speed > 0 {
			fail(i, fmt.Sprintf("it drives at %v km/h with an alarm of level %d", v.speed, v.level))
		}
	}
}

// sinceSerious is how long the present serious alarm has been there.
func sinceSerious(all []*view, i int) time.Duration {
	first := i
	for first > 0 && all[first-1].level >= 3 {
		first--
	}
	return all[i].at.Sub(all[first].at)
}

// TestFaultsAreInOrder: the kinds of alarms that only the 2025 edition has come last.
func TestFaultsAreInOrder(t *testing.T) {
	require.True(t, slices.IsSortedFunc(faults[:], func(a, b fault) int { return cmp.Compare(a.level, b.level) }))
}
