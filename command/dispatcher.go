package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// Sessions finds the live session of a vehicle; session.Table is one.
type Sessions interface {
	Get(vin codec.VIN) *session.Session // nil: offline
}

// KV is the bucket of command results (GBT32960_COMMANDS, entries expire after 7 days). Besides the results, under their
// message ids, it holds one entry "mark.<node>" that keeps message ids from being given twice.
type KV interface {
	// Get returns an error that matches fs.ErrNotExist for a missing key.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put is durable when it returns.
	Put(ctx context.Context, key string, value []byte) error
	// Create is Put for a key without a value; else its error matches fs.ErrExist.
	Create(ctx context.Context, key string, value []byte) error
	// PutAsync never blocks and calls done once.
	PutAsync(key string, value []byte, done func(error))
	// Watch calls fn for all current entries, returns, and goes on in the background until ctx ends.
	Watch(ctx context.Context, fn func(key string, value []byte)) error
}

// Options configure a Dispatcher. Sessions, KV and Publish are required; every other field has a default.
type Options struct {
	Sessions Sessions
	KV       KV
	// Publish announces a command event: kind is EventKind, body one JSON object. It must not block and must keep the order.
	Publish func(vin codec.VIN, kind string, body []byte)
	// PublishTopic announces an event of a message to an MQTT device in the same way. Default: nothing.
	PublishTopic func(deviceName, kind string, body []byte)
	Node         string // name of this gateway, in results and events

	Resend ResendPlan
	// QueueLength is how many commands of a kind may wait behind the one in flight to a vehicle. Default 16.
	QueueLength int
	// MaxPendingBytes limits the data units of all commands that are not over. Default 64 MiB.
	MaxPendingBytes int
	// LateWindow is how long after its end a command may still be matched with an answer. Default 5 minutes.
	LateWindow time.Duration
	// RecentBytes is about how much memory the results of recent commands may take; older ones are read from the bucket. Default 8 MiB.
	RecentBytes int

	Now     func() time.Time // default time.Now
	Logger  *slog.Logger     // default: nothing is logged
	Observe func(Result)     // called at every change of state, for metrics; must not block
}

// Dispatcher sends commands to vehicles and follows them to their end. It is safe for concurrent use and runs no goroutine
// per command: callers, event loops and timers move it on.
type Dispatcher struct {
	o   Options
	ids *sequence
	out outbox

	background context.Context // of what is done without a caller; ends with Close
	stop       context.CancelFunc

	elsewhere elsewhere
	wg        sync.WaitGroup

	mu           sync.Mutex
	closed       bool
	slots        map[slotKey]*slot
	pendingBytes int
	pending      map[codec.Command]Pending // 0: messages to topics
	results      results
}

// NewDispatcher reads the message id mark of the node and ends, in the background, the commands that an earlier run of this
// node left open when it died. The error matches ErrStore when the bucket cannot be read.
func NewDispatcher(ctx context.Context, o Options) (*Dispatcher, error) {
	if o.Sessions == nil || o.KV == nil || o.Publish == nil {
		return nil, errors.New("command: Options.Sessions, KV and Publish are required")
	}
	o.Resend.setDefaults()
	if o.QueueLength <= 0 {
		o.QueueLength = 16
	}
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = 64 << 20
	}
	if o.LateWindow <= 0 {
		o.LateWindow = 5 * time.Minute
	}
	if o.RecentBytes <= 0 {
		o.RecentBytes = 8 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.PublishTopic == nil {
		o.PublishTopic = func(string, string, []byte) {}
	}
	if o.Observe == nil {
		o.Observe = func(Result) {}
	}
	ids, err := openSequence(ctx, o.KV, o.Node, o.Now)
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	background, stop := context.WithCancel(context.Background())
	d := &Dispatcher{o: o, ids: ids, background: background, stop: stop, slots: map[slotKey]*slot{}, pending: map[codec.Command]Pending{}, results: newResults()}
	d.wg.Go(func() { d.recoverOpen(background) })
	return d, nil
}

// Send sends a command to a vehicle, or queues it behind one of the same kind, and returns its message id. It waits for
// nothing but, about once a minute, a write of the message id mark. The error is a *SendError; then nothing was sent.
func (d *Dispatcher) Send(ctx context.Context, r Request) (id int64, err error) {
	id, err = d.send(ctx, r)
	if err != nil {
		return 0, &SendError{ProductKey: r.ProductKey, DeviceName: r.DeviceName, Command: r.Command, Err: err}
	}
	return id, nil
}

