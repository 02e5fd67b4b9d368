package sinktest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

// benchVehicles is how many vehicles Bench has, and benchWindow how many records wait at most.
const (
	benchVehicles = 1000
	benchWindow   = 4096
)

// window is a receiver that lets so many records wait.
type window struct {
	room chan struct{}
	all  sync.WaitGroup
	n    atomic.Int64
}

func (w *window) Stored(uint64) {
	<-w.room
	w.all.Done()
	w.n.Add(1)
}

// Bench stores a frame of 334 bytes as JSON (raw: as bytes) again and again, of a thousand vehicles in turn, at
// most 4,096 of them not yet stored. It closes the sink.
func Bench(b *testing.B, s sink.Sink, raw bool) {
	b.Helper()
	unit := make([]byte, 0, 310)
	unit = append(unit, 26, 7, 1, 8, 0, 0)
	unit = append(unit, 1, 1, 3, 1, 0x02, 0x58, 0, 0, 0x30, 0x39, 0x0e, 0xd8, 0x27, 0x10, 80, 1, 0x0e, 0x07, 0xd0, 0, 0) // vehicle
	unit = append(unit, 5, 0, 0x06, 0xf0, 0x1c, 0x40, 0x01, 0xdb, 0x9d, 0x20)                                            // position
	unit = append(unit, 8, 1, 1, 0x0e, 0xd8, 0x27, 0x10, 0, 120, 0, 1, 120)
	for i := range 120 {
		unit = append(unit, 0x0f, byte(i))
	}
	unit = append(unit, 0x80, 0, byte(309-len(unit)-3))
	unit = append(unit, make([]byte, 309-len(unit))...)
	h := codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand, Encryption: codec.EncryptionNone}
	records := make([]*sink.Record, benchVehicles)
	for i := range records {
		copy(h.VIN[:], fmt.Sprintf("LTEST%012d", i))
		f, err := codec.AppendFrame(nil, h, unit)
		require.NoError(b, err)
		require.Len(b, f, 334)
		r := Record(b, string(h.VIN[:]), i)
		r.Body = f
		if !raw {
			var m codec.Message
			m.Decode(f)
			require.Empty(b, m.Rest)
			r.Raw = false
			r.Body = m.AppendJSON(nil, codec.JSONOptions{Mask: true})
		}
		records[i] = r
	}
	w := &window{room: make(chan struct{}, benchWindow)}
	b.SetBytes(int64(len(records[0].Body)))
	n := 0
	for b.Loop() {
		w.room <- struct{}{}
		w.all.Add(1)
		if s.Publish(records[n%benchVehicles], w, uint64(n)) {
			w.Stored(uint64(n))
		}
		n++
	}
	w.all.Wait()
	Close(b, s)
	b.ReportMetric(float64(w.n.Load())/b.Elapsed().Seconds(), "records/s")
}
