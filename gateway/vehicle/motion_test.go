package vehicle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestMotionIsPlausible drives ten hours: values stay in bounds, change at a rate that a car can
// have, and fit together.
func TestMotionIsPlausible(t *testing.T) {
	for _, vin := range []string{testVIN, "LTEST000000000002", "X"} {
		m := newMotion(vin, 96)
		stops, fastest := 0, 0.0
		for range 36000 {
			before := *m
			m.step(time.Second)
			require.GreaterOrEqual(t, m.distance, before.distance)
			require.InDelta(t, (m.speed+before.speed)/2/3600, m.distance-before.distance, 1e-9)
			require.InDelta(t, before.speed, m.speed, 10)
			require.True(t, m.speed >= 0 && m.speed <= 110, m.speed)
			require.True(t, m.charge > 0.07 && m.charge < 1, m.charge)
			require.True(t, m.current >= -120 && m.current <= 320, m.current)
			require.True(t, m.heat > 0 && m.heat < 80, m.heat)
			require.True(t, m.lat > 29.8 && m.lat < 30.6 && m.lon > 123.8 && m.lon < 124.6, "%v %v", m.lat, m.lon)
			require.InDelta(t, before.lat, m.lat, 0.0005)
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
			fastest = max(fastest, m.speed)
			if m.parked() && !before.parked() {
				stops++
			}
		}
		require.Greater(t, stops, 20)
		require.Greater(t, fastest, 70.0)
	}
}

func TestMotionRepeats(t *testing.T) {
	a, b, c := newMotion(testVIN, 4), newMotion(testVIN, 4), newMotion("LTEST000000000002", 4)
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
		var m codec.Message
		for range 360 {
			now = now.Add(10 * time.Second)
			b, err := c.report(now)
			require.NoError(t, err)
			f, err := codec.ParseFrame(b)
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
