package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNothingAllocates: what runs for every frame of every connection leaves no garbage, on damage
// no more than on good frames.
func TestNothingAllocates(t *testing.T) {
	realtime, login := benchFrame(t, "realtime.bin"), benchFrame(t, "login.bin")
	bad := concat(spoil(realtime, 50), []byte("garbage"), login)
	dst := make([]byte, 0, 1024)
	f, err := ParseFrame(realtime)
	require.NoError(t, err)
	h := Header{f.Edition(), f.Command(), f.Flag(), [VINSize]byte(f.RawVIN()), f.Encryption()}
	now, _ := f.Time()
	var sink struct {
		check byte
		n     int
		name  string
		vin   VIN
		ok    bool
	}
	for name, run := range map[string]func(){
		"Check":        func() { sink.check = Check(realtime) },
		"Next":         func() { _, sink.n, _ = Next(realtime, 0) },
		"Next, damage": func() { _, sink.n, _ = Next(bad, 0) },
		"Next, start":  func() { _, sink.n, _ = Next(bad[2:], 0) },
		"ParseFrame":   func() { f, _ = ParseFrame(realtime) },
		"AppendFrame":  func() { dst, _ = AppendFrame(dst[:0], h, f.Unit()) },
		"AppendAnswer": func() { dst = AppendAnswer(dst[:0], f, FlagSuccess, f.TimeBytes()) },
		"AppendTime":   func() { dst = AppendTime(dst[:0], now) },
		"Time":         func() { now, sink.ok = f.Time() },
		"VIN":          func() { sink.vin = f.VIN() },
		"Name":         func() { sink.name = f.Command().Name(f.Edition()) },
		"Name, hex":    func() { sink.name = Command(0xC1).Name(Edition2016) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, run), name)
	}
}
