package nats

import (
	"errors"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestParseAck(t *testing.T) {
	for _, c := range []struct {
		name, data string
		header     natsgo.Header
		seq        uint64
		err        string
	}{
		{name: "plain", data: `{"stream":"GBT32960","seq":17}`, seq: 17},
		{name: "space", data: `{"stream":"GBT32960", "seq": 17}`, seq: 17},
		{name: "domain", data: `{"stream":"GBT32960","domain":"hub","seq":18446744073709551615}`, seq: 1<<64 - 1},
		{name: "domain last", data: `{"stream":"GBT32960","seq":5,"domain":"hub"}`, seq: 5},
		{name: "duplicate", data: `{"stream":"GBT32960","seq":3,"duplicate": true}`, seq: 3},
		{name: "seq first", data: `{"seq":9,"stream":"GBT32960"}`, seq: 9},
		{name: "seq nought", data: `{"stream":"GBT32960","seq":0}`, err: "has no sequence number"},
		{name: "no seq", data: `{"stream":"GBT32960"}`, err: "has no sequence number"},
		{name: "cut", data: `{"stream":"GBT32960","seq":17`, err: "cannot be read"},
		{name: "not JSON", data: `+OK`, err: "cannot be read"},
		{name: "empty", data: ``, err: "cannot be read"},
		{
			name: "refused", data: `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"GBT32960","seq":0}`,
			err: "the stream refuses: maximum bytes exceeded (JetStream error 10077)",
		},
		{
			name: "refused, stream first", data: `{"stream":"GBT32960","seq":4,"error":{"code":503,"err_code":10077,"description":"no"}}`,
			err: "the stream refuses: no (JetStream error 10077)",
		},
		{
			name: "too large", data: `{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"},"stream":"GBT32960","seq":0}`,
			err: "message size exceeds",
		},
		{name: "nobody listens", header: natsgo.Header{"Status": {"503"}}, err: ErrNoStream.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			seq, err := parseAck(&natsgo.Msg{Data: []byte(c.data), Header: c.header})
			if c.err == "" {
				require.NoError(t, err)
				require.Equal(t, c.seq, seq)
				return
			}
			require.ErrorContains(t, err, c.err)
			require.Equal(t, c.name == "too large", errors.Is(err, ErrTooLarge))
			require.Equal(t, c.name == "nobody listens", errors.Is(err, ErrNoStream))
		})
	}
}

func TestParseAckAllocatesNothing(t *testing.T) {
	m := &natsgo.Msg{Data: []byte(`{"stream":"GBT32960","seq":123456789}`)}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if seq, err := parseAck(m); seq != 123456789 || err != nil {
			t.Error(seq, err)
		}
	}))
}

func TestParseReplyNumber(t *testing.T) {
	const inbox = "_INBOX.abc."
	for subject, want := range map[string]uint64{inbox + "0": 0, inbox + "18446744073709551615": 1<<64 - 1} {
		n, ok := parseReplyNumber(subject, len(inbox))
		require.True(t, ok, subject)
		require.Equal(t, want, n)
	}
	for _, subject := range []string{"", inbox, inbox + "x", inbox + "-1", inbox + "18446744073709551616"} {
		_, ok := parseReplyNumber(subject, len(inbox))
		require.False(t, ok, subject)
	}
}
