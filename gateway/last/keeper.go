// Package last keeps the last known state of each vehicle in the bucket GBT32960_LAST, so that nobody has to look
// through the stream for it.
//
//	<vin>                 State: the newest report by collection time, and its measurements
//	<vin>.vehicleLogin    the last login's JSON
//	<vin>.vehicleLogout   the last logout's
//
// Nothing of it lies on the way of a frame. Once a second the keeper looks which sessions had frames since, asks the
// stream for the newest of each such vehicle (JetStream finds it without scanning) and writes what is new: each vehicle
// at most once a second, and no more than Options.Budget in all, oldest first. In the batched layout, where a
// vehicle's newest frame cannot be asked for, it follows the stream and keeps the newest of each vehicle until it is
// written; while the store is busy it falls behind there. What a crash loses is read again, because a vehicle that was online then is asked for at the next start.
package last

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// Sessions are the live sessions; session.Table is one.
type Sessions interface {
	Each(fn func(*session.Session) bool)
}

// KV is the bucket.
type KV interface {
	// Get returns a value; errors.Is(err, fs.ErrNotExist) when there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// PutAsync writes a value and calls done when it is stored or never will be.
	PutAsync(key string, value []byte, done func(error))
}

// Options says what a Keeper works on.
type Options struct {
	JetStream jetstream.JetStream
	KV        KV
	Sessions  Sessions
	Node      string
	Batched   bool // frames are stored in the batched layout
	// Backlog is how many records wait for the store; the keeper makes way when they are many. May be nil.
	Backlog func() int
	Every   time.Duration // default 1 s
	Budget  int           // vehicles written each time, default 500
	Logger  *slog.Logger
}

// Defaults.
const (
	defaultEvery  = time.Second
	defaultBudget = 500
	busyBacklog   = 1024 // records: the store has enough to do
	busyBudget    = 20   // vehicles written each time meanwhile
	askTimeout    = 5 * time.Second
	closeTime     = 2 * time.Second // for what is left at the end
)

// Keeper writes last known states. Its methods are safe for concurrent use.
type Keeper struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup

	started time.Time

	mu       sync.Mutex
	touched  map[codec.VIN]int // times that vehicles without a session are still to be looked at
	arrived  map[codec.VIN]*arrivals
	position uint64    // of the batched stream: the last message that arrived
	behind   time.Time // when that message was stored; zero: there is none behind it
	waiting  int       // vehicles in the queue

	entries []stream.Entry // the follower's memory

	// Of the keeper's goroutine alone.
	vehicles map[codec.VIN]*vehicle
	queue    []codec.VIN // to be looked at, oldest first
	queued   map[codec.VIN]bool
	stream   jetstream.Stream
	reached  uint64 // the position when arrived was looked at last
	marked   uint64 // the position that the bucket has
	message  codec.Message
}

// vehicle is what the keeper remembers of one that is online.
type vehicle struct {
	frames uint64             // of its session, when last looked at
	state  *State             // without the frame; nil until it was read or made
	seen   [len(kinds)]uint64 // the last message of each kind that was looked at
	all    bool               // look for all kinds next time
}

// kinds are the commands whose last frames are kept, reports first.
var kinds = [...]codec.Command{codec.CommandRealtime, codec.CommandReissue, codec.CommandVehicleLogin, codec.CommandVehicleLogout}

// touches is how often a vehicle that went offline is looked at: its last frames may not be stored yet.
const touches = 3

