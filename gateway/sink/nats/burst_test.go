package nats

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// TestBurstsAreConfirmedAtOnce counts the embedded server's replies: far fewer than records.
func TestBurstsAreConfirmedAtOnce(t *testing.T) {
	s := openStore(t, Options{})
	var replies atomic.Int64
	sub, err := s.records.Subscribe(s.sink.pub.inbox+">", func(*natsgo.Msg) { replies.Add(1) })
	require.NoError(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	to := new(receipts)
	const n = 20_000
	publishNumbered(t, s.Sink(), to, 0, n)
	to.wait(t, n)
	require.NoError(t, s.records.Flush())
	require.Positive(t, replies.Load())
	require.Less(t, replies.Load(), int64(n/2))
	got, _ := bodies(t, s, StreamRecords)
	requireOrder(t, 0, n, got)
}

// newBursts starts a publisher that publishes in bursts into silence, with n messages "0" to "n-1" in one.
func newBursts(t *testing.T, n int) (*publisher, *silence, *receipts) {
	p, s := newSilence(t)
	p.bursts = true
	p.mu.Lock()
	p.patience = time.Hour
	p.idle = false // the writer is not woken before all are there
	p.mu.Unlock()
	to := new(receipts)
	for i := range n {
		put(p, to, uint64(i), fmt.Sprint(i))
	}
	p.signal()
	require.Eventually(t, func() bool { return len(s.received()) >= n }, limit, time.Millisecond)
	all := s.received()
	require.Len(t, all, n)
	for i, m := range all {
		require.Equal(t, fmt.Sprint(i), string(m.Data))
		require.True(t, strings.HasSuffix(m.Reply, fmt.Sprintf("-%d.1000.fail.%d%s", n, i+1, []string{burstStart, burstAppend, burstCommit}[min(i, 1)+i/(n-1)])), m.Reply)
	}
	return p, s, to
}

// TestBurstReplies answers a burst of four in every way a server does. What is not confirmed is published
// again, in its order.
func TestBurstReplies(t *testing.T) {
	const confirmed = `{"stream":"TEST","seq":%d,"batch":"x","count":%d}`
	for _, c := range []struct {
		name    string
		replies []string // "place body"
		stored  int      // confirmed by them
		reason  string   // of the trouble that follows
	}{
		{"all", []string{"4 " + fmt.Sprintf(confirmed, 4, 4)}, 4, ""},
		{"an announcement, then all", []string{`1 {"type":"ack","seq":0,"msgs":500}`, "4 " + fmt.Sprintf(confirmed, 9, 4)}, 4, ""},
		{"two, then all", []string{`2 {"type":"ack","seq":2,"msgs":2}`, "4 " + fmt.Sprintf(confirmed, 4, 4)}, 4, ""},
		{"a part", []string{"2 " + fmt.Sprintf(confirmed, 2, 2)}, 2, errCut.Error()},
		{"a gap", []string{`4 {"type":"gap","last_seq":3,"seq":4}`, "4 " + fmt.Sprintf(confirmed, 2, 2)}, 2, errCut.Error()},
		{"an error of the first", []string{`1 {"error":{"code":503,"err_code":10077,"description":"full"},"stream":"TEST","seq":0}`}, 0, "full (JetStream error 10077)"},
		{
			"an error within", []string{`2 {"type":"ack","seq":1,"msgs":1}`, `3 {"type":"err","seq":2,"error":{"code":503,"err_code":10077,"description":"full"}}`},
			1, "full (JetStream error 10077)",
		},
		{"more than there were", []string{"4 " + fmt.Sprintf(confirmed, 5, 5)}, 0, "does not fit"},
		{"the stream has not grown enough", []string{"4 " + fmt.Sprintf(confirmed, 3, 4)}, 0, "does not fit"},
		{"nonsense", []string{"4 hello"}, 0, `"hello" cannot be read`},
		{"nobody there", []string{"1 ", "2 ", "3 ", "4 "}, 0, ErrNoStream.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, s, to := newBursts(t, 4)
			all := s.received()
			for _, r := range c.replies {
				m := natsgo.NewMsg(all[r[0]-'1'].Reply)
				if m.Data = []byte(r[2:]); len(m.Data) == 0 {
					m.Header.Set("Status", "503")
				}
				require.NoError(t, p.nc.PublishMsg(m))
			}
			require.NoError(t, p.nc.Flush())
			if c.reason != "" {
				require.Eventually(t, func() bool { return p.healthy() != nil }, limit, time.Millisecond)
				require.ErrorContains(t, p.healthy(), c.reason)
			}
			to.wait(t, c.stored)
			if c.stored == 4 {
				require.NoError(t, p.healthy())
				return
			}
			// The first of the others comes again alone, and when it is stored the rest behind it.
			require.Eventually(t, func() bool { return len(s.received()) >= 5 }, limit, time.Millisecond)
			require.Equal(t, fmt.Sprint(c.stored), s.bodies()[4])
			require.NoError(t, s.received()[4].Respond([]byte(plainAck)))
			require.Eventually(t, func() bool { return len(s.received()) >= 8-c.stored }, limit, time.Millisecond)
			var want []string
			for i := c.stored; i < 4; i++ {
				want = append(want, fmt.Sprint(i))
			}
			require.Equal(t, want, s.bodies()[4:])
			if c.stored < 3 {
				last := s.received()[7-c.stored]
				require.NoError(t, last.Respond(fmt.Appendf(nil, confirmed, 100, 3-c.stored)))
				if c.stored == 2 { // one alone is no burst
					require.NotContains(t, last.Reply, "-")
				}
			}
			to.wait(t, 4)
			require.NoError(t, p.healthy())
		})
	}
}

