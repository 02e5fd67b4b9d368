package nats

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// silence takes the place of a stream: it receives what is published and confirms it only when it is
// told to.
type silence struct {
	mu   sync.Mutex
	msgs []*natsgo.Msg
}

func (s *silence) take(m *natsgo.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs = append(s.msgs, m)
}

func (s *silence) received() []*natsgo.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*natsgo.Msg(nil), s.msgs...)
}

func (s *silence) bodies() []string {
	var all []string
	for _, m := range s.received() {
		all = append(all, string(m.Data))
	}
	return all
}

// newSilence starts an impatient publisher whose messages to test.> go into silence.
func newSilence(t *testing.T) (*publisher, *silence) {
	st := openStore(t, Options{})
	p, err := newPublisher(st.records, "messages", slog.New(slog.DiscardHandler), func() {})
	require.NoError(t, err)
	p.mu.Lock()
	p.patience = 100 * time.Millisecond
	p.mu.Unlock()
	t.Cleanup(func() { _ = closePublisher(p) })
	s := new(silence)
	sub, err := st.control.Subscribe("test.>", s.take)
	require.NoError(t, err)
	require.NoError(t, st.control.Flush())
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return p, s
}

func closePublisher(p *publisher) error {
	ctx, cancel := deadContext()
	defer cancel()
	return p.close(ctx)
}

func put(p *publisher, to *receipts, ticket uint64, body string) {
	m := p.take()
	m.buf = append(append(m.buf[:0], "test.a"...), body...)
	m.split = len("test.a")
	m.to, m.ticket = to, ticket
	p.publish(m)
}

const plainAck = `{"stream":"TEST","seq":1}`

func TestLostRepliesAreAskedForAgain(t *testing.T) {
	p, s := newSilence(t)
	to := new(receipts)
	for i := range 3 {
		put(p, to, uint64(i), string(rune('a'+i)))
	}
	require.Eventually(t, func() bool { return len(s.received()) >= 4 }, limit, time.Millisecond)
	require.Equal(t, []string{"a", "b", "c", "a"}, s.bodies()[:4], "again, the first one alone")
	require.ErrorIs(t, p.healthy(), ErrNoAnswer)
	require.Zero(t, to.count())

	require.NoError(t, s.received()[3].Respond([]byte(plainAck)))
	require.Eventually(t, func() bool { return to.count() == 1 }, limit, time.Millisecond)
	// Once one is stored, the others come behind it in their order.
	require.Eventually(t, func() bool {
		all := s.bodies()
		return len(all) >= 6 && all[len(all)-1] == "c" && all[len(all)-2] == "b"
	}, limit, time.Millisecond)
	answerAll(t, s, p)
	to.wait(t, 3)
	require.NoError(t, p.healthy())
}

func TestLateConfirmationCounts(t *testing.T) {
	p, s := newSilence(t)
	to := new(receipts)
	put(p, to, 1, "a")
	put(p, to, 2, "b")
	require.Eventually(t, func() bool { return len(s.received()) >= 3 }, limit, time.Millisecond)
	// The first attempts are answered after they were given up.
	require.NoError(t, s.received()[1].Respond([]byte(plainAck)))
	require.NoError(t, s.received()[0].Respond([]byte(plainAck)))
	to.wait(t, 2)
	require.NoError(t, p.healthy())
	require.Equal(t, 0, p.snapshot().Waiting)
	// Later answers to the same attempts, or to repetitions, change nothing.
	answerAll(t, s, p)
	put(p, to, 3, "c")
	require.Eventually(t, func() bool { b := s.bodies(); return b[len(b)-1] == "c" }, limit, time.Millisecond)
	require.Equal(t, 2, to.count(), "no stale answer confirms the new message")
	answerAll(t, s, p)
	to.wait(t, 3)
}

