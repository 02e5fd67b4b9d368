package nats

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

// meter lets at most window records be unconfirmed, like the gateway's windows.
type meter struct {
	slots chan struct{}
	left  atomic.Int64
	done  chan struct{}
}

func (m *meter) Stored(uint64) {
	<-m.slots
	if m.left.Add(-1) == 0 {
		close(m.done)
	}
}

// BenchmarkPublish stores records and waits for all confirmations: run it with -cpu 1,2.
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		raw  bool
	}{{"raw334", 334, true}, {"json334", 334, false}, {"json1900", 1900, false}} {
		b.Run(c.name, func(b *testing.B) {
			s := openStore(b, Options{MaxBytes: 4 << 30, Node: "n1"})
			r := record(b, "")
			r.Body, r.Raw = bytes.Repeat([]byte("x"), c.size), c.raw
			benchmark(b, s.Sink(), r)
		})
	}
}

// BenchmarkBatch is BenchmarkPublish in the batched layout.
func BenchmarkBatch(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		raw  bool
	}{{"raw334", 334, true}, {"json1900", 1900, false}} {
		b.Run(c.name, func(b *testing.B) {
			s := openStore(b, Options{MaxBytes: 4 << 30, Node: "n1", Batch: Batch{MaxFrames: 64, MaxDelay: 2 * time.Millisecond}})
			r := record(b, "")
			r.Body, r.Raw = bytes.Repeat([]byte("x"), c.size), c.raw
			benchmark(b, s.Sink(), r)
		})
	}
}

func benchmark(b *testing.B, s *Sink, r *sink.Record) {
	m := &meter{slots: make(chan struct{}, 16384), done: make(chan struct{})}
	m.left.Store(int64(b.N))
	fleet := make([]codec.VIN, 10_000)
	for i := range fleet {
		fleet[i] = vin(b, fmt.Sprintf("LTEST%012d", i))
	}
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for i := range b.N {
		m.slots <- struct{}{}
		r.VIN = fleet[i%len(fleet)]
		s.Publish(r, m, uint64(i))
	}
	<-m.done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used: on a busy machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHandOver measures what Publish costs the event loop that calls it, the store left out.
func BenchmarkHandOver(b *testing.B) {
	s := openStore(b, Options{})
	s.sink.pub.connectionLost(nil) // nothing is taken from the queue
	r := record(b, "")
	r.Body = bytes.Repeat([]byte("x"), 1900)
	to := new(receipts)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s.sink.Publish(r, to, uint64(i))
		if i%4096 == 4095 {
			b.StopTimer()
			s.sink.pub.mu.Lock()
			for m := s.sink.pub.queue.pop(); m != nil; m = s.sink.pub.queue.pop() {
				m.reset()
				s.sink.pub.pool.Put(m)
			}
			s.sink.pub.mu.Unlock()
			b.StartTimer()
		}
	}
}
