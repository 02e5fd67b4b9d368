package last

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// This file is the keeper's way in the batched layout: it follows the stream and keeps the newest of each vehicle.

// arrivals are the entries of a vehicle that came since it was looked at, one of each of kinds.
type arrivals [len(kinds)][]byte

// followAgain lies between tries to follow the stream.
const followAgain = time.Second

// firstLook is how far a keeper looks back that has never followed the stream.
const firstLook = time.Minute

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

func (k *Keeper) followOnce() error {
	st, err := k.o.JetStream.Stream(k.ctx, stream.Batches)
	if err != nil {
		return err
	}
	from, err := k.start(k.ctx)
	if err != nil {
		return err
	}
	c := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from + 1}
	if from == 0 {
		since := k.started.Add(-firstLook)
		c = jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since}
	}
	consumer, err := st.OrderedConsumer(k.ctx, c)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return err
	}
	defer messages.Stop()
	defer context.AfterFunc(k.ctx, messages.Stop)()
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		k.arrive(m.Subject(), m.Data(), meta.Sequence.Stream)
	}
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

// arrive keeps the newest entries of a batch.
func (k *Keeper) arrive(subject string, body []byte, seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.position = seq
	for e, err := range stream.Entries(subject, body) {
		if err != nil {
			return // what cannot be read is no state
		}
		for i, c := range kinds {
			if e.Command != c.Name(codec.Edition2016) {
				continue
			}
			a := k.arrived[e.VIN]
			if a == nil {
				a = new(arrivals)
				k.arrived[e.VIN] = a
			}
			a[i] = append(a[i][:0], e.Bytes...)
		}
	}
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
	for _, entry := range a {
		if entry == nil {
			continue
		}
		k.read.Add(1)
		r, err := stream.ParseEntry(bytes.Clone(entry))
		if err != nil || r.Node != k.o.Node {
			continue
		}
		records = append(records, r)
	}
	return records, nil
}
