package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// Erased counts what Erase has removed.
type Erased struct {
	Frames  uint64 `json:"frames"`  // records
	Events  uint64 `json:"events"`  // presence, refused logins, commands
	Entries uint64 `json:"entries"` // of buckets: registration, last state, command results
	// Rewritten counts messages of the batched layout that also held other vehicles' records: those were
	// stored again, at the end of the stream.
	Rewritten uint64 `json:"rewritten"`
}

// Nothing reports whether nothing was found.
func (e Erased) Nothing() bool { return e == Erased{} }

// Add adds the counts of another pass.
func (e *Erased) Add(o Erased) {
	e.Frames += o.Frames
	e.Events += o.Events
	e.Entries += o.Entries
	e.Rewritten += o.Rewritten
}

// Erase removes what is stored of a vehicle: its records in both layouts, its events, and its entries in the
// buckets of vehicles, last states and command results. What comes in meanwhile may stay: the caller keeps the
// vehicle from logging in, and calls again until Erased.Nothing.
//
// Messages of their own are purged; keys of buckets are deleted and leave an empty mark. In a batch the vehicle's records are cut out: the others are stored again,
// in one message at the end, and the old message is overwritten on the disk. An error leaves the rest for
// another call; nothing of other vehicles is ever missing.
func (s *Store) Erase(ctx context.Context, vin codec.VIN) (e Erased, err error) {
	token := session.Token(vin.String())
	if e.Frames, err = s.purge(ctx, StreamRecords, SubjectRecords+token+".>"); err != nil {
		return e, err
	}
	if err := s.eraseBatches(ctx, vin, &e); err != nil {
		return e, err
	}
	if e.Events, err = s.purge(ctx, StreamEvents, SubjectEvents+token+".>"); err != nil {
		return e, err
	}
	for _, bucket := range []string{BucketDevices, BucketLast, BucketCommands} {
		n, err := s.eraseKeys(ctx, bucket, vin, token)
		e.Entries += n
		if err != nil {
			return e, fmt.Errorf("nats: bucket %s: %w", bucket, err)
		}
	}
	return e, nil
}

// purge removes the messages of a stream on a subject.
func (s *Store) purge(ctx context.Context, name, subject string) (uint64, error) {
	ask, err := json.Marshal(map[string]string{"filter": subject})
	if err != nil {
		return 0, err
	}
	var answer struct {
		Purged uint64              `json:"purged"`
		Error  *jetstream.APIError `json:"error"`
	}
	if err = s.apiCall(ctx, "$JS.API.STREAM.PURGE."+name, ask, &answer); err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		return 0, fmt.Errorf("nats: stream %s: purge of one vehicle: %w", name, err)
	}
	return answer.Purged, nil
}

// eraseKeys removes a vehicle's entries of a bucket. The empty marks that deleted keys leave stay: a server that rebuilds a
// stream after a crash finds every former value of a key in its files, of which only those that were purged are marked there as
// gone, so that without a last message of the key the vehicle would be registered again.
func (s *Store) eraseKeys(ctx context.Context, bucket string, vin codec.VIN, token string) (n uint64, err error) {
	kv := s.kvs[bucket].kv
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return 0, err
	}
	defer endWatch(w)
	var keys []string
	for e := range w.Updates() {
		if e == nil {
			break // all there is
		}
		if slices.Contains(strings.Split(e.Key(), "."), token) || bucket == BucketCommands && commandOf(e.Value(), vin) {
			keys = append(keys, e.Key())
		}
	}
	for _, key := range keys {
		if _, err := kv.Get(ctx, key); errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // a mark
		} else if err != nil {
			return n, err
		}
		if err := kv.Delete(ctx, key); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// commandOf reports whether a command result is one of the vehicle's.
func commandOf(value []byte, vin codec.VIN) bool {
	var r struct {
		DeviceName string `json:"deviceName"`
	}
	return json.Unmarshal(value, &r) == nil && r.DeviceName == vin.String()
}

// eraseBatches cuts a vehicle's records out of the batches of its partition.
func (s *Store) eraseBatches(ctx context.Context, vin codec.VIN, e *Erased) error {
	st, err := s.js.Stream(ctx, StreamBatches)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("nats: stream %s: %w", StreamBatches, err)
	}
	subject := stream.BatchSubject(vin)
	last, err := st.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("nats: stream %s: %w", StreamBatches, err)
	}
	c, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return fmt.Errorf("nats: stream %s: %w", StreamBatches, err)
	}
	it, err := c.Messages()
	if err != nil {
		return fmt.Errorf("nats: stream %s: %w", StreamBatches, err)
	}
	defer it.Stop()
	for {
		wait, cancel := context.WithTimeout(ctx, backupPatience) // the last one may have gone by its age
		m, err := it.Next(jetstream.NextContext(wait))
		cancel()
		if err != nil {
			return fmt.Errorf("nats: stream %s: %w", StreamBatches, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("nats: stream %s: %w", StreamBatches, err)
		}
		if err := s.eraseFrom(ctx, st, m, meta.Sequence.Stream, vin, e); err != nil {
			return fmt.Errorf("nats: stream %s: message %d: %w", StreamBatches, meta.Sequence.Stream, err)
		}
		if meta.Sequence.Stream >= last.Sequence {
			return nil
		}
	}
}

// eraseFrom cuts a vehicle's records out of one batch.
func (s *Store) eraseFrom(ctx context.Context, st jetstream.Stream, m jetstream.Msg, seq uint64, vin codec.VIN, e *Erased) error {
	rest, cut, err := without(m.Subject(), m.Data(), vin)
	if err != nil || cut == 0 {
		return err
	}
	if len(rest) > 0 {
		if _, err := s.js.Publish(ctx, m.Subject(), rest); err != nil {
			return err
		}
		e.Rewritten++
	}
	if err := st.SecureDeleteMsg(ctx, seq); err != nil {
		return err
	}
	e.Frames += cut
	return nil
}

// without returns a batch without the entries of a vehicle, and how many those were.
func without(subject string, body []byte, vin codec.VIN) (rest []byte, cut uint64, err error) {
	for len(body) > 0 {
		n, err := entryLength(body)
		if err != nil {
			return nil, 0, err
		}
		records, err := stream.Parse(subject, nil, body[:n])
		if err != nil {
			return nil, 0, err
		}
		if len(records) == 1 && records[0].VIN == vin {
			cut++
		} else {
			rest = append(rest, body[:n]...)
		}
		body = body[n:]
	}
	return rest, cut, nil
}

// entryLength returns how long the entry is that a batch begins with.
func entryLength(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n') + 1
	if digits, ok := bytes.CutPrefix(b, []byte(`{"rawBytes":`)); ok && end > 0 {
		stop := bytes.IndexAny(digits, ",}")
		size, err := strconv.Atoi(string(digits[:max(stop, 0)]))
		if err != nil || size < 0 || size > codec.MaxFrameSize {
			return 0, fmt.Errorf("the length of a frame cannot be read: %q", clip(b[:end]))
		}
		end += size + 1
	}
	if end == 0 || end > len(b) {
		return 0, errors.New("the last entry is cut off")
	}
	return end, nil
}
