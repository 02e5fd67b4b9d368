package kafka_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/gateway/sink/kafka"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is Kafka in this process, with brokers that can be cut off.
type cluster struct {
	*kfake.Cluster
	mu    sync.Mutex
	away  bool
	conns map[net.Conn]bool
}

// defaultTopics are those that a sink uses unless told otherwise.
var defaultTopics = []string{kafka.DefaultRaw, kafka.DefaultDecoded, kafka.DefaultEvent, kafka.DefaultDLQ}

func startCluster(t *testing.T, opts ...kfake.Opt) *cluster {
	t.Helper()
	c := &cluster{conns: map[net.Conn]bool{}}
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.ListenFn(c.listen)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	c.Cluster = k
	return c
}

func (c *cluster) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &listener{l, c}, err
}

// listener cuts connections while the cluster is away.
type listener struct {
	net.Listener
	c *cluster
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.c.away {
		_ = nc.Close()
	} else {
		l.c.conns[nc] = true
	}
	return nc, nil
}

func (c *cluster) stop(*testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	for nc := range c.conns {
		_ = nc.Close()
	}
	clear(c.conns)
}

func (c *cluster) start(*testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = false
}

// records reads all that lies in topics, each partition in order.
func (c *cluster) records(t *testing.T, topics ...string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sinktest.Limit)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
	require.NoError(t, err)
	// To the end of each partition: while the topics are being filled, one of them may give more than it had then.
	type partition struct {
		topic  string
		number int32
	}
	left := map[partition]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[partition{o.Topic, o.Partition}] = o.Offset
		}
	})
	var all []*kgo.Record
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if p := (partition{r.Topic, r.Partition}); r.Offset+1 >= left[p] {
				delete(left, p)
			}
		})
	}
	return all
}

// open opens a sink that a test closes itself.
func (c *cluster) open(t *testing.T, o kafka.Options) *kafka.Sink {
	t.Helper()
	o.Brokers, o.Logger = c.ListenAddrs(), slog.New(slog.DiscardHandler)
	s, err := kafka.New(o)
	require.NoError(t, err)
	sinktest.Abandon(t, s)
	return s
}

// header is one header of a record, "" when it has none.
func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
