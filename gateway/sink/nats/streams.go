package nats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// Streams and their subjects.
const (
	StreamRecords  = "GBT32960"         // gbt32960.up.<vin>.<command>
	StreamBatches  = "GBT32960_BATCH"   // gbt32960.batch.<pp>
	StreamEvents   = "GBT32960_EVENTS"  // gbt32960.event.<vin>.<kind>
	StreamMQTT     = "GBT32960_MQTT"    // gbt32960.mqtt.<productKey>.<deviceName>
	SubjectMQTT    = "gbt32960.mqtt."   // then session.Token of the product key, a dot, session.Token of the device name
	SubjectRecords = "gbt32960.up."     // then session.Token of the VIN, a dot, the command's JSON name
	SubjectBatches = "gbt32960.batch."  // then two digits of the partition
	SubjectEvents  = "gbt32960.event."  // then session.Token of the VIN, a dot, the event's kind
	eventsAge      = 7 * 24 * time.Hour // the age of events and command results
)

// Buckets of state.
const (
	BucketDevices   = "GBT32960_DEVICES"
	BucketPlatforms = "GBT32960_PLATFORMS"
	BucketKeys      = "GBT32960_KEYS"
	BucketCommands  = "GBT32960_COMMANDS" // entries live 7 days
	BucketLast      = "GBT32960_LAST"
	BucketMQTT      = "GBT32960_MQTT_DEVICES"
	BucketNonces    = "GBT32960_NONCES" // on an external server only
)

// noncesAge is above the half hour in which time stamps of one call of the API are valid, on gateways whose clocks differ a little.
const noncesAge = 35 * time.Minute

var buckets = []struct {
	name, about string
	ttl         time.Duration
	shared      bool // of no use to one gateway alone: only on an external server
}{
	{name: BucketDevices, about: "registered vehicles"},
	{name: BucketPlatforms, about: "platforms that may log in"},
	{name: BucketKeys, about: "access keys of the API, sealed"},
	{name: BucketCommands, about: "commands and their results", ttl: eventsAge},
	{name: BucketLast, about: "last state of each vehicle"},
	{name: BucketMQTT, about: "registered MQTT devices, their secrets sealed"},
	{name: BucketNonces, about: "used nonces of the API, hashed", ttl: noncesAge, shared: true},
}

// ensure makes the streams and buckets, or updates those there are to the options.
func (s *Store) ensure(ctx context.Context) error {
	frames, batches, err := s.shares(ctx)
	if err != nil {
		return err
	}
	for _, c := range []jetstream.StreamConfig{
		{
			Name: StreamRecords, Description: "GB/T 32960 frames, as received",
			Subjects: []string{SubjectRecords + ">"},
			MaxAge:   s.opts.MaxAge, MaxBytes: frames, AllowBatchPublish: s.server != nil,
		},
		{
			Name: StreamBatches, Description: "GB/T 32960 frames, as received, many in one message",
			Subjects: []string{SubjectBatches + "*"},
			MaxAge:   s.opts.MaxAge, MaxBytes: batches, AllowBatchPublish: s.server != nil,
		},
		{
			Name: StreamEvents, Description: "presence, refused logins, commands",
			Subjects: []string{SubjectEvents + ">"},
			MaxAge:   eventsAge, MaxBytes: max(s.opts.MaxBytes/10, 64<<20),
		},
		{
			Name: StreamMQTT, Description: "messages of MQTT devices",
			Subjects: []string{SubjectMQTT + ">"},
			MaxAge:   s.opts.MaxAge, MaxBytes: max(s.opts.MaxBytes/10, 64<<20),
		},
	} {
		if c.MaxBytes == 0 {
			continue // a layout that is not used
		}
		c.Storage, c.Discard, c.AllowDirect, c.Replicas = jetstream.FileStorage, jetstream.DiscardOld, true, max(s.opts.Replicas, 1)
		if err := s.ensureStream(ctx, c); err != nil {
			return fmt.Errorf("nats: stream %s: %w", c.Name, err)
		}
	}
	for _, b := range buckets {
		if b.shared && s.server != nil {
			continue
		}
		if err := s.ensureBucket(ctx, b.name, b.about, b.ttl); err != nil {
			return fmt.Errorf("nats: bucket %s: %w", b.name, err)
		}
	}
	return nil
}

