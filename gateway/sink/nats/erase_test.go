package nats

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// TestEraseRemovesOneVehicleAndNothingElse stores frames of five vehicles in both layouts, events and entries
// of buckets, erases one vehicle, and compares what is left.
func TestEraseRemovesOneVehicleAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	// Two of them share the partition of the one that goes.
	gone, names := "LTEST000000000000", []string{"LTEST000000000000"}
	for i := 1; len(names) < 3; i++ {
		if n := fmt.Sprintf("LTEST%012d", i); partitionOf(vin(t, n)) == partitionOf(vin(t, gone)) {
			names = append(names, n)
		}
	}
	names = append(names, "LTEST999999999999", "LTEST999999999998")
	const each = 60
	want := make(map[string]bool)
	ticket := uint64(0)
	store := func(s *Store) {
		to := new(receipts)
		first := ticket
		for n := range each {
			for _, name := range names {
				f := realtime(t, name, int(ticket))
				r := record(t, "")
				r.VIN, r.Body, r.Raw = vin(t, name), f, true
				if n%2 == 0 {
					r.Body, r.Raw = jsonOf(f), false
				}
				if name != gone {
					want[string(f)] = true
				}
				s.Sink().Publish(r, to, ticket)
				ticket++
			}
		}
		to.wait(t, int(ticket-first))
	}
	s := openStore(t, Options{Dir: dir, Node: "gw1"})
	store(s)
	require.NoError(t, closeWithin(s, limit))
	s = openStore(t, Options{Dir: dir, Node: "gw1", Batch: Batch{MaxFrames: 100, MaxDelay: time.Second}})
	store(s)
	for v, name := range names {
		s.Events().Publish(vin(t, name), "online", []byte("{}"))
		for bucket, key := range map[string]string{BucketDevices: "gbt32960." + name, BucketLast: name, BucketCommands: fmt.Sprint(v)} {
			require.NoError(t, s.KV(bucket).Put(t.Context(), key, fmt.Appendf(nil, `{"deviceName":%q}`, name)))
		}
	}
	require.Eventually(t, func() bool { return s.Events().Stats().Waiting == 0 }, limit, time.Millisecond)
	e, err := s.Erase(t.Context(), vin(t, gone))
	require.NoError(t, err)
	require.Positive(t, e.Rewritten)
	require.Equal(t, Erased{Frames: 2 * each, Events: 1, Entries: 3, Rewritten: e.Rewritten}, e)
	again, err := s.Erase(t.Context(), vin(t, gone))
	require.NoError(t, err)
	require.True(t, again.Nothing(), "%+v", again)

	got := make(map[string]bool)
	for _, name := range []string{StreamRecords, StreamBatches} {
		for _, m := range contents(t, s, name) {
			require.NotContains(t, m.Subject()+string(m.Data()), gone)
			records, err := stream.Parse(m.Subject(), m.Headers(), m.Data())
			require.NoError(t, err)
			for _, r := range records {
				f, err := r.AppendFrame(nil)
				require.NoError(t, err)
				got[string(f)] = true
			}
		}
	}
	require.Equal(t, want, got)
	for _, name := range []string{StreamEvents, "KV_" + BucketDevices, "KV_" + BucketLast, "KV_" + BucketCommands} {
		all := contents(t, s, name)
		marks := 0
		if name != StreamEvents {
			marks = 1 // of the deleted key
		}
		require.Len(t, all, 4+marks, name)
		for _, m := range all {
			if m.Headers().Get("KV-Operation") != "" {
				require.Empty(t, m.Data())
				marks--
				continue
			}
			require.NotContains(t, m.Subject()+string(m.Data()), gone)
		}
		require.Zero(t, marks, name)
	}
}

