package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// BucketLeases holds who feeds which sink, where several gateways share a store: the key is the sink's name,
// the value the gateway's. An entry that is not renewed in time disappears by the server's clock.
const BucketLeases = "GBT32960_SINKS"

// subjectLeases are the subjects of its entries.
const subjectLeases = "$KV." + BucketLeases + ".>"

// DefaultLease is how long a lease lasts without being renewed, and so how long a sink waits at most when
// the gateway that feeds it dies.
const DefaultLease = 15 * time.Second

// lease makes sure that one gateway alone feeds a sink.
type lease struct {
	js   jetstream.JetStream
	key  string // the sink's name
	node string
	ttl  time.Duration
	log  *slog.Logger
	kv   jetstream.KeyValue
}

// hold waits for the lease, calls work while it lasts, and so on until ctx ends. work ends soon after its
// context does.
func (l *lease) hold(ctx context.Context, work func(ctx context.Context)) {
	said := "" // what was logged last
	for ctx.Err() == nil {
		revision, asked, err := l.acquire(ctx)
		if err == nil {
			said = ""
			l.log.Info("sink: this gateway feeds it")
			l.keep(ctx, revision, asked, work)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		held := errors.Is(err, jetstream.ErrKeyExists)
		news := err.Error()
		if held {
			news = "another" // the error has the revision, which each renewal changes
		}
		if news != said {
			said = news
			if held {
				l.log.Info("sink: another gateway feeds it; this one stands by")
			} else {
				l.log.Warn("sink: it cannot be told who feeds it", "error", err)
			}
		}
		select {
		case <-time.After(l.ttl / 5):
		case <-ctx.Done():
		}
	}
}

// lasts is how long the holder relies on its lease, from when it asked for it or for its renewal: the server's
// clock began later, and so the lease is no one else's by then, however long the answer took.
func (l *lease) lasts() time.Duration { return l.ttl * 4 / 5 }

// acquire takes the lease when nobody has it, and tells when it asked.
func (l *lease) acquire(ctx context.Context) (revision uint64, asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(askTimeout, l.ttl/2)) // an answer that comes later leaves no time to renew
	defer cancel()
	if l.kv == nil {
		if err := l.open(ctx); err != nil {
			return 0, asked, fmt.Errorf("bucket %s: %w", BucketLeases, err)
		}
	}
	asked = time.Now()
	revision, err = l.kv.Create(ctx, l.key, []byte(l.node))
	if errors.Is(err, jetstream.ErrNoStreamResponse) { // it has no leader, or is gone
		if _, gone := l.js.StreamNameBySubject(ctx, subjectLeases); errors.Is(gone, jetstream.ErrStreamNotFound) {
			l.kv = nil
		}
	}
	return revision, asked, err
}

// open finds the bucket or makes it. It is a file: a server that has come back with an empty memory does not count in the
// choice of a leader, so that the bucket of a cluster would be left without one when the next server goes, and that of a
// single server would be gone.
func (l *lease) open(ctx context.Context) error {
	events, err := l.js.StreamNameBySubject(ctx, subjectEvents+">")
	if err != nil {
		return fmt.Errorf("the store's stream of events: %w", err)
	}
	st, err := l.js.Stream(ctx, events)
	if err != nil {
		return fmt.Errorf("stream %s: %w", events, err)
	}
	want := jetstream.KeyValueConfig{
		Bucket: BucketLeases, Description: "which gateway feeds which sink", TTL: l.ttl, History: 1, Storage: jetstream.FileStorage,
		Replicas: st.CachedInfo().Config.Replicas, // as many as the store's own
	}
	kv, err := l.js.KeyValue(ctx, BucketLeases)
	if err == nil {
		status, err := kv.Status(ctx)
		if err != nil {
			return err
		}
		switch have := status.Config(); {
		case have.Storage != want.Storage:
			return errors.New("its storage is memory; delete it, and it is made again")
		case have.TTL == want.TTL && have.Replicas == want.Replicas:
			l.kv = kv
			return nil
		}
	} else if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return err
	}
	if kv, err = l.js.CreateOrUpdateKeyValue(ctx, want); err != nil {
		return err
	}
	l.kv = kv
	return nil
}

// keep renews the lease, which was asked for at renewed, while work goes on, and gives it back at the end.
func (l *lease) keep(ctx context.Context, revision uint64, renewed time.Time, work func(ctx context.Context)) {
	held, lose := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); work(held) }()
	renew := time.NewTicker(l.ttl / 5)
	defer renew.Stop()
	for held.Err() == nil {
		select {
		case <-renew.C:
		case <-ctx.Done():
			continue
		}
		asked := time.Now()
		ask, cancel := context.WithDeadline(ctx, renewed.Add(l.lasts()))
		next, err := l.kv.Update(ask, l.key, []byte(l.node), revision)
		cancel()
		switch {
		case err == nil:
			revision, renewed = next, asked
		case ctx.Err() != nil:
		case errors.Is(err, jetstream.ErrKeyRevisionMismatch) || time.Since(renewed) >= l.lasts(): // it is another's, or may be soon
			l.log.Warn("sink: this gateway feeds it no longer", "error", err)
			lose()
		}
	}
	lose()
	<-done
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_ = l.kv.Delete(release, l.key, jetstream.LastRevision(revision)) // else it runs out
}
