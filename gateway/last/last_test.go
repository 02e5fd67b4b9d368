package last_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/last"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// world is a store and a table with a keeper between them.
type world struct {
	store  *nats.Store
	table  *session.Table
	keeper *last.Keeper
	batch  bool
	busy   atomic.Int64 // what the keeper is told of the store
	lagged atomic.Int64 // its greatest lag when it asked, behind a page and before a pause
}

func open(t testing.TB, dir string, batch bool) *world {
	t.Helper()
	o := nats.Options{Dir: dir, MaxBytes: 1 << 30, Node: "gw1", Logger: slog.New(slog.DiscardHandler)}
	if batch {
		o.Batch = nats.Batch{MaxFrames: 64, MaxDelay: time.Millisecond}
	}
	s, err := nats.Open(t.Context(), o)
	require.NoError(t, err)
	w := &world{store: s, table: session.NewTable(nil, "gw1"), batch: batch}
	var keeper atomic.Pointer[last.Keeper]
	w.keeper = last.Start(last.Options{
		JetStream: s.JetStream(), KV: s.KV(nats.BucketLast), Sessions: w.table, Node: "gw1", Batched: batch,
		Backlog: func() int {
			if k := keeper.Load(); k != nil {
				w.lagged.Store(max(w.lagged.Load(), int64(k.Lag())))
			}
			return int(w.busy.Load())
		}, Every: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	keeper.Store(w.keeper)
	return w
}

func (w *world) close(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, w.keeper.Close(ctx))
	require.NoError(t, w.store.Close(ctx))
}

func vinOf(t testing.TB, text string) codec.VIN {
	t.Helper()
	v, err := codec.ParseVIN(text)
	require.NoError(t, err)
	return v
}

// frame makes a frame of JSON.
func frame(t testing.TB, vin string, c codec.Command, at time.Time, keys string) codec.Frame {
	t.Helper()
	f, err := codec.EncodeJSON(nil, fmt.Appendf(nil, `{"edition":2016,"command":%q,"vin":%q,"time":%q,%s}`,
		c.Name(codec.Edition2016), vin, at.In(codec.Beijing).Format(time.RFC3339), keys))
	require.NoError(t, err)
	return f
}

// vehicleItem and positionItem are info items.
func vehicleItem(soc int, mileage string) string {
	return fmt.Sprintf(`{"type":"vehicle","vehicleState":1,"chargeState":3,"runMode":1,"speed":null,"mileage":%s,"totalVoltage":380.5,
		"totalCurrent":-12.5,"soc":%d,"dcdcState":1,"gear":14,"insulationResistance":3000,"acceleratorPedal":0,"brakePedal":0,"abnormal":["speed"]}`, mileage, soc)
}

const positionItem = `{"type":"position","status":2,"longitude":116.397128,"latitude":-39.916527}`

type tickets chan uint64

func (c tickets) Stored(ticket uint64) { c <- ticket }

// put stores frames as JSON records.
func (w *world) put(t testing.TB, node string, frames ...codec.Frame) {
	t.Helper()
	done := make(tickets, len(frames))
	for i, f := range frames {
		var m codec.Message
		m.Decode(f)
		b := m.AppendJSON(nil, codec.JSONOptions{})
		body := fmt.Appendf(nil, `%s,"receivedAt":%q,"node":%q,"session":"00c0ffee00c0ffee","remote":"192.0.2.7:1"}`,
			b[:len(b)-1], time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), node)
		w.store.Sink().Publish(&sink.Record{VIN: f.VIN(), Command: f.Command(), Edition: f.Edition(), ReceivedAt: time.Now(), Body: body}, done, uint64(i))
	}
	for range frames {
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("not stored")
		}
	}
}

// login opens a session, whose frames the keeper looks at.
func (w *world) login(t testing.TB, vin string) *session.Session {
	s := &session.Session{ID: session.NewID(), VIN: vinOf(t, vin), Link: nil, ProductKey: "p"}
	w.table.Login(s)
	w.keeper.Touch(s.VIN)
	return s
}

type known struct {
	VIN, Node, Session, ReceivedAt string
	Time                           time.Time
	Vehicle                        *struct {
		Time    time.Time
		SOC     int
		Speed   *float64
		Mileage json.Number
		RunMode int
		Gear    int
	}
	Position *struct {
		Time                time.Time
		Longitude, Latitude float64
		Valid               bool
	}
	Frame, Login, Logout map[string]any
}

// wait waits until what is known of a vehicle is as wanted.
func (w *world) wait(t testing.TB, vin string, want func(known) bool) (k known) {
	t.Helper()
	var text json.RawMessage
	require.Eventually(t, func() bool {
		var err error
		if text, err = last.Read(t.Context(), w.store.KV(nats.BucketLast), vinOf(t, vin)); err != nil {
			return false
		}
		k = known{}
		require.NoError(t, json.Unmarshal(text, &k))
		return want(k)
	}, patience, 5*time.Millisecond, "%s", &text)
	return k
}