// TestEraseOverwritesBatchesOnTheDisk looks into the files of the batched stream.
func TestEraseOverwritesBatchesOnTheDisk(t *testing.T) {
	s := openStore(t, Options{Node: "gw1", Batch: Batch{MaxFrames: 100, MaxDelay: time.Hour}})
	to := new(receipts)
	for i := range 3 {
		r := record(t, "")
		r.Body, r.Raw = realtime(t, "LTEST000000000001", i), true
		s.Sink().Publish(r, to, uint64(i))
	}
	to.wait(t, 3)
	onDisk := func() (n int) {
		files, err := filepath.Glob(filepath.Join(s.opts.Dir, "jetstream", "*", "streams", StreamBatches, "msgs", "*.blk"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			n += strings.Count(string(b), "LTEST000000000001")
		}
		return n
	}
	require.Positive(t, onDisk())
	_, err := s.Erase(t.Context(), vin(t, "LTEST000000000001"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return onDisk() == 0 }, limit, 10*time.Millisecond)
}

func TestWithout(t *testing.T) {
	v := vin(t, "LTEST000000000001")
	raw := func(vin string, n int) string {
		f := realtime(t, vin, n)
		return string(newKeyWriter("n").appendEntry(nil, &sink.Record{VIN: f.VIN(), Raw: true, Body: f}))
	}
	mine, other := raw("LTEST000000000001", 10), raw("LTEST000000000002", 10)
	line := string(jsonOf(realtime(t, "LTEST000000000002", 7))) + "\n"
	rest, cut, err := without("gbt32960.batch.01", []byte(mine+other+line+mine), v)
	require.NoError(t, err)
	require.Equal(t, uint64(2), cut)
	require.Equal(t, other+line, string(rest))
	rest, cut, err = without("gbt32960.batch.01", []byte(mine), v)
	require.NoError(t, err)
	require.Equal(t, uint64(1), cut)
	require.Empty(t, rest)
	for _, bad := range []string{other[:20], other[:len(other)-1], `{"rawBytes":x}` + "\n", "{}\n"} {
		_, _, err := without("gbt32960.batch.01", []byte(mine+bad), v)
		require.Error(t, err, bad)
	}
}

// TestEraseOutlastsACrash rebuilds the streams of what was on the disk right after an erasure, as after a kill -9.
func TestEraseOutlastsACrash(t *testing.T) {
	const gone, other = "LTEST000000000001", "LTEST000000000002"
	keys := map[string]string{BucketDevices: "gbt32960.", BucketLast: "", BucketCommands: "of."}
	s := openStore(t, Options{Node: "gw1"})
	to := new(receipts)
	for i := range 6 {
		name := []string{other, gone}[i%2]
		r := record(t, "")
		r.VIN, r.Body, r.Raw = vin(t, name), realtime(t, name, i), true
		s.Sink().Publish(r, to, uint64(i))
		s.Events().Publish(vin(t, name), "online", []byte("{}"))
		for bucket, prefix := range keys {
			require.NoError(t, s.KV(bucket).Put(t.Context(), prefix+name, fmt.Appendf(nil, `{"deviceName":%q,"n":%d}`, name, i)))
		}
		if i == 0 { // so that what goes lies between messages that stay
			for bucket := range keys {
				require.NoError(t, s.KV(bucket).Put(t.Context(), "first", []byte("{}")))
			}
		}
	}
	to.wait(t, 6)
	require.Eventually(t, func() bool { return s.Events().Stats().Waiting == 0 }, limit, time.Millisecond)
	e, err := s.Erase(t.Context(), vin(t, gone))
	require.NoError(t, err)
	require.Equal(t, Erased{Frames: 3, Events: 3, Entries: 3}, e)

	crashed := t.TempDir()
	require.NoError(t, os.CopyFS(crashed, os.DirFS(s.opts.Dir)))
	s = openStore(t, Options{Dir: crashed, Node: "gw1"})
	for bucket, prefix := range keys {
		_, err := s.KV(bucket).Get(t.Context(), prefix+gone)
		require.ErrorIs(t, err, fs.ErrNotExist, bucket)
		_, err = s.KV(bucket).Get(t.Context(), prefix+other)
		require.NoError(t, err, bucket)
	}
	for _, name := range []string{StreamRecords, StreamEvents} {
		all := contents(t, s, name)
		require.Len(t, all, 3, name)
		for _, m := range all {
			require.NotContains(t, m.Subject(), gone)
		}
	}
}
