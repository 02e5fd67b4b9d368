package codec

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// Run with: go test -run '^$' -bench . ./codec

func BenchmarkCheck(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	b.SetBytes(int64(len(frame)))
	var c byte
	for b.Loop() {
		c ^= Check(frame[offCommand : len(frame)-1])
	}
	_ = c
}

// BenchmarkCheckBytewise is the yardstick for BenchmarkCheck: the definition, a byte at a time.
func BenchmarkCheckBytewise(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	b.SetBytes(int64(len(frame)))
	var c byte
	for b.Loop() {
		c ^= checkBytewise(frame[offCommand : len(frame)-1])
	}
	_ = c
}

func BenchmarkNext(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := Next(frame, 0); n != len(frame) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkNextIncomplete is a call that wants more bytes: a slow sender makes many.
func BenchmarkNextIncomplete(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	for b.Loop() {
		if _, n, _ := Next(frame[:len(frame)-1], 0); n != 0 {
			b.Fatal(n)
		}
	}
}

func BenchmarkParseFrame(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseFrame(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendAnswer(b *testing.B) {
	frame := Frame(benchFrame(b, "realtime.bin"))
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendAnswer(dst[:0], frame, FlagSuccess, frame.TimeBytes())
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	frame := Frame(benchFrame(b, "realtime.bin"))
	h := Header{frame.Edition(), frame.Command(), frame.Flag(), [VINSize]byte(frame.RawVIN()), frame.Encryption()}
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = AppendFrame(dst[:0], h, frame.Unit())
	}
}

func BenchmarkReader(b *testing.B) {
	frame := benchFrame(b, "realtime.bin")
	stream := bytes.Repeat(frame, 1000)
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		r := NewReader(bytes.NewReader(stream), 0)
		for {
			if _, err := r.ReadFrame(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
