package follow

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// acknowledgeEvery is how often the server is told of the position: a kill repeats what was stored since.
// recordEvery is how often it is written down beside it, see doneKey.
const (
	acknowledgeEvery = 100 * time.Millisecond
	recordEvery      = 10 * time.Second
	settleTimeout    = 2 * time.Second // at the end, for both
)

// look tells the server of the position, and looks from time to time where the stream ends, until ctx ends.
func (r *reader) look(ctx context.Context) {
	acknowledge := time.NewTicker(acknowledgeEvery)
	defer acknowledge.Stop()
	end := time.NewTicker(lookEvery)
	defer end.Stop()
	record := time.NewTicker(recordEvery)
	defer record.Stop()
	for {
		select {
		case <-acknowledge.C:
			if msg := r.toAcknowledge(); msg != nil && msg.Ack() != nil {
				r.unacknowledged(msg)
			}
		case <-end.C:
			r.lookAtEnd(ctx)
		case <-record.C:
			if err := r.record(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("sink: the position could not be recorded", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// record writes the position into the consumer's metadata, when it has moved.
func (r *reader) record(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r.mu.Lock()
	done, config := r.done, r.config
	if !r.known || done == r.recorded {
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	config.Metadata = maps.Clone(config.Metadata)
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	config.Metadata[doneKey] = strconv.FormatUint(done, 10)
	if _, err := r.opts.JetStream.UpdateConsumer(ctx, r.stream, config); err != nil {
		return err
	}
	r.mu.Lock()
	r.recorded = done
	r.mu.Unlock()
	return nil
}

func (r *reader) lookAtEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	st, err := r.opts.JetStream.Stream(ctx, r.stream)
	if err != nil {
		return // the session will notice
	}
	r.mu.Lock()
	r.last = st.CachedInfo().State.LastSeq
	r.mu.Unlock()
}

// toAcknowledge takes the message whose acknowledgement covers all that is stored, nil when the server
// knows already.
func (r *reader) toAcknowledge() jetstream.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	msg := r.ackable
	r.ackable = nil
	return msg
}

// unacknowledged gives it back, unless there is a later one.
func (r *reader) unacknowledged(msg jetstream.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ackable == nil {
		r.ackable = msg
	}
}

// position is what is stored, for a session in which nothing is held.
func (r *reader) position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// waitFor waits until what is asked, under the lock, is so; false: ctx ended before.
func (r *reader) waitFor(ctx context.Context, ok func() bool) bool {
	for {
		r.mu.Lock()
		yes := ok()
		r.mu.Unlock()
		if yes {
			return true
		}
		select {
		case <-r.room:
		case <-ctx.Done():
			return false
		}
	}
}

// drain waits between two sessions until everything that was read is stored: the next one begins exactly
// behind it, and no acknowledgement of an earlier one can confuse the server.
func (r *reader) drain(ctx context.Context) bool {
	return r.waitFor(ctx, func() bool { return len(r.held) == 0 })
}

// settle waits until what was read is stored, and has the server keep the position.
func (r *reader) settle(ctx context.Context) {
	r.drain(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout) // a dead sink has used its own time up
	defer cancel()
	if msg := r.toAcknowledge(); msg != nil {
		if err := msg.DoubleAck(ctx); err != nil {
			r.log.Warn("sink: the position could not be kept; what was stored since the last time will be stored again", "error", err)
		}
	}
	if err := r.record(ctx); err != nil {
		r.log.Warn("sink: the position could not be recorded", "error", err)
	}
}

// troubled notes why the stream cannot be read, nil when it can, and logs news.
func (r *reader) troubled(err error) {
	r.mu.Lock()
	old := r.trouble
	r.trouble = err
	r.mu.Unlock()
	switch {
	case err != nil && (old == nil || old.Error() != err.Error()):
		r.log.Warn("sink: the stream cannot be read", "error", err)
	case err == nil && old != nil:
		r.log.Info("sink: the stream is read again")
	}
}

func (r *reader) stats() StreamStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := StreamStats{Stream: r.stream, Lost: r.lost, Unreadable: r.bad, Trouble: r.trouble}
	if r.last > r.done {
		s.Lag = r.last - r.done
	}
	if len(r.held) > 0 {
		s.LagSeconds = max(time.Since(r.held[0].at).Seconds(), 0)
	}
	return s
}
