package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/codec"
)

// Bounds of what is known of the batched layout.
const (
	maxPlaces      = 1 << 16   // of one partition: some 3 MiB
	maxCandidates  = 16        // messages read for one question
	maxBatchBytes  = 32 << 20  // looked through for one question
	batchesBurst   = 128 << 20 // looked through for all questions that come together
	batchesRate    = 16 << 20  // and a second when they do not end
	batchPage      = 1 << 20   // fetched at once
	batchesEarlier = time.Minute
	leastLead      = 10 * time.Second // a clock that is ahead by less is covered by batchesEarlier
	maxLead        = 24 * time.Hour   // nor is one followed that is ahead by more
	batchesJump    = 5 * time.Minute  // of a partition that are not read when the question is about later ones
	askForBatches  = 10 * time.Second // whether the batched layout is in use after all
)

// batches tells where in the batched layout a report may lie.
type batches struct {
	js jetstream.JetStream

	mu         sync.Mutex
	unused     time.Time // when the layout was last seen not to be in use
	stream     jetstream.Stream
	partitions map[string]*partition // by subject
	allowance  *rate.Limiter         // bytes
}

func newBatches(js jetstream.JetStream) *batches {
	return &batches{js: js, partitions: make(map[string]*partition), allowance: rate.NewLimiter(batchesRate, batchesBurst)}
}

// partition is what is known of one partition: where the reports of all its vehicles lie, from one message to another.
// Every message is looked through once, whoever asks, and nothing is decoded: the vehicle and the collection time say
// where a repeated report may lie, and only those messages are read.
type partition struct {
	turn     chan struct{}               // holds a value while nobody works here
	from     time.Time                   // all that was stored from here up to next is known; zero: nothing is
	next     uint64                      // the first message that was not looked at; 0: there was none
	reached  time.Time                   // when the one before was stored
	complete time.Time                   // the last time at which nothing was left to look at
	newest   map[uint64]int              // by key: the last place, counted from 1
	leads    map[codec.VIN]time.Duration // of clocks that were ahead at a vehicle's last realtime report
	places   []place                     // a ring when it is full
	oldest   int                         // where it begins then
}

// place is a message that holds a report.
type place struct {
	key      uint64
	sequence uint64
	stored   uint32 // Unix seconds
	before   uint32 // the place with the same key before this one, counted from 1; it may have been forgotten
}

// find reports whether the vehicle's report with this collection time and hash lies in a batch that was stored from
// the given time on, or earlier by as much as the vehicle's clock was ahead of the store's. The error is ErrUnchecked when not all of them could be looked through.
func (b *batches) find(ctx context.Context, vin codec.VIN, from, at time.Time, hash uint64) (bool, error) {
	asked := time.Now()
	b.mu.Lock()
	unused := time.Since(b.unused) < askForBatches
	subject := BatchSubject(vin)
	p := b.partitions[subject]
	if p == nil && !unused {
		p = &partition{turn: make(chan struct{}, 1), leads: make(map[codec.VIN]time.Duration)}
		p.turn <- struct{}{}
		b.partitions[subject] = p
	}
	b.mu.Unlock()
	if unused {
		return false, nil
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return false, fmt.Errorf("stream %s: %w", Batches, ctx.Err())
	}
	err := b.load(ctx, p, subject, from, asked)
	if lead := min(p.leads[vin], maxLead); err == nil && lead > 0 {
		// What it has sent since then says that its reports lie earlier than their times do.
		earlier := from.Add(-lead)
		if oldest := asked.Add(-duplicateAge); earlier.Before(oldest) {
			earlier = oldest
		}
		if earlier.Before(from) {
			err = b.load(ctx, p, subject, earlier, asked)
		}
	}
	candidates, more := p.candidates(placeKey(vin, at), placeKey(vin, time.Time{})) // or it had no time to read
	p.turn <- struct{}{}
	if errors.Is(err, nats.ErrNoResponders) { // the layout is not in use
		b.mu.Lock()
		b.unused = time.Now()
		b.mu.Unlock()
		return false, nil
	}
	if err != nil && !errors.Is(err, ErrUnchecked) {
		return false, err
	}
	if more {
		err = ErrUnchecked
	}
	for _, sequence := range candidates {
		if found, err := b.holds(ctx, sequence, vin, at, hash); found || err != nil {
			return found, err
		}
	}
	return false, err
}

// load looks through what is not known of a partition.
func (b *batches) load(ctx context.Context, p *partition, subject string, from, asked time.Time) error {
	if p.complete.After(asked) && !from.Before(p.from) {
		return nil
	}
	if p.from.IsZero() || from.Before(p.from) || from.After(p.reached.Add(batchesJump)) && from.After(p.from.Add(batchesJump)) {
		if b.allowance.Tokens() <= 0 {
			return ErrUnchecked // and what is known stays so
		}
		// A little further than asked, for the others that ask about the same time.
		p.from, p.next, p.reached = from.Add(-batchesEarlier), 0, time.Time{}
		p.newest, p.places, p.oldest = make(map[uint64]int), nil, 0
	}
	for read := 0; read < maxBatchBytes && b.allowance.Tokens() > 0; {
		began := time.Now()
		size, end, err := b.page(ctx, p, subject)
		if err != nil {
			return err
		}
		b.allowance.ReserveN(began, size)
		if end {
			p.complete = began
			if from.Before(p.from) {
				return ErrUnchecked // the oldest were forgotten
			}
			return nil
		}
		read += size
	}
	return ErrUnchecked
}

