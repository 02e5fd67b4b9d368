package session

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
)

const million = 1_000_000

// benchVIN returns the i-th of many VINs that differ in their last bytes, as a fleet's do.
func benchVIN(i int) codec.VIN {
	v := codec.MakeVIN([]byte("LTEST000000000000"))
	for at := 16; i > 0; at-- {
		v[at] = '0' + byte(i%10)
		i /= 10
	}
	return v
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// millionTable returns a full table and the bytes that it uses for each VIN, the sessions not
// counted.
func millionTable(b *testing.B) (table *Table, bytes float64) {
	b.Helper()
	table = NewTable(nil, "n1")
	sessions := make([]Session, million)
	link := &testLink{}
	before := heap()
	for i := range sessions {
		s := &sessions[i]
		s.ID, s.VIN, s.ProductKey, s.Link = uint64(i+1), benchVIN(i), "gbt32960", link
		table.Login(s)
	}
	return table, float64(heap()-before) / million
}

// BenchmarkTable looks up, and takes over, among a million VINs in no order.
func BenchmarkTable(b *testing.B) {
	b.Run("Get", func(b *testing.B) {
		table, bytes := millionTable(b)
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + 7919) % million
			if table.Get(benchVIN(i)) == nil {
				b.Fatal("not found")
			}
		}
		b.ReportMetric(bytes, "B/VIN")
	})
	b.Run("GetParallel", func(b *testing.B) {
		table, _ := millionTable(b)
		b.ReportAllocs()
		var start atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			i := int(start.Add(12_345))
			for pb.Next() {
				i = (i + 7919) % million
				if table.Get(benchVIN(i)) == nil {
					b.Error("not found")
				}
			}
		})
	})
	b.Run("Takeover", func(b *testing.B) {
		table, _ := millionTable(b)
		links := [2]*testLink{{}, {}}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + 7919) % million
			v := benchVIN(i)
			next := links[0]
			if table.Get(v).Link == next {
				next = links[1]
			}
			if table.Login(&Session{ID: uint64(i + 1), VIN: v, Link: next}) == nil {
				b.Fatal("nothing displaced")
			}
		}
	})
}

// BenchmarkRegistry looks up among a million devices.
func BenchmarkRegistry(b *testing.B) {
	before := heap()
	r, err := OpenRegistry(b.Context(), memkv.New(), RegistryOptions{Node: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	product := r.names.intern("gbt32960")
	for i := range million {
		v := benchVIN(i)
		r.shard(v).devices[v] = record{product: product, registered: 1, changed: 1}
	}
	bytes := float64(heap()-before) / million
	gate := Gate{Registry: r}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % million
		if _, refusal := gate.Vehicle(benchVIN(i), ""); refusal != nil {
			b.Fatal(refusal)
		}
	}
	b.ReportMetric(bytes, "B/device")
	if err := r.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// farLink is a link with memory of its own, as a connection has.
type farLink struct {
	testLink
	listener string
	_        [200]byte
}

func (l *farLink) Listener() string { return l.listener }

// BenchmarkFleetSummary counts a million vehicles: all registered, seven in ten of them online here on two
// listeners, the others offline.
func BenchmarkFleetSummary(b *testing.B) {
	r, err := OpenRegistry(b.Context(), memkv.New(), RegistryOptions{Node: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	table := NewTable(nil, "n1")
	now := time.Now()
	product := r.names.intern("gbt32960")
	listeners := [2]string{"0.0.0.0:8999", "0.0.0.0:8998"}
	sessions := make([]Session, million)
	for i := range sessions {
		v := benchVIN(i)
		rec := record{product: product, registered: 1, changed: 1, online: 1, offline: now.Add(-time.Duration(i) * time.Second).UnixMilli()}
		if s := &sessions[i]; i%10 < 7 {
			s.ID, s.VIN, s.ProductKey, s.Edition, s.Link = uint64(i+1), v, "gbt32960", codec.Edition2016, &farLink{listener: listeners[i%2]}
			s.Seen(now.Add(-time.Duration(i%1000) * time.Second))
			s.Clocked(codec.MakeTime(now.Add(-time.Duration(i%100)*time.Second)), now)
			table.Login(s)
			rec.online, rec.offline, rec.node = now.UnixMilli(), 0, r.node
		}
		r.shard(v).devices[v] = rec
	}
	f := Fleet{Table: table, Registry: r}
	b.ReportAllocs()
	for b.Loop() {
		if sum := f.Summary(now); sum.Online != million*7/10 || sum.Offline != million*3/10 || sum.ClockKnown != sum.Online {
			b.Fatal(sum)
		}
	}
	if err := r.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPresenceJSON(b *testing.B) {
	e := PresenceEvent{VIN: benchVIN(1), ProductKey: "gbt32960", Session: 42, Node: "n1", Reason: ReasonLogin}
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}
