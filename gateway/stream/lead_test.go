package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestBatchesOfAClockThatIsAhead: the look begins where the report's time says, behind the message that holds it; a later report
// of the vehicle shows that its clock is ahead, and the look goes on before.
func TestBatchesOfAClockThatIsAhead(t *testing.T) {
	srv, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go srv.Start()
	require.True(t, srv.ReadyForConnections(20*time.Second))
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	require.NoError(t, err)
	t.Cleanup(func() {
		nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	st, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: Batches, Subjects: []string{SubjectBatches + "*"}, AllowDirect: true})
	require.NoError(t, err)
	a, err := codec.ParseVIN("LTEST000000000001")
	require.NoError(t, err)
	put := func(command string, at time.Time, speed int) (f codec.Frame, stored time.Time) {
		t.Helper()
		text := fmt.Appendf(nil, `{"edition":2016,"command":%q,"vin":%q,"time":%q,"info":[{"type":"engine","state":1,"crankshaftSpeed":%d,"fuelConsumption":5.00}]}`,
			command, a.String(), at.In(codec.Beijing).Format(time.RFC3339), speed)
		f, err := codec.EncodeJSON(nil, text)
		require.NoError(t, err)
		var m codec.Message
		m.Decode(f)
		line := m.AppendJSON(nil, codec.JSONOptions{})
		line = fmt.Appendf(line[:len(line)-1], `,"receivedAt":%q,"node":"gw1","session":"00c0ffee00c0ffee","remote":""}`+"\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
		ack, err := js.Publish(t.Context(), BatchSubject(a), line)
		require.NoError(t, err)
		got, err := st.GetMsg(t.Context(), ack.Sequence)
		require.NoError(t, err)
		return f, got.Time
	}
	ahead := func(stored time.Time) time.Time { return stored.Add(2 * time.Hour).Truncate(time.Second) }
	original, first := put("realtime", ahead(time.Now()), 1)
	time.Sleep(20 * time.Millisecond)
	_, second := put("realtime", ahead(time.Now()).Add(time.Second), 2)
	from := second.Add(batchesEarlier - 5*time.Millisecond) // load looks batchesEarlier further
	require.True(t, from.Add(-batchesEarlier).After(first))
	at, ok := original.Time()
	require.True(t, ok)
	ask := func() bool {
		t.Helper()
		found, err := newBatches(js).find(t.Context(), a, from, at, UnitHash(original.Unit()))
		require.NoError(t, err)
		return found
	}
	require.True(t, ask())

	// A reissued report is old, and says nothing of the clock. One that was put right does.
	put("reissue", time.Now().Add(-time.Hour), 3)
	require.True(t, ask())
	put("realtime", time.Now(), 4)
	require.False(t, ask(), "looked further than the clock says")
}
