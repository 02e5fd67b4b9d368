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

// unheard does Unheard's work, unless the store does not tell whether the other node has stored something.
func (d *Dispatcher) unheard(ctx context.Context, r Result) (told bool) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	key := resultKey(r.MessageID)
	switch _, err := d.o.KV.Get(ctx, key); {
	case err == nil:
		return true // it took it on
	case !errors.Is(err, fs.ErrNotExist):
		return false
	}
	r.State, r.Reason, r.EndedAt = StateDisconnected, ReasonNodeSilent, d.now()
	value, err := json.Marshal(&r)
	if err == nil {
		err = d.o.KV.Put(ctx, key, value)
	}
	if err != nil {
		d.o.Logger.Warn("command results are not stored", "messageId", r.MessageID, "error", err)
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
