package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// crashFleet is the load, and its memory of what was answered.
type crashFleet struct {
	mu       sync.Mutex
	number   uint64
	answered map[string]time.Time
	pace     time.Duration // between two windows of a vehicle; 0: as fast as it goes
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
		fl.answered = map[string]time.Time{}
	}
	fl.answered[string(frame)] = time.Now()
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

// driveUntil lets all vehicles send, and connect again when their connections break, until ctx ends.
func (fl *crashFleet) driveUntil(ctx context.Context, addr string) (wait func()) {
	var wg sync.WaitGroup
	for i := range crashVehicles {
		wg.Go(func() {
			for ctx.Err() == nil {
				if nc, err := net.Dial("tcp", addr); err == nil {
					stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
					fl.vehicle(nc, fmt.Sprintf("LCRASH%011d", i))
					stop()
					_ = nc.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
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
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, codec.Beijing)
	login := append(codec.AppendTime(nil, time.Now()), 0, 1)
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
			n := fl.next()
			// A second of its own for each: reports of one second would be looked up, whether they repeat another.
			unit := append(codec.AppendTime(nil, began.Add(time.Duration(n)*time.Second)), 0x80, 0, 8) // a user-defined item of eight bytes
			r := frame(codec.CommandRealtime, binary.BigEndian.AppendUint64(unit, n))
			flight, out = append(flight, r), append(out, r...)
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
		time.Sleep(fl.pace)
	}
}

// missing returns the frames that were answered before an instant and are not stored.
func (fl *crashFleet) missing(stored map[string]bool, before time.Time) (missing int) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for f, at := range fl.answered {
		if !stored[f] && at.Before(before) {
			missing++
		}
	}
	return missing
}

// requireStored checks that every frame that was answered is in the streams of the server at url.
func (fl *crashFleet) requireStored(t *testing.T, url string) {
	t.Helper()
	stored := storedFrames(t, url)
	require.Zero(t, fl.missing(stored, time.Now()), "answered frames that are not in the stream")
	t.Logf("%d frames answered, %d different ones stored", fl.answeredFrames(), len(stored))
}

// orderedConsumer makes a consumer of a stream. A cluster whose nodes have just come back may lose the request.
func orderedConsumer(ctx context.Context, st jetstream.Stream) (jetstream.Consumer, error) {
	for {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		c, err := st.OrderedConsumer(once, jetstream.OrderedConsumerConfig{})
		cancel()
		if err == nil || ctx.Err() != nil {
			return c, err
		}
	}
}

// storedFrames reads both streams as an ordinary NATS client.
func storedFrames(t *testing.T, url string) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	frames := map[string]bool{}
	for _, name := range []string{stream.Frames, stream.Batches} {
		st, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		require.NoError(t, err)
		all := st.CachedInfo().State.Msgs
		consumer, err := orderedConsumer(ctx, st)
		require.NoError(t, err)
		messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
		require.NoError(t, err)
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
		messages.Stop()
	}
	return frames
}
