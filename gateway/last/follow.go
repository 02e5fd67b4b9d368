package last

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// This file is the keeper's way in the batched layout: it follows the stream and keeps the newest of each vehicle.

// arrivals are the entries of a vehicle that came since it was looked at, one of each of kinds.
type arrivals [len(kinds)]arrival

// arrival is an entry with the time at which it was collected.
type arrival struct {
	at    time.Time // zero when it has none
	seq   uint64    // of its message
	entry []byte    // nil when none came
}

// Of the follower.
const (
	followAgain = time.Second            // between tries after an error
	followEvery = 100 * time.Millisecond // between looks at the end of the stream
	firstLook   = time.Minute            // how far back one looks that has never followed the stream
	pageBytes   = 1 << 20                // fetched at once
	pageSize    = 64                     // messages
	pageTimeout = 10 * time.Second

	makeWay     = 32                     // records that wait for the store: others have work for the core
	makeWayTime = 500 * time.Millisecond // so long after they were last seen
	share       = 24                     // meanwhile the pauses are so many times as long as the pages take
	longestWait = 2 * time.Second        // between pages, whatever the last one took
	shareLag    = 30 * time.Second       // behind by more it takes more time again: the pauses shrink as the lag grows
)

// follow reads the batched stream until the keeper is closed.
func (k *Keeper) follow() {
	for k.ctx.Err() == nil {
		if err := k.followOnce(); err != nil && k.ctx.Err() == nil {
			k.o.Logger.Warn("last known states: the stream cannot be followed, trying again", "stream", stream.Batches, "error", err)
		}
		select {
		case <-k.ctx.Done():
		case <-time.After(followAgain):
		}
	}
}

// followOnce reads from the last position until it fails. It asks for pages and has no consumer, so that it alone
// says how much the server does for it: while records wait for the store it leaves long pauses between pages and falls behind,
// the shorter ones the further it is behind; and reads on where it was when the store has time again.
func (k *Keeper) followOnce() error {
	position, err := k.begin(k.ctx)
	if err != nil {
		return err
	}
	var busy time.Time // when records waited for the store last
	for {
		began := time.Now()
		last, end, err := k.page(k.ctx, position)
		if err != nil {
			return err
		}
		position = max(position, last)
		pause := time.Duration(0)
		if end {
			pause = min(followEvery, k.o.Every)
		}
		if k.o.Backlog != nil && k.o.Backlog() > makeWay {
			busy = time.Now()
		}
		if time.Since(busy) < makeWayTime {
			pause = max(pause, makeWayPause(time.Since(began), k.Lag()))
		}
		if k.wait(pause) != nil {
			return k.ctx.Err()
		}
	}
}

// makeWayPause is how long to leave the store alone after a page that took so long. A lag that grew would grow for as long as
// the store is busy; so from shareLag on the pause is divided by it, until the follower reads as fast as others write.
func makeWayPause(took, lag time.Duration) time.Duration {
	pause := min(share*took, longestWait)
	if lag > shareLag {
		pause = time.Duration(float64(pause) * float64(shareLag) / float64(lag))
	}
	return pause
}

// Lag is how far the states are behind the stream in the batched layout: the age of the last message that was looked at
// while more are waiting, 0 at the end of the stream. In the other layout, which asks for the newest, it is 0.
func (k *Keeper) Lag() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.behind.IsZero() {
		return 0
	}
	return time.Since(k.behind)
}

// setBehind notes when the last message that was looked at had been stored; the zero time: nothing is behind it.
func (k *Keeper) setBehind(stored time.Time) {
	k.mu.Lock()
	k.behind = stored
	k.mu.Unlock()
}

// begin returns the position to read on from, 0 when there is none.
func (k *Keeper) begin(ctx context.Context) (uint64, error) {
	st, err := k.o.JetStream.Stream(ctx, stream.Batches)
	if err != nil {
		return 0, err
	}
	position, err := k.start(ctx)
	if position > st.CachedInfo().State.LastSeq {
		position = 0 // of a stream that is not there any more
	}
	return position, err
}

// readRest reads to the end, for as long as ctx lets it: what is left is read at the next start.
func (k *Keeper) readRest(ctx context.Context) {
	position, err := k.begin(ctx)
	for end := false; !end && err == nil; {
		var last uint64
		last, end, err = k.page(ctx, position)
		position = max(position, last)
	}
}

