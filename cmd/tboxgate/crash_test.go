package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// TestCrash kills the gateway with SIGKILL under a load of numbered frames, again and again, on one
// data directory. In the end every frame that was answered with success is in the stream, byte for
// byte. TBOXGATE_CRASHES sets how often; the default keeps the suite fast.
func TestCrash(t *testing.T) {
	crashes := 5
	if s := os.Getenv("TBOXGATE_CRASHES"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		crashes = n
	}
	dir := dataDir(t)
	var fleet crashFleet
	for i := range crashes {
		before := fleet.answeredFrames()
		g := serve(t, dir, "--dev", "--payload", "raw")
		wait := fleet.drive(t, g.Addresses.Vehicles[0])
		// Killed at once when the first answers are there, or later: while files are written, rotated, synced.
		require.Eventually(t, func() bool { return fleet.answeredFrames() > before }, 20*time.Second, time.Millisecond, "run %d: nothing is answered", i)
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		require.NoError(t, g.cmd.Process.Kill())
		<-g.ended
		wait()
	}
	g := serve(t, dir, "--dev", "--payload", "raw", "--nats-listen", "127.0.0.1:0")
	stored := storedFrames(t, g.Addresses.NATS)
	missing := 0
	for f := range fleet.answered {
		if !stored[f] {
			missing++
		}
	}
	t.Logf("%d crashes: %d frames answered, %d different ones stored", crashes, len(fleet.answered), len(stored))
	require.Zero(t, missing, "answered frames that are not in the stream")
}

// crashFleet is the load, and its memory of what was answered.
type crashFleet struct {
	mu       sync.Mutex
	number   uint64
	answered map[string]bool
}

const (
	crashVehicles = 20
	crashWindow   = 32
)

func (fl *crashFleet) answeredFrames() int {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return len(fl.answered)
}

func (fl *crashFleet) next() uint64 {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.number++
	return fl.number
}

func (fl *crashFleet) note(frame []byte) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.answered == nil {
		fl.answered = map[string]bool{}
	}
	fl.answered[string(frame)] = true
}

// drive lets all vehicles send until their connections break; the function it returns waits for that.
func (fl *crashFleet) drive(t *testing.T, addr string) (wait func()) {
	var wg sync.WaitGroup
	for i := range crashVehicles {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		wg.Go(func() {
			defer func() { _ = nc.Close() }()
			fl.vehicle(nc, fmt.Sprintf("LCRASH%011d", i))
		})
	}
	return wg.Wait
}

// vehicle keeps crashWindow reports in flight. Answers come in order, so the oldest one is meant.
func (fl *crashFleet) vehicle(nc net.Conn, vin string) {
	frame := func(cmd codec.Command, unit []byte) []byte {
		h := codec.Header{Edition: codec.Edition2016, Command: cmd, Flag: codec.FlagCommand, VIN: [codec.VINSize]byte([]byte(vin)), Encryption: codec.EncryptionNone}
		b, _ := codec.AppendFrame(nil, h, unit)
		return b
	}
	now := codec.AppendTime(nil, time.Now())
	login := append(append([]byte(nil), now...), 0, 1)
	login = append(append(login, "89860000000000000001"...), 1, 0)
	flight := [][]byte{frame(codec.CommandVehicleLogin, login)}
	if _, err := nc.Write(flight[0]); err != nil {
		return
	}
	in := codec.NewReader(nc, 0)
	for {
		f, err := in.ReadFrame()
		if err != nil {
			return
		}
		if f.Flag() == codec.FlagSuccess && f.Command() == codec.Frame(flight[0]).Command() {
			fl.note(flight[0])
		}
		flight = flight[1:]
		var out []byte
		for len(flight) < crashWindow {
			unit := append(append([]byte(nil), now...), 0x80, 0, 8) // a user-defined item of eight bytes
			r := frame(codec.CommandRealtime, binary.BigEndian.AppendUint64(unit, fl.next()))
			flight, out = append(flight, r), append(out, r...)
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// storedFrames reads the whole stream as an ordinary NATS client.
func storedFrames(t *testing.T, url string) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	st, err := js.Stream(ctx, "GBT32960")
	require.NoError(t, err)
	all := st.CachedInfo().State.Msgs
	consumer, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	require.NoError(t, err)
	defer messages.Stop()
	frames := map[string]bool{}
	for range all {
		m, err := messages.Next(jetstream.NextContext(ctx))
		require.NoError(t, err)
		records, err := stream.Parse(m.Subject(), m.Headers(), m.Data())
		require.NoError(t, err)
		for _, r := range records {
			f, err := r.AppendFrame(nil)
			require.NoError(t, err)
			frames[string(f)] = true
		}
	}
	return frames
}
