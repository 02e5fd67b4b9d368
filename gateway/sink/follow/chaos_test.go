//go:build chaos

package follow_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink/follow"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

// nodes are the three servers of a cluster.
type nodes struct {
	opts    [3]*server.Options
	servers [3]*server.Server
}

func startNodes(t *testing.T) *nodes {
	n := &nodes{}
	var routes []string
	for i := range n.opts {
		client, cluster := freePort(t), freePort(t)
		n.opts[i] = &server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: client, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "lease", Host: "127.0.0.1", Port: cluster},
		}
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", cluster))
	}
	for i := range n.opts {
		n.opts[i].Routes = server.RoutesFromStr(strings.Join(routes, ","))
		n.start(t, i)
	}
	t.Cleanup(func() {
		for i := range n.servers {
			n.kill(i)
		}
	})
	eventually(t, "the cluster has a leader", func() bool {
		return slices.ContainsFunc(n.servers[:], func(s *server.Server) bool {
			return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(n.servers)
		})
	})
	return n
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

func (n *nodes) start(t *testing.T, i int) {
	t.Helper()
	s, err := server.NewServer(n.opts[i].Clone())
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(sinktest.Limit))
	n.servers[i] = s
}

func (n *nodes) kill(i int) {
	if s := n.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		n.servers[i] = nil
	}
}

// healthy waits until every node has taken up its streams: one that is ended while it does leaves goroutines behind.
func (n *nodes) healthy(t *testing.T) {
	t.Helper()
	for _, s := range n.servers {
		eventually(t, "node "+s.Name()+" is healthy", func() bool { return s.Healthz(nil).StatusCode == http.StatusOK })
	}
}

func (n *nodes) urls() string {
	var all []string
	for _, o := range n.opts {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(all, ",")
}

// leader is the node that leads a stream, -1 while none does.
func (n *nodes) leader(stream string) int {
	for i, s := range n.servers {
		if s != nil && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// feeder is a gateway that feeds the sink when it has the lease.
type feeder struct {
	*follow.Follower
	name  string
	log   lines
	to    *slow
	stop  func() // in order
	death func() // it reaches the store no more
}

// TestChaosLease has gateways on a cluster of three feed one sink: two begin at once, one stops, nodes are killed while the
// lease is held (the one that leads it, and any), the holder is cut off. Two do not feed at a time (a quarter of a
// lease is allowed for in all, for a machine that stalls), nothing is lost, and each goes on where the one before it had left word.
func TestChaosLease(t *testing.T) {
	const ttl = 4 * time.Second
	n := startNodes(t)
	s, err := nats.Open(t.Context(), nats.Options{URL: n.urls(), Replicas: 3, MaxBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler), Node: "gw"})
	require.NoError(t, err)
	t.Cleanup(func() { closeStore(t, s) })

	var mu sync.Mutex
	var all []*feeder
	gateway := func(name string) *feeder {
		js, closeReader, err := s.OpenReader(name)
		require.NoError(t, err)
		g := &feeder{name: name, to: &slow{}, death: closeReader}
		g.Follower = follow.Start(follow.Options{Name: "one", Sink: g.to, JetStream: js, Streams: []string{nats.StreamRecords}, Lease: name, LeaseTTL: ttl, Logger: slog.New(slog.NewTextHandler(&g.log, nil))})
		var once sync.Once
		g.stop = func() {
			once.Do(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				g.Close(ctx)
				closeReader()
			})
		}
		mu.Lock()
		all = append(all, g)
		mu.Unlock()
		return g
	}
	active := func() (some []*feeder) {
		mu.Lock()
		defer mu.Unlock()
		for _, g := range all {
			if g.Active() {
				some = append(some, g)
			}
		}
		return some
	}
	// The whole time somebody looks how many feed.
	var both time.Duration // two of them, in all
	quit := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		last := time.Now()
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
			}
			now := time.Now()
			if len(active()) > 1 {
				both += now.Sub(last)
			}
			last = now
		}
	})

	sent := 0
	// handed are the numbers that gateways have handed on.
	handed := func() map[int]bool {
		mu.Lock()
		those := slices.Clone(all)
		mu.Unlock() // who looks how many feed shall not wait
		seen := make(map[int]bool)
		for _, g := range those {
			for _, x := range g.to.numbers(t, car) {
				seen[x] = true
			}
		}
		return seen
	}
	t.Cleanup(func() {
		defer func() {
			for _, g := range all {
				g.stop()
			}
		}()
		if !t.Failed() {
			return
		}
		for _, stream := range []string{"KV_" + follow.BucketLeases, nats.StreamRecords} {
			t.Logf("%s is led by node %d", stream, n.leader(stream))
		}
		for _, g := range all {
			t.Logf("gateway %s: active %t, handed on %v, %+v", g.name, g.Active(), tail(g.to.numbers(t, car), 5), g.Stats())
		}
		for _, g := range all {
			t.Logf("gateway %s:\n%s", g.name, &g.log)
		}
		t.Logf("%d were sent, %d handed on", sent, len(handed()))
	})
	// flows has records stored, and waits until all there are have been handed on and one gateway feeds; it returns that
	// one. It may have none of them: another one may have handed all on, and lost the lease then.
	flows := func() (by *feeder) {
		t.Helper()
		publish(t, s, car, sent, sent+50)
		sent += 50
		eventually(t, "all is handed on", func() bool {
			some := active()
			if len(some) != 1 {
				return false
			}
			by = some[0]
			return len(handed()) == sent && lag(by.Follower) == 0
		})
		return by
	}
	other := func(g, a, b *feeder) *feeder {
		if g == a {
			return b
		}
		return a
	}

	a, b := gateway("a"), gateway("b") // at once
	flows()
	var holder *feeder
	for _, stream := range []string{"KV_" + follow.BucketLeases, nats.StreamRecords} {
		var i int
		eventually(t, "a leader", func() bool { i = n.leader(stream); return i >= 0 })
		n.kill(i)
		flows()
		n.start(t, i)
		holder = flows()
	}

	next := other(holder, a, b)
	from := sent
	holder.stop()
	require.Same(t, next, flows())
	require.Equal(t, sequence(from, sent), tail(next.to.numbers(t, car), sent-from), "exactly behind what the first had stored")

	c := gateway("c")
	require.Same(t, next, flows())
	next.death() // while a node is away
	var i int
	eventually(t, "a leader", func() bool { i = n.leader("KV_" + follow.BucketLeases); return i >= 0 })
	n.kill(i)
	require.Same(t, c, flows())
	n.start(t, i)
	require.Same(t, c, flows())

	close(quit)
	looking.Wait()
	t.Logf("two fed for %s in all", both)
	require.Less(t, both, ttl/4)
	require.Len(t, handed(), sent, "nothing is lost")
	kv, err := s.JetStream().Stream(t.Context(), "KV_"+follow.BucketLeases)
	require.NoError(t, err)
	require.Equal(t, len(n.servers), kv.CachedInfo().Config.Replicas)
	n.healthy(t)
}

func tail(all []int, n int) []int { return all[max(len(all)-n, 0):] }
