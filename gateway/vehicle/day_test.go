package vehicle

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func testCar(t *testing.T, cfg Config) *car {
	t.Helper()
	cfg.Addr = "127.0.0.1:1"
	cfg, err := cfg.withDefaults()
	require.NoError(t, err)
	c, err := newCar(cfg)
	require.NoError(t, err)
	return c
}

var dayStart = time.Date(2026, 11, 23, 8, 0, 0, 0, codec.Beijing)

// live lets a car live for a time, asking it when it wants to be asked, and returns all its frames.
func live(t *testing.T, c *car, from time.Time, d time.Duration) []codec.Frame {
	t.Helper()
	var all []codec.Frame
	for now := from; now.Before(from.Add(d)); now = c.due {
		frames, err := c.next(now)
		require.NoError(t, err)
		for _, f := range frames {
			all = append(all, f)
		}
		require.True(t, c.due.After(now), "it wants to be asked at %v again", now)
	}
	return all
}

// sight is what a report says, in one form for both editions.
type sight struct {
	command         codec.Command
	at              time.Time
	state, charge   uint8
	level           uint8
	flags           uint32
	motors, vehicle bool
	first, cells    int // of the voltages
}

func look(t *testing.T, f codec.Frame) sight {
	t.Helper()
	checked, err := codec.ParseFrame(f)
	require.NoError(t, err)
	var m codec.Message
	m.Decode(checked)
	require.Empty(t, m.Problems(), "%x", []byte(f))
	again, err := m.Append(nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(f, again))
	s := sight{command: f.Command()}
	var ok bool
	s.at, ok = f.Time()
	require.True(t, ok)
	for _, item := range m.Body.(*codec.Realtime).Info {
		switch v := item.(type) {
		case *codec.Vehicle2016:
			s.vehicle, s.state, s.charge = true, v.VehicleState, v.ChargeState
		case *codec.Vehicle2025:
			s.vehicle, s.state, s.charge = true, v.VehicleState, v.ChargeState
		case *codec.DriveMotors2016, *codec.DriveMotors2025:
			s.motors = true
		case *codec.Alarms2016:
			s.level, s.flags = v.HighestLevel, v.Flags
		case *codec.Alarms2025:
			s.level, s.flags = v.HighestLevel, v.Flags
		case *codec.StorageVoltages2016:
			s.first, s.cells = int(v.Subsystems[0].FirstCell), v.Subsystems[0].CellVoltages.Len()
		case *codec.CellVoltages2025:
			s.first, s.cells = 1, v.Packs[0].CellVoltages.Len()
		}
	}
	return s
}

// TestDay: within some hours vehicles drive, park and charge, every level of alarm comes, and no frame
// holds anything that the codec finds odd.
func TestDay(t *testing.T) {
	for _, e := range editions {
		states, levels := map[[2]uint8]int{}, map[uint8]int{}
		for _, vin := range []string{testVIN, "LTEST000000000002", "LTEST000000000003", "LTEST000000000004"} {
			c := testCar(t, Config{VIN: vin, Edition: e, Drive: DriveDay, Pace: 6, Period: 10 * time.Second, Cells: 120})
			c.start(dayStart, dayStart)
			frames := live(t, c, dayStart, 3*time.Hour)
			require.Greater(t, len(frames), 300)
			for _, f := range frames {
				s := look(t, f)
				states[[2]uint8{s.state, s.charge}]++
				levels[s.level]++
				require.Equal(t, s.charge != charging && s.charge != chargeDone, s.motors, "motors are not sent while it charges")
				require.Equal(t, s.level > 0, s.flags != 0)
			}
		}
		for _, want := range [][2]uint8{{stateStarted, notCharging}, {stateOff, charging}, {stateOff, chargeDone}, {stateOff, notCharging}} {
			require.Positive(t, states[want], "%v: %v", want, states)
		}
		require.Positive(t, levels[0])
		require.Positive(t, levels[1])
		require.Positive(t, levels[2])
		require.Positive(t, levels[3])
		require.Equal(t, e == codec.Edition2025, levels[4] > 0, "%v", levels)
	}
}

// TestParkedIsQuiet: after three minutes a parked car of the 2016 edition is silent; one of 2025 speaks
// once, in the last half minute of its first hour.
func TestParkedIsQuiet(t *testing.T) {
	for e, want := range map[codec.Edition][]int{codec.Edition2016: {0, 18}, codec.Edition2025: {359, 359}} {
		c := testCar(t, Config{VIN: testVIN, Edition: e, Drive: DriveDay})
		c.motion.enter(phasePark)
		c.motion.day.left = 1e6
		c.start(dayStart, dayStart)
		var at []int
		for _, f := range live(t, c, dayStart, 2*time.Hour) {
			at = append(at, int(look(t, f).at.Sub(dayStart)/(10*time.Second)))
		}
		require.Equal(t, want, []int{at[0], at[len(at)-1]}, "in tens of seconds")
		require.Len(t, at, want[1]-want[0]+1)
	}
}

