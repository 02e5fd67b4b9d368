package vehicle

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestMotionIsPlausible drives four hours: values stay in bounds, change at a rate that a car can
// have, and fit together.
func TestMotionIsPlausible(t *testing.T) {
	for _, vin := range []string{testVIN, "LTEST000000000002", "X"} {
		m := newMotion(0, vin, 96)
		stops, fastest := 0, 0.0
		for second := range 4 * 3600 {
			before := *m
			m.step(time.Second)
			for what, ok := range map[string]bool{
				"distance grows": m.distance >= before.distance,
				"distance":       math.Abs((m.speed+before.speed)/2/3600-(m.distance-before.distance)) < 1e-9,
				"acceleration":   math.Abs(m.speed-before.speed) <= 10,
				"speed":          m.speed >= 0 && m.speed <= 110,
				"charge":         m.charge > 0.07 && m.charge < 1,
				"current":        m.current >= -120 && m.current <= 320,
				"heat":           m.heat > 0 && m.heat < 80,
				"place":          m.lat > 29.8 && m.lat < 30.6 && m.lon > 123.8 && m.lon < 124.6,
				"way":            math.Abs(m.lat-before.lat) < 0.0005 && math.Abs(m.lon-before.lon) < 0.0005,
			} {
				if !ok {
					t.Fatalf("%s, second %d: %s: %+v after %+v", vin, second, what, m, before)
				}
			}
			fastest = max(fastest, m.speed)
			if m.stands() && !before.stands() {
				stops++
			}
			if second%60 != 0 {
				continue
			}
			sum := 0.0
			for i := range m.spread {
				volt := float64(m.cell(i)) / 1000
				require.True(t, volt > 2.9 && volt < 4.3, volt)
				sum += volt
			}
			require.InDelta(t, sum, float64(m.total())/10, 0.06)
			if rpm, torque := m.motor(); rpm > 0 && m.current > 30 {
				require.Positive(t, torque)
			}
		}
		require.Greater(t, stops, 10)
		require.Greater(t, fastest, 70.0)
	}
}

func TestMotionRepeats(t *testing.T) {
	a, b, c := newMotion(0, testVIN, 4), newMotion(0, testVIN, 4), newMotion(0, "LTEST000000000002", 4)
	for range 100 {
		a.step(10 * time.Second)
		b.step(10 * time.Second)
		c.step(10 * time.Second)
	}
	require.Equal(t, a.distance, b.distance)
	require.Equal(t, a.lon, b.lon)
	require.NotEqual(t, a.distance, c.distance)
}

// TestReportsAreRegular: an hour's reports hold nothing that the codec finds odd, and the physical
// values are those of the motion.
func TestReportsAreRegular(t *testing.T) {
	for _, e := range editions {
		cfg, err := Config{Addr: "127.0.0.1:1", VIN: testVIN, Edition: e, Cells: 200, Probes: 200}.withDefaults()
		require.NoError(t, err)
		c, err := newCar(cfg)
		require.NoError(t, err)
		now := time.Date(2026, 11, 23, 8, 0, 0, 0, codec.Beijing)
		c.start(now, now)
		var m codec.Message
		for range 360 {
			now = now.Add(10 * time.Second)
			frames, err := c.next(now)
			require.NoError(t, err)
			require.Len(t, frames, 1)
			f, err := codec.ParseFrame(frames[0])
			require.NoError(t, err)
			at, ok := f.Time()
			require.True(t, ok)
			require.True(t, now.Equal(at))
			m.Decode(f)
			require.Empty(t, m.Problems())
			items := m.Body.(*codec.Realtime).Info
			switch v := items[0].(type) {
			case *codec.Vehicle2016:
				require.InDelta(t, c.motion.speed, v.SpeedValue().Float64(), 0.051)
				require.InDelta(t, c.motion.distance, v.MileageValue().Float64(), 0.051)
				require.InDelta(t, c.motion.current, v.TotalCurrentValue().Float64(), 0.051)
				require.InDelta(t, c.motion.lon, items[2].(*codec.Position2016).LongitudeValue().Float64(), 1e-6)
			case *codec.Vehicle2025:
				require.InDelta(t, c.motion.speed, v.SpeedValue().Float64(), 0.051)
				require.InDelta(t, c.motion.distance, v.MileageValue().Float64(), 0.051)
				require.InDelta(t, c.motion.current, v.TotalCurrentValue().Float64(), 0.051)
				require.InDelta(t, c.motion.lon, items[2].(*codec.Position2025).LongitudeValue().Float64(), 1e-6)
			}
		}
	}
}