func soc(n int) func(known) bool {
	return func(k known) bool { return k.Vehicle != nil && k.Vehicle.SOC == n }
}

func TestKeeper(t *testing.T) {
	for _, batch := range []bool{false, true} {
		t.Run(fmt.Sprintf("batch=%v", batch), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			const vin = "LTEST000000000001"
			now := time.Now().Truncate(time.Second)
			at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
			w := open(t, dir, batch)
			_, err := last.Read(t.Context(), w.store.KV(nats.BucketLast), vinOf(t, vin))
			require.ErrorIs(t, err, fs.ErrNotExist)

			s := w.login(t, vin)
			report := func(c codec.Command, seconds int, items string) {
				w.put(t, "gw1", frame(t, vin, c, at(seconds), `"info":[`+items+`]`))
				s.Seen(time.Now())
			}
			w.put(t, "gw1", frame(t, vin, codec.CommandVehicleLogin, at(-60), `"serial":1,"iccid":"89860000000000000001","storageCodes":[]`))
			report(codec.CommandRealtime, -50, vehicleItem(80, "1000.5")+","+positionItem)
			k := w.wait(t, vin, func(k known) bool { return soc(80)(k) && k.Login != nil })
			require.Equal(t, []any{vin, "gw1", "00c0ffee00c0ffee"}, []any{k.VIN, k.Node, k.Session})
			require.True(t, k.Time.Equal(at(-50)))
			require.Nil(t, k.Vehicle.Speed, "abnormal")
			require.Equal(t, []any{json.Number("1000.5"), 1, 14}, []any{k.Vehicle.Mileage, k.Vehicle.RunMode, k.Vehicle.Gear})
			require.Equal(t, []any{116.397128, -39.916527, true}, []any{k.Position.Longitude, k.Position.Latitude, k.Position.Valid})
			require.Equal(t, "realtime", k.Frame["command"])
			require.Equal(t, "89860000000000000001", k.Login["iccid"])

			// Newer values; the position stays that of the report before, with its time.
			report(codec.CommandRealtime, -40, vehicleItem(79, "1001.0"))
			k = w.wait(t, vin, soc(79))
			require.True(t, k.Vehicle.Time.Equal(at(-40)))
			require.True(t, k.Position.Time.Equal(at(-50)))
			// Older ones do not count, whenever they come.
			report(codec.CommandReissue, -300, vehicleItem(95, "900.0"))
			report(codec.CommandRealtime, -100, vehicleItem(94, "901.0"))
			report(codec.CommandRealtime, -30, vehicleItem(78, "1002.0"))
			w.wait(t, vin, soc(78))

			// A reissue that is newer, the logout, and a restart, which knows what was known.
			w.put(t, "gw1", frame(t, vin, codec.CommandReissue, at(-20), `"info":[`+vehicleItem(77, "1003.0")+`]`),
				frame(t, vin, codec.CommandVehicleLogout, at(-10), `"serial":1`))
			w.table.Logout(s, session.ReasonLogout)
			w.keeper.Touch(s.VIN)
			k = w.wait(t, vin, func(k known) bool { return soc(77)(k) && k.Logout != nil })
			require.True(t, k.Position.Time.Equal(at(-50)))
			require.Equal(t, "reissue", k.Frame["command"])
			w.close(t)

			w = open(t, dir, batch)
			defer w.close(t)
			s = w.login(t, vin)
			report(codec.CommandRealtime, -25, vehicleItem(90, "1.0")) // older than the state in the bucket
			report(codec.CommandRealtime, -5, vehicleItem(76, "1004.0"))
			k = w.wait(t, vin, soc(76))
			require.True(t, k.Position.Time.Equal(at(-50)), "carried over the restart")
			require.NotNil(t, k.Login)
		})
	}
}

// TestCloseWritesWhatIsLeft: a keeper that had no time yet.
func TestCloseWritesWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, false)
	w.keeper.Touch(vinOf(t, "X"))
	w.put(t, "gw1", frame(t, "A", codec.CommandRealtime, time.Now(), `"info":[`+vehicleItem(50, "1.0")+`]`))
	w.keeper.Touch(vinOf(t, "A"))
	w.close(t)
	w = open(t, dir, false)
	defer w.close(t)
	w.wait(t, "A", soc(50))
}