func TestOneLostReplyAmongOthers(t *testing.T) {
	p, s := newSilence(t)
	to := new(receipts)
	put(p, to, 1, "lost")
	stop := time.Now().Add(limit)
	answered := 0
	for ticket := uint64(2); time.Now().Before(stop); ticket++ {
		put(p, to, ticket, "x")
		require.Eventually(t, func() bool { return len(s.received()) > answered }, limit, time.Millisecond)
		for _, m := range s.received()[answered:] {
			if answered++; string(m.Data) != "lost" {
				require.NoError(t, m.Respond([]byte(plainAck)))
			}
		}
		if len(s.bodies()) > 1 && s.bodies()[answered-1] == "lost" && answered > 1 {
			break // it came again although others are confirmed all the time
		}
		time.Sleep(5 * time.Millisecond)
	}
	require.Contains(t, s.bodies()[1:], "lost")
}

func TestWindowBoundsWhatIsUnderWay(t *testing.T) {
	p, s := newSilence(t)
	p.mu.Lock()
	p.patience = time.Minute
	p.mu.Unlock()
	to := new(receipts)
	for i := range windowMessages + 1000 {
		put(p, to, uint64(i), "x")
	}
	require.Eventually(t, func() bool { return len(s.received()) == windowMessages }, limit, time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	require.Len(t, s.received(), windowMessages)
	answerAll(t, s, p)
	to.wait(t, windowMessages+1000)
	require.Equal(t, Stats{Stored: windowMessages + 1000}, p.snapshot())
}

func TestFifo(t *testing.T) {
	var q fifo
	a, b, c, d := new(message), new(message), new(message), new(message)
	require.Nil(t, q.pop())
	q.push(b)
	q.push(c)
	q.pushFront(a)
	for _, want := range []*message{a, b, c, nil} {
		require.Same(t, want, q.pop())
	}
	q.pushFront(d)
	q.push(a)
	for _, want := range []*message{d, a, nil} {
		require.Same(t, want, q.pop())
	}
}

// answerAll confirms everything that came and comes until the publisher is empty.
func answerAll(t *testing.T, s *silence, p *publisher) {
	t.Helper()
	answered := 0
	require.Eventually(t, func() bool {
		for _, m := range s.received()[answered:] {
			require.NoError(t, m.Respond([]byte(plainAck)))
			answered++
		}
		return p.snapshot().Waiting == 0
	}, limit, time.Millisecond)
}

// TestAnOlderWriteBehindOneThatIsTooLarge has two writes of one key under way: the older fails, the newer is
// refused for its size. The older must be stored then, not taken for covered by the newer.
func TestAnOlderWriteBehindOneThatIsTooLarge(t *testing.T) {
	p, s := newSilence(t)
	p.mu.Lock()
	p.patience = time.Hour
	p.mu.Unlock()
	outcome := make(chan string, 3)
	write := func(body string) {
		m := p.take()
		m.buf = append(append(m.buf[:0], "test.a"...), body...)
		m.split = len("test.a")
		m.done = func(err error) { outcome <- fmt.Sprint(body, ": ", err) }
		require.True(t, p.publish(m))
	}
	write("old")
	write("large")
	require.Eventually(t, func() bool { return len(s.received()) == 2 }, limit, time.Millisecond)
	require.NoError(t, s.received()[1].Respond([]byte(`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`)))
	require.Contains(t, <-outcome, "large: the stream refuses")
	require.NoError(t, s.received()[0].Respond([]byte(`{"error":{"code":503,"err_code":10077,"description":"full"}}`)))
	require.Eventually(t, func() bool { return len(s.received()) == 3 }, limit, time.Millisecond, "the older one is written again")
	require.Empty(t, outcome)
	write("new")
	require.NoError(t, s.received()[2].Respond([]byte(plainAck)))
	require.Equal(t, "old: <nil>", <-outcome)
	require.Eventually(t, func() bool { return len(s.received()) == 4 }, limit, time.Millisecond)
	require.NoError(t, s.received()[3].Respond([]byte(plainAck)))
	require.Equal(t, "new: <nil>", <-outcome)
}