func (d *Dispatcher) send(ctx context.Context, r Request) (int64, error) {
	if r.Command < codec.CommandParamQuery || r.Command > codec.CommandControl {
		return 0, ErrCommand
	}
	if len(r.Unit) > codec.MaxUnitSize {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrUnitTooLong, len(r.Unit), codec.MaxUnitSize)
	}
	vin, err := codec.ParseVIN(r.DeviceName)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrOffline, err)
	}
	// The table is asked outside the dispatcher's lock: it calls Gone under its own.
	live := d.o.Sessions.Get(vin)
	if live == nil || live.ProductKey != r.ProductKey {
		return 0, ErrOffline
	}
	key := slotKey{vin, r.Command}
	d.mu.Lock()
	err = d.admit(key, len(r.Unit))
	d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	id := r.MessageID
	if id == 0 {
		if id, err = d.ids.next(ctx); err != nil {
			return 0, err
		}
	}
	t := newTask(key, r, live.Edition, d.o.Resend.of(r.Command, r.Unit))
	t.result.MessageID, t.result.Node, t.result.CreatedAt = id, d.o.Node, d.now()

	d.mu.Lock()
	if err := d.admit(key, len(r.Unit)); err != nil {
		d.mu.Unlock()
		return 0, err
	}
	d.begin(t, live)
	d.mu.Unlock()
	d.out.flush()

	// A session that ended after it was looked up has said so before this command was there to hear it.
	if now := d.o.Sessions.Get(vin); now == nil {
		d.Gone(live, session.Reason(ReasonLinkClosed))
	} else if now.ID != live.ID {
		d.Gone(live, session.ReasonTakeover)
	}
	return id, nil
}

// Pending is how many commands of a kind are not over.
type Pending struct {
	InFlight int // sent, or about to be
	Queued   int // waiting behind one of their kind to the same vehicle
}

// Pending returns the commands of a kind that are not over: paramQuery, paramSet, control, or, of command 0, the messages to
// topics that a device has still to acknowledge.
func (d *Dispatcher) Pending(c codec.Command) Pending {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pending[c]
}

// count notes that so many more commands of a kind are in flight, or queued. The dispatcher is locked.
func (d *Dispatcher) count(c codec.Command, inFlight, queued int) {
	p := d.pending[c]
	d.pending[c] = Pending{p.InFlight + inFlight, p.Queued + queued}
}

// now is the time as results hold it: UTC, milliseconds.
func (d *Dispatcher) now() session.Timestamp { return session.At(d.o.Now()) }

// admit reports why a command cannot be taken on. The dispatcher is locked.
func (d *Dispatcher) admit(key slotKey, size int) error {
	if d.closed {
		return ErrClosed
	}
	if s := d.slots[key]; s != nil && len(s.queue) >= d.o.QueueLength {
		return fmt.Errorf("%w: %d for this vehicle", ErrQueueFull, len(s.queue))
	}
	if d.pendingBytes+size > d.o.MaxPendingBytes {
		return fmt.Errorf("%w: %d bytes in all", ErrQueueFull, d.pendingBytes)
	}
	return nil
}

// Answer takes a 0x80, 0x81 or 0x82 frame that the vehicle of session s sent, whatever its flag and data unit, and ends the
// command it answers. Other frames are ignored. It reads f during the call only and never blocks.
func (d *Dispatcher) Answer(s *session.Session, f codec.Frame) {
	d.mu.Lock()
	if sl := d.slots[slotKey{s.VIN, f.Command()}]; sl != nil {
		if t := sl.match(f); t != nil {
			d.answered(sl, t, s, f)
		}
	}
	d.mu.Unlock()
	d.out.flush()
}

// Gone ends the commands that were under way over a session which has ended. After a takeover those still waiting go out over
// the new session. It never blocks and does not use the session table. Sessions are told apart by their ID, which a re-login on
// the same connection keeps.
func (d *Dispatcher) Gone(s *session.Session, reason session.Reason) { d.ended(s.VIN, s.ID, reason) }

// Presence is Gone for every offline event, made to be called from the session table's callback. It hears of all sessions that
// end, those of a platform link too; where it is wired, Gone need not be called.
func (d *Dispatcher) Presence(e session.PresenceEvent) {
	if !e.Online {
		d.ended(e.VIN, e.Session, e.Reason)
	}
}

func (d *Dispatcher) ended(vin codec.VIN, id uint64, reason session.Reason) {
	d.mu.Lock()
	for command := codec.CommandParamQuery; command <= codec.CommandControl; command++ {
		if sl := d.slots[slotKey{vin, command}]; sl != nil {
			d.gone(sl, id, reason)
		}
	}
	d.mu.Unlock()
	d.out.flush()
}

// Close refuses new commands, ends the open ones (disconnected, drain) and waits until all results are in the store, or for
// ctx. It is called after the vehicles' sessions have ended.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.stop()
	d.mu.Lock()
	d.closed = true
	for _, sl := range d.slots {
		d.endAll(sl, StateDisconnected, Reason(session.ReasonDrain))
		sl.disarm()
	}
	clear(d.slots)
	d.mu.Unlock()
	d.out.flush()
	d.wg.Wait()
	if err := d.waitSaved(ctx); err != nil {
		return err
	}
	if err := d.ids.close(ctx); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	return nil
}