// page looks through some messages. end says that there is no more.
func (b *batches) page(ctx context.Context, p *partition, subject string) (size int, end bool, err error) {
	first := jetstreamext.GetBatchStartTime(p.from)
	if p.next > 0 {
		first = jetstreamext.GetBatchSeq(p.next)
	}
	messages, err := jetstreamext.GetBatch(ctx, b.js, Batches, pageMessages, jetstreamext.GetBatchSubject(subject), first,
		jetstreamext.GetBatchMaxBytes(batchPage))
	if err != nil {
		return 0, false, fmt.Errorf("stream %s: %w", Batches, err)
	}
	any := false
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return size, true, nil
		}
		if err != nil {
			return size, false, fmt.Errorf("stream %s: %w", Batches, err)
		}
		any, end = true, m.Header.Get("Nats-Num-Pending") == "0"
		size += len(m.Data)
		p.next, p.reached = m.Sequence+1, m.Time
		for e, err := range Entries(m.Subject, m.Data) {
			if err != nil {
				break // of a message that cannot be read the records before the damage count
			}
			if e.report() {
				at, _ := e.CollectedAt()
				p.note(placeKey(e.VIN, at), m.Sequence, m.Time)
				p.noteLead(&e, at, m.Time)
			}
		}
	}
	if !any { // the client's library says nothing when time runs out
		return size, false, fmt.Errorf("stream %s: %w", Batches, nats.ErrTimeout)
	}
	return min(size, batchesBurst), end, nil
}

// placeKey is the key of a vehicle's reports of one collection time; the zero time stands for none.
func placeKey(vin codec.VIN, at time.Time) uint64 {
	var b [len(vin) + 8]byte
	copy(b[:], vin[:])
	if !at.IsZero() {
		binary.LittleEndian.PutUint64(b[len(vin):], uint64(at.Unix()))
	}
	return maphash.Bytes(hashSeed, b[:])
}

// noteLead remembers how far the clock of a vehicle is ahead, by its realtime reports: reissued ones say nothing.
func (p *partition) noteLead(e *Entry, at, stored time.Time) {
	switch lead := at.Sub(stored); {
	case e.Command != realtime || at.IsZero():
	case lead < leastLead:
		delete(p.leads, e.VIN)
	default:
		p.leads[e.VIN] = lead
	}
}

// note remembers that a message holds a report.
func (p *partition) note(key, sequence uint64, stored time.Time) {
	before := p.newest[key]
	if before > 0 && p.places[before-1].sequence == sequence {
		return
	}
	n := place{key, sequence, uint32(stored.Unix()), uint32(before)}
	if len(p.places) < maxPlaces {
		p.places = append(p.places, n)
		p.newest[key] = len(p.places)
		return
	}
	old := &p.places[p.oldest]
	if p.newest[old.key] == p.oldest+1 {
		delete(p.newest, old.key)
	}
	if until := time.Unix(int64(old.stored)+1, 0); until.After(p.from) {
		p.from = until
	}
	*old = n
	p.newest[key] = p.oldest + 1
	p.oldest = (p.oldest + 1) % maxPlaces
}

// candidates returns the messages that hold reports with these keys, the last ones first. more says that there are others.
func (p *partition) candidates(keys ...uint64) (sequences []uint64, more bool) {
	for _, key := range keys {
		above := ^uint64(0)
		for i := p.newest[key]; i > 0; i = int(p.places[i-1].before) {
			c := &p.places[i-1]
			if c.key != key || c.sequence >= above { // another took the place of a forgotten one
				break
			}
			if len(sequences) == maxCandidates {
				return sequences, true
			}
			above = c.sequence
			sequences = append(sequences, c.sequence)
		}
	}
	return sequences, false
}

// holds reads one message and reports whether it holds the report.
func (b *batches) holds(ctx context.Context, sequence uint64, vin codec.VIN, at time.Time, hash uint64) (bool, error) {
	st, err := b.handle(ctx)
	if err != nil {
		return false, err
	}
	m, err := st.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil // its time was over
	}
	if err != nil {
		return false, fmt.Errorf("stream %s: message %d: %w", Batches, sequence, err)
	}
	var frame []byte
	for e, err := range Entries(m.Subject, m.Data) {
		if err != nil {
			break
		}
		if e.VIN != vin || !e.report() {
			continue
		}
		if t, ok := e.CollectedAt(); ok && !t.Equal(at.Truncate(time.Second)) {
			continue
		}
		r, err := ParseEntry(e.Bytes)
		if err != nil {
			continue
		}
		var is bool
		if is, frame = r.unitHashIs(hash, frame); is {
			return true, nil
		}
	}
	return false, nil
}

// handle returns the stream's handle, asked for once.
func (b *batches) handle(ctx context.Context) (jetstream.Stream, error) {
	b.mu.Lock()
	st := b.stream
	b.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st, err := b.js.Stream(ctx, Batches)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", Batches, err)
	}
	b.mu.Lock()
	b.stream = st
	b.mu.Unlock()
	return st, nil
}