// TestFollowerAfterACrash: what was stored while the states were not written is found at the next start.
func TestFollowerAfterACrash(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, true)
	w.put(t, "gw1", frame(t, "A", codec.CommandRealtime, time.Now(), `"info":[`+vehicleItem(50, "1.0")+`]`))
	w.wait(t, "A", soc(50))
	require.Eventually(t, func() bool {
		_, err := w.store.KV(nats.BucketLast).Get(t.Context(), "=.gw1")
		return err == nil
	}, patience, 5*time.Millisecond, "the position is written")
	require.NoError(t, w.keeper.Close(t.Context()))
	w.put(t, "gw1", frame(t, "B", codec.CommandRealtime, time.Now(), `"info":[`+vehicleItem(40, "1.0")+`]`)) // nobody looks
	w.put(t, "gw2", frame(t, "C", codec.CommandRealtime, time.Now(), `"info":[`+vehicleItem(30, "1.0")+`]`)) // another gateway's
	require.NoError(t, w.store.Close(t.Context()))

	w = open(t, dir, true)
	defer w.close(t)
	w.wait(t, "B", soc(40))
	_, err := last.Read(t.Context(), w.store.KV(nats.BucketLast), vinOf(t, "C"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestFollowerKeepsTheNewest: by collection time, among all that came since it wrote.
func TestFollowerKeepsTheNewest(t *testing.T) {
	w := open(t, t.TempDir(), true)
	defer w.close(t)
	now := time.Now().Truncate(time.Second)
	report := func(c codec.Command, seconds, soc int) codec.Frame {
		return frame(t, "A", c, now.Add(time.Duration(seconds)*time.Second), `"info":[`+vehicleItem(soc, "1.0")+`]`)
	}
	login := func(serial int) codec.Frame {
		return frame(t, "A", codec.CommandVehicleLogin, now.Add(time.Duration(-serial)*time.Minute),
			fmt.Sprintf(`"serial":%d,"iccid":"89860000000000000001","storageCodes":[]`, serial))
	}
	w.put(t, "gw1", login(1), login(2), // the last, whatever its time
		report(codec.CommandRealtime, -20, 50), report(codec.CommandRealtime, -10, 60), report(codec.CommandRealtime, -30, 70),
		report(codec.CommandReissue, -40, 80), report(codec.CommandRealtime, 48*3600, 90))
	w.put(t, "gw1", report(codec.CommandRealtime, -50, 95))
	k := w.wait(t, "A", func(k known) bool { return soc(60)(k) && k.Login != nil && k.Login["serial"] == 2.0 })
	require.True(t, k.Time.Equal(now.Add(-10*time.Second)))
	w.put(t, "gw1", report(codec.CommandRealtime, -10, 61), report(codec.CommandRealtime, -10, 62))
	w.wait(t, "A", soc(62)) // of the same time the last
}

// TestFollowerMakesWay: while the store is busy it falls behind; what came meanwhile is not lost.
func TestFollowerMakesWay(t *testing.T) {
	w := open(t, t.TempDir(), true)
	defer w.close(t)
	now := time.Now().Truncate(time.Second)
	w.busy.Store(1000)
	for i := range 300 {
		w.put(t, "gw1", frame(t, fmt.Sprintf("V%d", i%3), codec.CommandRealtime, now.Add(time.Duration(i-400)*time.Second), `"info":[`+vehicleItem(i%100, "1.0")+`]`))
	}
	w.wait(t, "V0", soc(97)) // it has a turn now and then
	w.busy.Store(0)
	for i, vin := range []string{"V0", "V1", "V2"} {
		w.wait(t, vin, soc(97+i))
	}
	require.Positive(t, w.lagged.Load())
	require.Eventually(t, func() bool { return w.keeper.Lag() == 0 && w.keeper.Waiting() == 0 }, patience, 5*time.Millisecond)
}

// BenchmarkLook is what one vehicle costs, once a second at most.
func BenchmarkLook(b *testing.B) {
	w := open(b, b.TempDir(), false)
	now := time.Now().Truncate(time.Second)
	var frames []codec.Frame
	const vehicles = 1000
	for i := range vehicles {
		frames = append(frames, frame(b, fmt.Sprintf("V%d", i), codec.CommandRealtime, now, `"info":[`+vehicleItem(50, "1.0")+","+positionItem+`]`))
	}
	w.put(b, "gw1", frames...)
	require.NoError(b, w.keeper.Close(b.Context()))
	for b.Loop() {
		k := last.Start(last.Options{JetStream: w.store.JetStream(), KV: w.store.KV(nats.BucketLast), Sessions: w.table, Node: "gw1",
			Every: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		for i := range vehicles {
			k.Touch(vinOf(b, fmt.Sprintf("V%d", i)))
		}
		require.NoError(b, k.Close(b.Context()))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/vehicles, "us/vehicle")
	require.NoError(b, w.store.Close(b.Context()))
}

// TestFollowerOfAStreamMadeAnew: numbers begin anew in it, far below the position.
func TestFollowerOfAStreamMadeAnew(t *testing.T) {
	w := open(t, t.TempDir(), true)
	defer w.close(t)
	report := func(soc int) {
		w.put(t, "gw1", frame(t, "A", codec.CommandRealtime, time.Now(), `"info":[`+vehicleItem(soc, "1.0")+`]`))
	}
	for i := range 5 {
		report(50 + i)
	}
	w.wait(t, "A", soc(54))
	require.NoError(t, w.store.JetStream().DeleteStream(t.Context(), nats.StreamBatches))
	report(60) // and it is made again
	w.wait(t, "A", soc(60))
	report(61)
	w.wait(t, "A", soc(61))
}
