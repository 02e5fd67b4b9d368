package stream

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/tboxgate/tboxgate/codec"
)

// Bounds of an Index.
const (
	duplicateAge = 7 * 24 * time.Hour // how far back repetitions are looked for
	maxHashes    = 1 << 20            // of all vehicles together: some 9 MiB
	indexIdle    = 10 * time.Minute   // a vehicle nobody asks about is forgotten
	pageMessages = 256                // fetched at once
	pageBytes    = 4 << 20
)

// ErrUnchecked says that not all of the store could be looked through. It is not temporary: asked again at once, an
// Index does not know more.
var ErrUnchecked error = unchecked{}

type unchecked struct{}

func (unchecked) Error() string   { return "too much lies between: not all was looked through" }
func (unchecked) Temporary() bool { return false }

// Index tells whether a report of a vehicle is stored already. It keeps nothing of its own on disk: for a
// vehicle that is asked about it reads what is stored of it since shortly before the report was collected, and
// remembers the hashes as long as there are questions; of the batched layout it reads what is stored of the
// vehicle's whole partition, once for all its vehicles. Safe for concurrent use, one question a vehicle at a time.
type Index struct {
	js      jetstream.JetStream
	batches *batches

	mu       sync.Mutex
	stream   jetstream.Stream            // nil until it was asked for
	vehicles map[codec.VIN]*list.Element // of *vehicleIndex
	order    list.List                   // the one asked for last is in front
	hashes   int
}

// vehicleIndex is what is known of one vehicle.
type vehicleIndex struct {
	vin    codec.VIN
	from   time.Time     // all that was stored from here on is known
	next   uint64        // of GBT32960: the first message not looked at
	lead   time.Duration // how far the vehicle's clock was ahead of the store's
	hashes hashes
	used   time.Time
	size   int // of hashes when it was counted
}

// NewIndex returns an index of the frames in js.
func NewIndex(js jetstream.JetStream) *Index {
	return &Index{js: js, batches: newBatches(js), vehicles: make(map[codec.VIN]*list.Element)}
}

// Stored reports whether a report of the vehicle with this hash (UnitHash) is stored, and from now on takes it
// for stored. at is its collection time. The error is ErrUnchecked (the answer is then about what was looked
// through), or says why the store cannot be read.
func (x *Index) Stored(ctx context.Context, vin codec.VIN, at time.Time, hash uint64) (bool, error) {
	v := x.take(vin)
	defer x.put(v)
	from, err := x.load(ctx, v, at)
	if err != nil {
		return false, err
	}
	if v.hashes.has(hash) {
		return true, nil
	}
	found, err := x.batches.find(ctx, vin, from.Add(-batchesEarlier), at, hash)
	if err == nil || errors.Is(err, ErrUnchecked) {
		v.hashes.add(hash)
	}
	return found, err
}

// take removes a vehicle from the index, or makes it.
func (x *Index) take(vin codec.VIN) *vehicleIndex {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.vehicles[vin]; e != nil {
		v := x.remove(e)
		if time.Since(v.used) < indexIdle {
			return v
		}
	}
	return &vehicleIndex{vin: vin}
}

// put puts it back, and forgets others for it.
func (x *Index) put(v *vehicleIndex) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v.used, v.size = time.Now(), v.hashes.size()
	if e := x.vehicles[v.vin]; e != nil { // asked twice at a time
		x.remove(e)
	}
	x.vehicles[v.vin] = x.order.PushFront(v)
	x.hashes += v.size
	for x.order.Len() > 1 {
		last := x.order.Back()
		if x.hashes <= maxHashes && time.Since(last.Value.(*vehicleIndex).used) < indexIdle {
			return
		}
		x.remove(last)
	}
}

func (x *Index) remove(e *list.Element) *vehicleIndex {
	v := x.order.Remove(e).(*vehicleIndex)
	delete(x.vehicles, v.vin)
	x.hashes -= v.size
	return v
}

// load reads what is not known yet of the vehicle for a report collected at the given time, and returns when that was by
// the store's clock.
func (x *Index) load(ctx context.Context, v *vehicleIndex, at time.Time) (from time.Time, err error) {
	if v.from.IsZero() {
		if err := x.findLead(ctx, v); err != nil {
			return from, err
		}
	}
	now := time.Now()
	from = at
	if from.After(now) {
		from = now
	}
	from = from.Add(-v.lead)
	if oldest := now.Add(-duplicateAge); from.Before(oldest) {
		from = oldest
	}
	subject := FrameSubject(v.vin.String(), "")
	late := from.Add(-storeLate)
	if !v.from.IsZero() && !late.Before(v.from) {
		return from, x.refresh(ctx, v, subject)
	}
	// A little further than asked, so that older and older reports do not read all again each time.
	start := late.Add(-max(storeLate, now.Sub(late)/4))
	next, err := x.frames(ctx, v, subject, jetstreamext.GetBatchStartTime(start))
	if err != nil {
		return from, err
	}
	v.from, v.next = start, max(v.next, next)
	return from, nil
}

