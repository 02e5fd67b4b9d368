package command

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

const (
	// expectFor is how long the store may take to show a command that another node has taken on.
	expectFor = time.Minute
	// maxExpected bounds how many of them are remembered.
	maxExpected = 1 << 14
)

// elsewhere are commands that other nodes have taken on, until the store shows them. Package relay sends them there.
type elsewhere struct {
	mu       sync.Mutex
	expected map[int64]expected
	order    []int64 // oldest first
}

type expected struct {
	result Result
	until  time.Time
}

func (e *elsewhere) add(r Result, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expected == nil {
		e.expected = map[int64]expected{}
	}
	for len(e.order) > 0 && (len(e.order) >= maxExpected || now.After(e.expected[e.order[0]].until)) {
		delete(e.expected, e.order[0])
		e.order = e.order[1:]
	}
	e.expected[r.MessageID] = expected{r, now.Add(expectFor)}
	e.order = append(e.order, r.MessageID)
}

func (e *elsewhere) find(id int64, now time.Time) (Result, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x, ok := e.expected[id]
	return x.result, ok && !now.After(x.until)
}

// NewID gives a message id for a command that another node is to send.
func (d *Dispatcher) NewID(ctx context.Context) (int64, error) { return d.ids.next(ctx) }

// Expect has Result and Wait tell r of a command that another node has taken on, until that node's word is in the store, a minute
// at most.
func (d *Dispatcher) Expect(r Result) { d.elsewhere.add(r, d.o.Now()) }

// Unheard stores and announces, for a command that another node was asked to send and about which nothing was heard, that it ended
// disconnected with ReasonNodeSilent; unless that node has stored its own word. While the store cannot tell, it is asked again in the
// background, until it can or the dispatcher is closed.
func (d *Dispatcher) Unheard(ctx context.Context, r Result) {
	d.Expect(r)
	if d.unheard(context.WithoutCancel(ctx), r) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.o.Logger.Warn("command results are not stored, trying again", "messageId", r.MessageID)
	d.wg.Go(func() {
		for again := true; again; again = !d.unheard(d.background, r) {
			select {
			case <-d.background.Done():
				return
			case <-time.After(saveRetry):
			}
		}
	})
}

// unheard does Unheard's work, unless the store does not tell whether the other node has stored something. Its own word is stored
// only where there is none, so that it never takes the place of what that node says at the same moment.
func (d *Dispatcher) unheard(ctx context.Context, r Result) (told bool) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	key := resultKey(r.MessageID)
	r.State, r.Reason, r.EndedAt = StateDisconnected, ReasonNodeSilent, d.now()
	value, _ := json.Marshal(&r) // without a body it always encodes
	err := d.o.KV.Create(ctx, key, value)
	if errors.Is(err, fs.ErrExist) {
		var have Result
		if value, err = d.o.KV.Get(ctx, key); err == nil {
			err = json.Unmarshal(value, &have)
		}
		if err == nil && have.Reason != ReasonNodeSilent {
			return true // it took it on
		}
		r = have // an earlier attempt was made after all
	}
	if err != nil {
		return false
	}
	d.out.push(func() {
		if r.Topic != "" {
			d.o.PublishTopic(r.DeviceName, EventKind, encodeTopicEvent(&r, r.EndedAt, nil))
		} else if vin, err := codec.ParseVIN(r.DeviceName); err == nil {
			d.o.Publish(vin, EventKind, encodeEvent(&r, r.EndedAt, nil))
		}
		d.o.Observe(r)
	})
	d.out.flush()
	return true
}
