package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The benchmarks of messages. The yardstick for all of them is BenchmarkCheckBytewise, one pass over
// the 334-byte realtime frame.

var benchFrames = []string{"realtime", "realtime2025", "realtime2025sig", "login", "logout", "heartbeat"}

func BenchmarkDecode(b *testing.B) {
	for _, name := range benchFrames {
		b.Run(name, func(b *testing.B) {
			frame := benchFrame(b, name+".bin")
			var m Message
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				f, err := ParseFrame(frame)
				if err != nil {
					b.Fatal(err)
				}
				m.Decode(f)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, name := range benchFrames {
		b.Run(name, func(b *testing.B) {
			frame := benchFrame(b, name+".bin")
			var m Message
			m.Decode(frame)
			dst := make([]byte, 0, 2*len(frame))
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Append(dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	for _, name := range benchFrames {
		b.Run(name, func(b *testing.B) {
			frame := benchFrame(b, name+".bin")
			var m Message
			m.Decode(frame)
			dst := m.AppendJSON(nil, JSONOptions{})
			b.ReportAllocs()
			for b.Loop() {
				dst = m.AppendJSON(dst[:0], JSONOptions{})
			}
			b.ReportMetric(float64(len(dst)), "B")
		})
	}
}

func BenchmarkEncodeJSON(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	var m Message
	m.Decode(frame)
	text := m.AppendJSON(nil, JSONOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeJSON(nil, text); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMessageAllocs: what runs for every frame of a gateway allocates nothing.
func TestMessageAllocs(t *testing.T) {
	for _, name := range benchFrames {
		frame := Frame(benchFrame(t, name+".bin"))
		var m Message
		m.Decode(frame)
		wire := make([]byte, 0, 2*len(frame))
		text := m.AppendJSON(nil, JSONOptions{Mask: true})
		require.Zero(t, testing.AllocsPerRun(100, func() { m.Decode(frame) }), "%s: Decode", name)
		require.Zero(t, testing.AllocsPerRun(100, func() { wire, _ = m.Append(wire[:0]) }), "%s: Append", name)
		require.Zero(t, testing.AllocsPerRun(100, func() { text = m.AppendJSON(text[:0], JSONOptions{Mask: true}) }), "%s: AppendJSON", name)
		require.Zero(t, testing.AllocsPerRun(100, func() { m.Problems() }), "%s: Problems", name)
		require.Equal(t, []byte(frame), wire)
	}
}