// TestMissingOneIsSeen answers a burst, a message alone, and a burst of which the server has lost one without a word.
func TestMissingOneIsSeen(t *testing.T) {
	const confirmed = `{"stream":"TEST","seq":%d,"batch":"x","count":%d}`
	p, s, to := newBursts(t, 4)
	require.NoError(t, s.received()[3].Respond(fmt.Appendf(nil, confirmed, 4, 4)))
	to.wait(t, 4)
	more := func(from, until int) *natsgo.Msg {
		p.mu.Lock()
		p.idle = false
		p.mu.Unlock()
		for i := from; i < until; i++ {
			put(p, to, uint64(i), fmt.Sprint(i))
		}
		p.signal()
		require.Eventually(t, func() bool { return len(s.received()) == until }, limit, time.Millisecond)
		return s.received()[until-1]
	}
	require.NoError(t, more(4, 5).Respond([]byte(`{"stream":"TEST","seq":5}`)))
	to.wait(t, 5)
	require.NoError(t, more(5, 8).Respond(fmt.Appendf(nil, confirmed, 7, 3)))
	require.Eventually(t, func() bool { return p.healthy() != nil }, limit, time.Millisecond)
	require.ErrorContains(t, p.healthy(), "does not fit")
}

// TestLostBurstsComeAgain answers nothing: the messages are published again, and a late confirmation of the
// burst counts.
func TestLostBurstsComeAgain(t *testing.T) {
	p, s, to := newBursts(t, 4)
	p.mu.Lock()
	p.patience = time.Millisecond
	p.mu.Unlock()
	p.signal()
	require.Eventually(t, func() bool { return len(s.received()) >= 5 }, limit, time.Millisecond)
	require.Equal(t, "0", s.bodies()[4])
	require.NoError(t, s.received()[3].Respond([]byte(`{"stream":"TEST","seq":4,"batch":"x","count":4}`)))
	to.wait(t, 4)
	require.NoError(t, p.healthy())
}

// TestLargeMessagesGoAlone has a message between others that no server takes: those go on.
func TestLargeMessagesGoAlone(t *testing.T) {
	s := openStore(t, Options{})
	p := s.sink.pub
	p.mu.Lock()
	p.idle = false
	p.mu.Unlock()
	to := new(receipts)
	for i := range 6 {
		r := record(t, fmt.Sprint(i))
		if i == 3 {
			r.Body = make([]byte, maxPayload+1)
		}
		s.Sink().Publish(r, to, uint64(i))
	}
	p.signal()
	to.wait(t, 5)
	require.ErrorIs(t, s.Healthy(), ErrTooLarge)
	got, _ := bodies(t, s, StreamRecords)
	require.Equal(t, []string{"0", "1", "2", "4", "5"}, got)
}

func TestParseBurstReply(t *testing.T) {
	r, ok := parseBurstReply("17-4.1000.fail.3.1.$FI")
	require.True(t, ok)
	require.Equal(t, burstReply{first: 17, n: 4, place: 3}, r)
	for _, s := range []string{"", "17", "17-4", "17-4.1000.fail", "17-4.1000.fail.5.1.$FI", "17-4.1000.fail.0.1.$FI", "x-4.1000.fail.1.1.$FI", "1-9999.1000.fail.1.1.$FI"} {
		_, ok := parseBurstReply(s)
		require.False(t, ok, s)
	}
}