// TestSeriousAlarm: a report a second from 30 s before (reissued) to 30 s after, no second twice.
func TestSeriousAlarm(t *testing.T) {
	for _, e := range editions {
		c := testCar(t, Config{VIN: testVIN, Edition: e, Drive: DriveDay})
		c.motion.enter(phaseDrive)
		c.motion.alarm.coming, c.motion.alarm.in = fault{3, 11, 4}, 100
		c.start(dayStart, dayStart)
		var onset, end time.Time
		seen := map[time.Time]int{}
		var reissued []time.Time
		for _, f := range live(t, c, dayStart, 5*time.Minute) {
			s := look(t, f)
			seen[s.at]++
			if s.command == codec.CommandReissue {
				reissued = append(reissued, s.at)
			} else if s.level == 3 {
				if end = s.at; onset.IsZero() {
					onset = s.at
				}
			}
		}
		require.Equal(t, dayStart.Add(100*time.Second), onset)
		require.True(t, slices.IsSortedFunc(reissued, time.Time.Compare))
		for at := onset.Add(-30 * time.Second); at.Before(end.Add(30 * time.Second)); at = at.Add(time.Second) {
			require.Equal(t, 1, seen[at], "%v", at.Sub(onset))
		}
		require.Len(t, reissued, 27, "30 s without the three reports of that time")
	}
}

// TestSplitPack: more than 200 cells are split in the 2016 edition over frames of one time, and not in
// that of 2025.
func TestSplitPack(t *testing.T) {
	whole := map[bool]int{}
	for _, vin := range []string{testVIN, "LTEST000000000002"} {
		c := testCar(t, Config{VIN: vin, Edition: codec.Edition2016, Cells: 450})
		c.start(dayStart, dayStart)
		frames, err := c.next(dayStart)
		require.NoError(t, err)
		require.Len(t, frames, 3)
		for i, f := range frames {
			s := look(t, f)
			require.Equal(t, dayStart, s.at)
			require.Equal(t, []int{1 + 200*i, min(200, 450-200*i)}, []int{s.first, s.cells})
			require.Equal(t, i == 0 || c.repeat, s.vehicle)
		}
		whole[c.repeat]++
		require.Equal(t, 1, c.sent, "it is one report")
	}
	require.Len(t, whole, 2, "one maker repeats the other items, the other does not")

	c := testCar(t, Config{VIN: testVIN, Edition: codec.Edition2025, Cells: 450})
	c.start(dayStart, dayStart)
	frames, err := c.next(dayStart)
	require.NoError(t, err)
	require.Len(t, frames, 1)
	require.Equal(t, 450, look(t, frames[0]).cells)
}

// TestSeed: one seed is one life, another is another.
func TestSeed(t *testing.T) {
	lives := map[uint64][][]byte{}
	for _, seed := range []uint64{0, 0, 7, 7, 8} {
		c := testCar(t, Config{VIN: testVIN, Drive: DriveDay, Pace: 10, Seed: seed})
		c.start(dayStart, dayStart)
		var all [][]byte
		for _, f := range live(t, c, dayStart, time.Hour) {
			all = append(all, f)
		}
		if before, ok := lives[seed]; ok {
			require.Equal(t, before, all)
		}
		lives[seed] = all
	}
	require.NotEqual(t, lives[0], lives[7])
	require.NotEqual(t, lives[7], lives[8])
}

// TestAbsence: what was not sent while there was no connection is reissued in order, oldest first, and
// is what the car would have sent.
func TestAbsence(t *testing.T) {
	for _, e := range editions {
		cfg := Config{VIN: testVIN, Edition: e, Drive: DriveDay, Pace: 10}
		c, there := testCar(t, cfg), testCar(t, cfg)
		c.start(dayStart, dayStart)
		there.start(dayStart, dayStart)
		before := live(t, c, dayStart, 5*time.Minute)
		lost, back := dayStart.Add(5*time.Minute), dayStart.Add(15*time.Minute)
		c.keep(before[len(before)-1])
		c.resume(lost, back)
		after := live(t, c, back, 10*time.Minute)
		require.False(t, c.behind())

		sent := map[time.Time][]byte{}
		for _, f := range live(t, there, dayStart, 15*time.Minute) {
			if f.Command() == codec.CommandRealtime {
				at, _ := f.Time()
				sent[at] = f.Unit()
			}
		}
		var times []time.Time
		for _, f := range after {
			if s := look(t, f); s.command == codec.CommandReissue && s.at.Before(back) {
				times = append(times, s.at)
				if unit, ok := sent[s.at]; ok {
					require.Equal(t, unit, f.Unit())
					delete(sent, s.at)
				}
			}
		}
		require.True(t, slices.IsSortedFunc(times, time.Time.Compare))
		require.Greater(t, len(times), 30)
	}
}

func TestFrames(t *testing.T) {
	for _, e := range editions {
		all, err := Frames(Config{VIN: testVIN, Edition: e, Drive: DriveDay, Pace: 20}, dayStart, time.Hour)
		require.NoError(t, err)
		var m codec.Message
		count := map[codec.Command]int{}
		for _, f := range all {
			m.Decode(f)
			require.Empty(t, m.Problems())
			count[f.Command()]++
		}
		require.Greater(t, count[codec.CommandRealtime], 100)
		require.Positive(t, count[codec.CommandReissue])
		for _, one := range []codec.Command{codec.CommandVehicleLogin, codec.CommandHeartbeat, codec.CommandTimeSync, codec.CommandVehicleLogout} {
			require.Equal(t, 1, count[one], one)
		}
	}
	_, err := Frames(Config{}, dayStart, time.Hour)
	require.ErrorIs(t, err, codec.ErrVIN)
}
