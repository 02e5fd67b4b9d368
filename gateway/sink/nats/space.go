package nats

import (
	"context"
	"log/slog"
	"time"
)

// Space is how much room a stream of records has and uses. Old records go first: those above the age, and the
// oldest when the bytes are used up.
type Space struct {
	Stream   string
	Bytes    int64
	MaxBytes int64
	MaxAge   time.Duration
	Oldest   time.Time // when the oldest record was stored; zero: there is none
	// Kept is how long records are kept at the rate since the oldest one: MaxAge, or less when the bytes do not
	// last so long.
	Kept time.Duration
	// Left is the time until the bytes are used up at that rate, 0 when they are.
	Left time.Duration
}

// Disk is the file system of the embedded store.
type Disk struct{ Free, Size int64 }

const (
	spacePeriod = 15 * time.Second
	spaceWarn   = time.Hour // between two warnings of one kind
	spaceFull   = 0.8       // of the bytes: from here on it is said that records will go early
	diskLow     = 0.1       // of the disk
)

// Space returns what was found last about the streams of records, and about the disk: nothing of it before the
// first look, no disk with an external server.
func (s *Store) Space() ([]Space, *Disk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.space, s.disk
}

// watchSpace looks again and again, and warns.
func (s *Store) watchSpace() {
	tick := time.NewTicker(spacePeriod)
	defer tick.Stop()
	w := spaceWarnings{log: s.opts.Logger}
	for {
		s.lookAtSpace(time.Now(), &w)
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
	}
}

// lookAtSpace looks once. What cannot be told at the moment keeps its last value.
func (s *Store) lookAtSpace(now time.Time, w *spaceWarnings) {
	ctx, cancel := context.WithTimeout(context.Background(), spacePeriod/3)
	defer cancel()
	go func() { // a stop must not wait for a dead server
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	var all []Space
	for _, name := range []string{StreamRecords, StreamBatches} {
		st, err := s.js.Stream(ctx, name)
		if err != nil {
			continue // the other layout, or a server that is away
		}
		info := st.CachedInfo()
		all = append(all, spaceOf(name, int64(info.State.Bytes), info.Config.MaxBytes, info.State.FirstTime, info.Config.MaxAge, info.State.Msgs > 0, now))
	}
	disk := s.diskSpace()
	s.mu.Lock()
	if len(all) > 0 {
		s.space = all
	}
	s.disk = disk
	s.mu.Unlock()
	w.warn(s.opts.Dir, all, disk, now)
}

// spaceOf works out how long the bytes last.
func spaceOf(name string, bytes, most int64, oldest time.Time, age time.Duration, some bool, now time.Time) Space {
	sp := Space{Stream: name, Bytes: bytes, MaxBytes: most, MaxAge: age, Kept: age, Left: age}
	if !some || bytes <= 0 || most <= 0 {
		return sp
	}
	sp.Oldest = oldest
	since := now.Sub(oldest)
	if since <= 0 {
		return sp
	}
	perByte := float64(since) / float64(bytes) // nanoseconds
	if lasts := perByte * float64(most); age <= 0 || lasts < float64(age) {
		sp.Kept = time.Duration(lasts)
	}
	sp.Left = time.Duration(min(perByte*float64(max(most-bytes, 0)), float64(1<<62)))
	return sp
}

// diskSpace returns nil with an external server.
func (s *Store) diskSpace() *Disk {
	if s.server == nil {
		return nil
	}
	d, err := diskAt(s.opts.Dir)
	if err != nil {
		return nil
	}
	return &d
}

// spaceWarnings remembers when what was said.
type spaceWarnings struct {
	log         *slog.Logger
	early, disk time.Time
}

// warn says that records will go before their age, and that the disk is nearly full: each once an hour.
func (w *spaceWarnings) warn(dir string, all []Space, disk *Disk, now time.Time) {
	for _, sp := range all {
		if sp.MaxBytes > 0 && float64(sp.Bytes) >= spaceFull*float64(sp.MaxBytes) && sp.Kept < sp.MaxAge && now.Sub(w.early) >= spaceWarn {
			w.early = now
			w.log.Warn("store: the oldest records go before their time, for want of room: raise nats.maxBytes, or export them",
				"stream", sp.Stream, "bytes", sp.Bytes, "maxBytes", sp.MaxBytes, "kept", sp.Kept.Round(time.Minute), "maxAge", sp.MaxAge,
				"roomFor", sp.Left.Round(time.Minute))
		}
	}
	if disk != nil && float64(disk.Free) < diskLow*float64(disk.Size) && now.Sub(w.disk) >= spaceWarn {
		w.disk = now
		w.log.Warn("store: the disk is nearly full; when it is, answers stop until there is room", "dir", dir,
			"freeBytes", disk.Free, "diskBytes", disk.Size)
	}
}