// wait waits, or returns an error when the keeper is closed.
func (k *Keeper) wait(d time.Duration) error {
	if d == 0 {
		return k.ctx.Err()
	}
	select {
	case <-k.ctx.Done():
		return k.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// page takes some messages behind a position and returns the sequence number of the last, 0 when there was none. end says that there are no
// more.
func (k *Keeper) page(ctx context.Context, position uint64) (last uint64, end bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	first := jetstreamext.GetBatchStartTime(k.started.Add(-firstLook))
	if position > 0 {
		first = jetstreamext.GetBatchSeq(position + 1)
	}
	messages, err := jetstreamext.GetBatch(ctx, k.o.JetStream, stream.Batches, pageSize, jetstreamext.GetBatchSubject(stream.SubjectBatches+"*"),
		first, jetstreamext.GetBatchMaxBytes(pageBytes))
	if err != nil {
		return 0, false, err
	}
	var at time.Time
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			k.setBehind(time.Time{})
			return last, true, nil
		}
		if err != nil {
			return last, false, err
		}
		k.arrive(m.Subject, m.Data, m.Sequence)
		last, end, at = m.Sequence, m.Header.Get("Nats-Num-Pending") == "0", m.Time
	}
	if last == 0 { // the client's library says nothing when time runs out
		return 0, false, fmt.Errorf("stream %s: no answer", stream.Batches)
	}
	if end {
		at = time.Time{}
	}
	k.setBehind(at)
	return last, end, nil
}

// positionKey is the key of the follower's position; no VIN has it.
func (k *Keeper) positionKey() string { return "=." + session.Token(k.o.Node) }

// mark is its value.
type mark struct {
	Batch uint64 `json:"batch"` // the last message whose states are written
}

// start returns the last message that need not be read, 0 when nobody knows.
func (k *Keeper) start(ctx context.Context) (uint64, error) {
	k.mu.Lock()
	position := k.position
	k.mu.Unlock()
	if position > 0 {
		return position, nil
	}
	value, err := k.o.KV.Get(ctx, k.positionKey())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var m mark
	if err := json.Unmarshal(value, &m); err != nil {
		return 0, fmt.Errorf("key %s: %w", k.positionKey(), err)
	}
	return m.Batch, nil
}

// markPosition writes the position when all before it is written.
func (k *Keeper) markPosition() {
	if k.reached == k.marked {
		return
	}
	value, err := json.Marshal(mark{k.reached})
	if err != nil {
		return
	}
	k.marked = k.reached
	k.put(k.positionKey(), value)
}

// arrive keeps the newest entries of a batch. They are gone through from the last, since that is mostly the newest of its
// vehicle; only what takes another's place is copied.
func (k *Keeper) arrive(subject string, body []byte, seq uint64) {
	k.entries = k.entries[:0]
	for e, err := range stream.Entries(subject, body) {
		if err != nil {
			break // what cannot be read is no state
		}
		k.entries = append(k.entries, e)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.position = seq
	for i := len(k.entries) - 1; i >= 0; i-- {
		e := &k.entries[i]
		kind := kindOf(e.Command)
		if kind < 0 {
			continue
		}
		a := k.arrived[e.VIN]
		if a == nil {
			a = new(arrivals)
			k.arrived[e.VIN] = a
		}
		a[kind].take(e, seq)
	}
	clear(k.entries)
}

// kindOf returns the place of a command among kinds, -1 when it is none of them.
func kindOf(command string) int {
	for i, c := range kinds {
		if command == c.Name(codec.Edition2016) {
			return i
		}
	}
	return -1
}

// take keeps an entry unless the present one came later in the same message. Of reports the collection time counts
// first; one that is a day ahead is none.
func (a *arrival) take(e *stream.Entry, seq uint64) {
	var at time.Time
	if e.Command == codec.CommandRealtime.Name(codec.Edition2016) || e.Command == codec.CommandReissue.Name(codec.Edition2016) {
		at, _ = e.CollectedAt()
	}
	if at.After(time.Now().Add(maxAhead)) {
		at = time.Time{}
	}
	if a.entry != nil && (at.Before(a.at) || at.Equal(a.at) && seq == a.seq) {
		return
	}
	a.at, a.seq, a.entry = at, seq, append(a.entry[:0], e.Bytes...)
}

// arrivedOf takes what has arrived of a vehicle. Of the frames of other gateways they take care themselves.
func (k *Keeper) arrivedOf(vin codec.VIN) (records []stream.Record, err error) {
	k.mu.Lock()
	a := k.arrived[vin]
	delete(k.arrived, vin)
	k.mu.Unlock()
	if a == nil {
		return nil, nil
	}
	for i := range a {
		entry := a[i].entry
		if entry == nil {
			continue
		}
		r, err := stream.ParseEntry(entry) // nobody else has it any more
		if err != nil || r.Node != k.o.Node {
			continue
		}
		records = append(records, r)
	}
	return records, nil
}