// findLead sees by the vehicle's last report how far its clock is ahead: a report that claims to be collected
// later than it was stored lies earlier in the stream than its time says.
func (x *Index) findLead(ctx context.Context, v *vehicleIndex) error {
	st, err := x.frameStream(ctx)
	if err != nil {
		return err
	}
	m, err := st.GetLastMsgForSubject(ctx, FrameSubject(v.vin.String(), codec.CommandRealtime.Name(codec.Edition2016)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", Frames, err)
	}
	records, err := Parse(m.Subject, m.Header, m.Data)
	if err != nil {
		return nil // what cannot be read says nothing
	}
	if at, ok := records[0].CollectedAt(); ok {
		v.lead = max(0, at.Sub(m.Time))
	}
	return nil
}

// refresh reads what was stored since the last question. Mostly there is nothing, which a plain request tells
// ten times faster than the first page.
func (x *Index) refresh(ctx context.Context, v *vehicleIndex, subject string) error {
	st, err := x.frameStream(ctx)
	if err != nil {
		return err
	}
	m, err := st.GetMsg(ctx, max(v.next, 1), jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", Frames, err)
	}
	next, err := x.frames(ctx, v, subject, jetstreamext.GetBatchSeq(m.Sequence))
	if err != nil {
		return err
	}
	v.next = max(v.next, next)
	return nil
}

// frameStream returns the handle of the stream, asked for once.
func (x *Index) frameStream(ctx context.Context) (jetstream.Stream, error) {
	x.mu.Lock()
	st := x.stream
	x.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st, err := x.js.Stream(ctx, Frames)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", Frames, err)
	}
	x.mu.Lock()
	x.stream = st
	x.mu.Unlock()
	return st, nil
}

// frames reads the vehicle's messages from where first says and returns the sequence number behind the last.
func (x *Index) frames(ctx context.Context, v *vehicleIndex, subject string, first jetstreamext.GetBatchOpt) (next uint64, err error) {
	for {
		p, err := x.page(ctx, v, subject, first)
		if err != nil {
			return next, err
		}
		next = max(next, p.next)
		if p.end {
			return next, nil
		}
		first = jetstreamext.GetBatchSeq(next)
	}
}

// page says how far a request came.
type page struct {
	next uint64 // the sequence number behind the last message
	end  bool   // there is no more
}

// page reads some messages and notes the vehicle's reports in them.
func (x *Index) page(ctx context.Context, v *vehicleIndex, subject string, first jetstreamext.GetBatchOpt) (p page, err error) {
	messages, err := jetstreamext.GetBatch(ctx, x.js, Frames, pageMessages, jetstreamext.GetBatchSubject(subject), first,
		jetstreamext.GetBatchMaxBytes(pageBytes))
	if err != nil {
		return p, fmt.Errorf("stream %s: %w", Frames, err)
	}
	var records []Record
	var frame []byte
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			p.end = true
			return p, nil
		}
		if err != nil {
			return p, fmt.Errorf("stream %s: %w", Frames, err)
		}
		p.next, p.end = m.Sequence+1, m.Header.Get("Nats-Num-Pending") == "0"
		// Of a message that cannot be read the records before the damage count.
		records, _ = AppendRecords(records[:0], m.Subject, m.Header, m.Data)
		for i := range records {
			frame = v.note(&records[i], frame)
		}
	}
	if p.next == 0 { // the client's library says nothing when time runs out
		return p, fmt.Errorf("stream %s: %w", Frames, nats.ErrTimeout)
	}
	return p, nil
}

// note remembers a report of the vehicle. frame is memory to use again.
func (v *vehicleIndex) note(r *Record, frame []byte) []byte {
	if r.VIN != v.vin || r.Command != codec.CommandRealtime && r.Command != codec.CommandReissue || r.Masked {
		return frame
	}
	frame, err := r.AppendFrame(frame[:0])
	if err != nil {
		return frame
	}
	if f, err := codec.ParseFrame(frame); err == nil {
		v.hashes.add(UnitHash(f.Unit()))
	}
	return frame
}