// syncDefinitions brings to the disk what the embedded server has written about its streams. The server leaves that to
// the kernel, unless it syncs each message; and a stream whose definition was cut off by a power loss is not recovered,
// with all that is in it.
func (s *Store) syncDefinitions() error {
	if s.server == nil {
		return nil
	}
	err := filepath.WalkDir(filepath.Join(s.opts.Dir, server.JetStreamStoreDir), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it has gone since its name was read
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "msgs":
			return fs.SkipDir // the messages, which the server syncs
		case !d.IsDir() && d.Name() != server.JetStreamMetaFile && d.Name() != server.JetStreamMetaFileSum:
			return nil
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	if err != nil {
		return fmt.Errorf("nats: the definitions of the streams cannot be synced: %w", err)
	}
	return nil
}

// shares divides MaxBytes between the streams of the two layouts: the one in use gets what the other does
// not hold, the other keeps what it holds, up to half, until that is too old. The batched stream is made
// when it is used; 0 says that it is not there.
func (s *Store) shares(ctx context.Context) (frames, batches int64, err error) {
	batched := s.opts.Batch.MaxFrames > 0
	other := StreamBatches
	if batched {
		other = StreamRecords
	}
	st, err := s.js.Stream(ctx, other)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && !batched:
		return s.opts.MaxBytes, 0, nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return s.opts.MaxBytes / 2, s.opts.MaxBytes, nil
	case err != nil:
		return 0, 0, fmt.Errorf("nats: stream %s: %w", other, err)
	}
	rest := s.opts.MaxBytes / 2
	used := s.opts.MaxBytes - min(int64(st.CachedInfo().State.Bytes), rest)
	if batched {
		return rest, used, nil
	}
	return used, rest, nil
}

// ensureStream makes a stream. Of one that exists it changes only what the options say, so that an
// operator's placement, compression or mirrors stay.
func (s *Store) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	st, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = s.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	have := st.CachedInfo().Config
	if err := keeps(have); err != nil {
		return err
	}
	next := have
	next.Subjects, next.MaxAge, next.MaxBytes, next.Discard = want.Subjects, want.MaxAge, want.MaxBytes, want.Discard
	// The window for message ids, which we do not use, may not be longer than the age.
	next.Duplicates = min(next.Duplicates, next.MaxAge)
	next.AllowBatchPublish = have.AllowBatchPublish || want.AllowBatchPublish
	if s.opts.Replicas > 0 {
		next.Replicas = s.opts.Replicas
	}
	if slices.Equal(have.Subjects, next.Subjects) && have.MaxAge == next.MaxAge && have.MaxBytes == next.MaxBytes &&
		have.Discard == next.Discard && have.AllowBatchPublish == next.AllowBatchPublish && have.Replicas == next.Replicas {
		return nil
	}
	_, err = s.js.UpdateStream(ctx, next)
	return err
}

// ErrNotKept says that a stream that was there already would confirm a record and not keep it.
var ErrNotKept = errors.New("the stream does not keep what it confirms")

// keeps refuses a stream, made by somebody else, on which an answer would not mean stored.
func keeps(c jetstream.StreamConfig) error {
	var why string
	switch {
	case c.Storage != jetstream.FileStorage:
		why = "its storage is memory"
	case c.NoAck:
		why = "it confirms nothing (no_ack)"
	case c.PersistMode == jetstream.AsyncPersistMode:
		why = "it confirms before it writes (persist_mode async)"
	case c.Retention != jetstream.LimitsPolicy:
		why = "its retention is " + strings.ToLower(c.Retention.String()) + ", which drops what nobody reads"
	case c.Sealed:
		why = "it is sealed"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s; delete it, or make it again with file storage, confirmations and the limits policy", ErrNotKept, why)
}

// ensureBucket makes a bucket, or updates the age and replicas of the one there is.
func (s *Store) ensureBucket(ctx context.Context, name, about string, ttl time.Duration) error {
	kv, err := s.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = s.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, Description: about, TTL: ttl, History: 1,
			Storage: jetstream.FileStorage, Replicas: max(s.opts.Replicas, 1),
		})
		return err
	}
	if err != nil {
		return err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	c := status.Config()
	if c.Storage != jetstream.FileStorage {
		return fmt.Errorf("%w: its storage is memory; delete it, and it is made again", ErrNotKept)
	}
	replicas := c.Replicas
	if s.opts.Replicas > 0 {
		replicas = s.opts.Replicas
	}
	if c.TTL == ttl && c.Replicas == replicas {
		return nil
	}
	c.TTL, c.Replicas = ttl, replicas
	_, err = s.js.UpdateKeyValue(ctx, c)
	return err
}

// affordable returns the default size of the stream in dir: 20 GiB or half of what is free, whichever
// is smaller. What the store holds already counts as free, else each start would halve it again.
func affordable(dir string) (int64, error) {
	// The directory may not be there yet: ask for the nearest one that is.
	at := dir
	for at != filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		at = filepath.Dir(at)
	}
	disk, err := diskAt(at)
	if err != nil {
		return 0, fmt.Errorf("nats: the free disk at %s cannot be told: %w", at, err)
	}
	free := disk.Free
	err = filepath.WalkDir(filepath.Join(dir, "jetstream"), func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no store yet, or a file that went away
		}
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil {
			free += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("nats: the size of the store in %s cannot be told: %w", dir, err)
	}
	return min(DefaultMaxBytes, free/2), nil
}

// redact removes user and password from URLs for a text.
func redact(urls string) string {
	all := strings.Split(urls, ",")
	for i, u := range all {
		p, err := url.Parse(strings.TrimSpace(u))
		switch {
		case err != nil:
			all[i] = "(bad URL)" // the parser's text would repeat it whole
		default:
			p.User = nil
			all[i] = p.String()
		}
	}
	return strings.Join(all, ",")
}
