package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// driver is a simulated vehicle, or a platform with all of them.
type driver interface {
	Run(ctx context.Context) error
	Stats() vehicle.Stats
	Fleet() vehicle.Fleet
}

// simulation is one run of simulate.
type simulation struct {
	p         *program
	drivers   []driver
	vehicles  int
	ramp      time.Duration
	reconnect bool
	seed      uint64
	text      bool // the summary is for people

	mu     sync.Mutex
	failed int
	first  error // of the failed
	gone   int   // drivers whose connection broke and was not there again at the end
}

// run drives all until ctx ends or they have sent their reports.
func (s *simulation) run(ctx context.Context) error {
	began := time.Now()
	random := rand.New(rand.NewPCG(s.seed, 32960))
	var wg sync.WaitGroup
	done := make(chan struct{})
	slot := s.ramp / time.Duration(len(s.drivers))
	for i, d := range s.drivers {
		// Everybody has a slot of the ramp and comes somewhere in it: no two waves meet.
		after := slot*time.Duration(i) + time.Duration(random.Float64()*float64(slot))
		jitter := rand.New(rand.NewPCG(s.seed, uint64(i)))
		wg.Go(func() { s.drive(ctx, d, after, jitter) })
	}
	go func() {
		wg.Wait()
		close(done)
	}()
	s.watch(done, began)
	return s.report(time.Since(began))
}

// drive runs one driver, after its part of the ramp and again after each break.
func (s *simulation) drive(ctx context.Context, d driver, after time.Duration, jitter *rand.Rand) {
	if !sleep(ctx, after) {
		return
	}
	const least, most = time.Second, 30 * time.Second
	broken := false
	defer func() {
		if broken {
			s.mu.Lock()
			s.gone++
			s.mu.Unlock()
		}
	}()
	for pause := least; ; pause = min(2*pause, most) {
		began := time.Now()
		err := d.Run(ctx)
		if err == nil {
			broken = false
			return
		}
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) { // it was connecting
			return
		}
		broken = true
		s.mu.Lock()
		s.failed++
		if s.first == nil {
			s.first = err
		}
		s.mu.Unlock()
		if time.Since(began) > most {
			pause = least
		}
		var refused *vehicle.RefusedError
		if !s.reconnect || errors.As(err, &refused) || !sleep(ctx, pause/2+time.Duration(jitter.Float64()*float64(pause))) {
			return
		}
	}
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *simulation) total() vehicle.Stats {
	var t vehicle.Stats
	for _, d := range s.drivers {
		t.Add(d.Stats())
	}
	return t
}

func (s *simulation) fleet() vehicle.Fleet {
	var f vehicle.Fleet
	for _, d := range s.drivers {
		f.Add(d.Fleet())
	}
	return f
}
