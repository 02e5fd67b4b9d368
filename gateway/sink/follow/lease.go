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
		revision, err := l.acquire(ctx)
		if err == nil {
			said = ""
			l.log.Info("sink: this gateway feeds it")
			l.keep(ctx, revision, work)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if news := err.Error(); news != said {
			said = news
			if errors.Is(err, jetstream.ErrKeyExists) {
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

// acquire takes the lease when nobody has it.
func (l *lease) acquire(ctx context.Context) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if l.kv == nil {
		replicas := 1
		for name := range l.js.ListStreams(ctx, jetstream.WithStreamListSubject(subjectEvents+">")).Info() {
			replicas = max(replicas, name.Config.Replicas) // as many as the store's own
		}
		l.kv, err = l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: BucketLeases, Description: "which gateway feeds which sink", TTL: l.ttl, History: 1, Storage: jetstream.MemoryStorage, Replicas: replicas,
		})
		if err != nil {
			l.kv = nil
			return 0, fmt.Errorf("bucket %s: %w", BucketLeases, err)
		}
	}
	return l.kv.Create(ctx, l.key, []byte(l.node))
}

// keep renews the lease while work goes on, and gives it back at the end.
func (l *lease) keep(ctx context.Context, revision uint64, work func(ctx context.Context)) {
	held, lose := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); work(held) }()
	renewed := time.Now()
	renew := time.NewTicker(l.ttl / 5)
	defer renew.Stop()
	for held.Err() == nil {
		select {
		case <-renew.C:
		case <-ctx.Done():
			continue
		}
		ask, cancel := context.WithDeadline(ctx, renewed.Add(l.ttl*4/5))
		next, err := l.kv.Update(ask, l.key, []byte(l.node), revision)
		cancel()
		switch {
		case err == nil:
			revision, renewed = next, time.Now()
		case ctx.Err() != nil:
		case errors.Is(err, jetstream.ErrKeyRevisionMismatch) || time.Since(renewed) >= l.ttl*4/5: // it is another's, or may be soon
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