// Start starts a keeper.
func Start(o Options) *Keeper {
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	k := &Keeper{o: o, started: time.Now(), touched: make(map[codec.VIN]int), arrived: make(map[codec.VIN]*arrivals),
		vehicles: make(map[codec.VIN]*vehicle), queued: make(map[codec.VIN]bool)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	if o.Batched {
		k.ended.Go(k.follow)
	}
	k.ended.Go(k.run)
	return k
}

// Touch notes that a vehicle went online or offline. It is cheap and does not block.
func (k *Keeper) Touch(vin codec.VIN) {
	k.mu.Lock()
	k.touched[vin] = touches
	k.mu.Unlock()
}

// Close writes what is left, for a short time or until ctx ends.
func (k *Keeper) Close(ctx context.Context) error {
	k.cancel()
	k.ended.Wait()
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	if k.o.Batched {
		rest, cancel := context.WithTimeout(ctx, closeTime/2)
		k.readRest(rest)
		cancel()
	}
	k.collect()
	for len(k.queue) > 0 && ctx.Err() == nil {
		k.work(ctx, k.o.Budget)
	}
	if n := len(k.queue); n > 0 {
		return fmt.Errorf("last: %d last known states were not written; they are at the vehicles' next reports", n)
	}
	return nil
}

// run works until the keeper is closed.
func (k *Keeper) run() {
	tick := time.NewTicker(k.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
		budget := k.o.Budget
		if k.o.Backlog != nil && k.o.Backlog() > busyBacklog {
			budget = min(budget, busyBudget)
		}
		k.collect()
		k.work(k.ctx, budget)
		if len(k.queue) == 0 {
			k.markPosition()
		}
	}
}

// collect queues the vehicles that had frames since they were last looked at.
func (k *Keeper) collect() {
	online := make(map[codec.VIN]bool)
	k.o.Sessions.Each(func(s *session.Session) bool {
		v := k.vehicle(s.VIN)
		online[s.VIN] = true
		if n := s.Frames(); n != v.frames && !k.o.Batched {
			v.frames = n
			k.enqueue(s.VIN)
		}
		return true
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reached = k.position
	for vin, n := range k.touched {
		k.enqueue(vin)
		k.vehicle(vin).all = true
		if n--; n == 0 {
			delete(k.touched, vin)
		} else {
			k.touched[vin] = n
		}
	}
	for vin := range k.arrived {
		k.enqueue(vin)
	}
	for vin := range k.vehicles { // what is not online any more is forgotten
		if _, again := k.touched[vin]; !again && !online[vin] && !k.queued[vin] {
			delete(k.vehicles, vin)
		}
	}
}

func (k *Keeper) enqueue(vin codec.VIN) {
	if !k.queued[vin] {
		k.queued[vin] = true
		k.queue = append(k.queue, vin)
	}
}

func (k *Keeper) vehicle(vin codec.VIN) *vehicle {
	v := k.vehicles[vin]
	if v == nil {
		v = &vehicle{}
		k.vehicles[vin] = v
	}
	return v
}

// work looks at so many vehicles.
func (k *Keeper) work(ctx context.Context, budget int) {
	for n := 0; n < budget && len(k.queue) > 0 && ctx.Err() == nil; n++ {
		vin := k.queue[0]
		k.queue = k.queue[1:]
		delete(k.queued, vin)
		if err := k.look(ctx, vin); err != nil && ctx.Err() == nil {
			k.o.Logger.Warn("a last known state cannot be brought up to date, trying again", "vin", vin.String(), "error", err)
			k.Touch(vin)
			return // the store is unwell: the others would fail too
		}
	}
	if len(k.queue) == 0 {
		k.queue = nil
	}
	k.mu.Lock()
	k.waiting = len(k.queue)
	k.mu.Unlock()
}

// Waiting is how many vehicles had frames and wait for their turn.
func (k *Keeper) Waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.waiting
}

// look brings the state of one vehicle up to date.
func (k *Keeper) look(ctx context.Context, vin codec.VIN) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	v := k.vehicle(vin)
	if v.state == nil { // before what has arrived is taken
		var err error
		if v.state, err = k.stored(ctx, vin); err != nil {
			return err
		}
	}
	records, err := k.newest(ctx, vin, v)
	if err != nil {
		return err
	}
	reported := false
	for i := range records {
		r := &records[i]
		switch r.Command {
		case codec.CommandRealtime, codec.CommandReissue:
			reported = v.state.take(r, &k.message) || reported
		default:
			k.put(session.Token(vin.String())+"."+r.CommandName(), r.AppendJSON(nil, &k.message))
		}
	}
	if !reported {
		return nil
	}
	value, err := json.Marshal(v.state)
	if err != nil {
		return fmt.Errorf("last: %w", err)
	}
	v.state.Frame = json.RawMessage("{}") // two thousand bytes that nobody needs here
	k.put(session.Token(vin.String()), value)
	return nil
}

// stored returns the state in the bucket, an empty one when there is none.
func (k *Keeper) stored(ctx context.Context, vin codec.VIN) (*State, error) {
	value, err := k.o.KV.Get(ctx, session.Token(vin.String()))
	s := &State{}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if json.Unmarshal(value, s) != nil {
			s = &State{} // written by something else
		}
	}
	return s, nil
}

func (k *Keeper) put(key string, value []byte) {
	k.o.KV.PutAsync(key, value, func(err error) {
		if err != nil {
			k.o.Logger.Warn("a last known state was not written", "key", key, "error", err)
		}
	})
}

// newest returns frames of a vehicle, each the newest of its kind, that were not seen before.
func (k *Keeper) newest(ctx context.Context, vin codec.VIN, v *vehicle) (records []stream.Record, err error) {
	if k.o.Batched {
		return k.arrivedOf(vin)
	}
	if k.stream == nil {
		if k.stream, err = k.o.JetStream.Stream(ctx, stream.Frames); err != nil {
			return nil, fmt.Errorf("stream %s: %w", stream.Frames, err)
		}
	}
	asked := kinds[:]
	if !v.all {
		asked = kinds[:1] // while it is online its newest report is a realtime report
	}
	v.all = false
	for i, c := range asked {
		m, err := k.stream.GetLastMsgForSubject(ctx, stream.FrameSubject(vin.String(), c.Name(codec.Edition2016)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			v.all = len(asked) > 1
			return nil, fmt.Errorf("stream %s: %w", stream.Frames, err)
		}
		if m.Sequence == v.seen[i] {
			continue
		}
		v.seen[i] = m.Sequence
		got, err := stream.Parse(m.Subject, m.Header, m.Data)
		if err != nil {
			continue // what cannot be read is no state
		}
		records = append(records, got...)
	}
	return records, nil
}
