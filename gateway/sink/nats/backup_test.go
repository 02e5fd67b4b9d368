package nats

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// all describes every message of a store: stream, sequence number, subject, header, body.
func all(t testing.TB, s *Store) (lines []string) {
	t.Helper()
	for n := s.js.StreamNames(t.Context()); ; {
		name, open := <-n.Name()
		if !open {
			require.NoError(t, n.Err())
			return lines
		}
		for _, m := range contents(t, s, name) {
			meta, err := m.Metadata()
			require.NoError(t, err)
			lines = append(lines, fmt.Sprintf("%s %d %s %s %v %x", name, meta.Sequence.Stream, meta.Timestamp, m.Subject(), m.Headers(), m.Data()))
		}
	}
}

// fillStore puts something into every kind of stream.
func fillStore(t testing.TB, s *Store) {
	t.Helper()
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 3000)
	to.wait(t, 3000)
	for i := range 20 {
		s.Events().Publish(vin(t, "LTEST000000000001"), "online", fmt.Appendf(nil, `{"n":%d}`, i))
		require.NoError(t, s.KV(BucketDevices).Put(t.Context(), fmt.Sprint("gbt32960.V", i), []byte("value")))
	}
	require.NoError(t, s.KV(BucketDevices).Delete(t.Context(), "gbt32960.V7"))
	require.Eventually(t, func() bool { return s.Events().Stats().Waiting == 0 }, limit, time.Millisecond)
}

// TestBackupAndRestore takes a backup of a store that goes on storing, restores it elsewhere and compares
// every message; the position of a consumer comes along.
func TestBackupAndRestore(t *testing.T) {
	s := openStore(t, Options{Node: "gw1"})
	fillStore(t, s)
	c, err := s.js.CreateConsumer(t.Context(), StreamRecords, jetstream.ConsumerConfig{Durable: "kafka", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	batch, err := c.Fetch(5)
	require.NoError(t, err)
	for m := range batch.Messages() {
		require.NoError(t, m.DoubleAck(t.Context()))
	}
	before := all(t, s)

	to := new(receipts)
	go publishNumbered(t, s.Sink(), to, 3000, 2000) // those may be in the backup or not
	var file bytes.Buffer
	info := BackupInfo{Format: 2, Version: "v1", Node: "gw1", At: time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)}
	sum, err := s.Backup(t.Context(), &file, info)
	require.NoError(t, err)
	require.GreaterOrEqual(t, sum.Messages, uint64(len(before)))
	to.wait(t, 2000)
	after := all(t, s)

	dir := t.TempDir()
	got, err := Restore(t.Context(), bytes.NewReader(file.Bytes()), dir, func(i BackupInfo) error {
		require.Equal(t, info, i)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, sum, got)
	r := openStore(t, Options{Dir: dir, Node: "gw1"})
	restored := all(t, r)
	require.Subset(t, after, restored)
	require.Subset(t, restored, before)
	_, err = r.KV(BucketDevices).Get(t.Context(), "gbt32960.V7")
	require.ErrorIs(t, err, fs.ErrNotExist)
	c, err = r.js.Consumer(t.Context(), StreamRecords, "kafka")
	require.NoError(t, err)
	require.Equal(t, uint64(5), c.CachedInfo().AckFloor.Stream)
	publishNumbered(t, r.Sink(), to, 5000, 10)
	to.wait(t, 2010)

	_, err = Restore(t.Context(), bytes.NewReader(file.Bytes()), dir, func(BackupInfo) error { return nil })
	require.ErrorIs(t, err, ErrNotEmpty)
}

// TestRestoreRefusesWhatIsNoBackup cuts a backup at many places, and gives it other files: nothing is left
// of them.
func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	s := openStore(t, Options{})
	fillStore(t, s)
	var file bytes.Buffer
	_, err := s.Backup(t.Context(), &file, BackupInfo{})
	require.NoError(t, err)
	whole := file.Bytes()
	files := [][]byte{nil, []byte("hello"), bytes.Repeat([]byte("x"), 4096)}
	for i := range 5 {
		files = append(files, whole[:len(whole)*i/5/512*512], whole[:len(whole)*i/5])
	}
	files = append(files, whole[:len(whole)-3*512]) // without the file that ends it
	for i, b := range files {
		dir := t.TempDir()
		_, err := Restore(t.Context(), bytes.NewReader(b), dir, func(BackupInfo) error { return nil })
		require.ErrorIs(t, err, ErrBackup, "%d: %d of %d bytes", i, len(b), len(whole))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	refused := errors.New("too new")
	_, err = Restore(t.Context(), bytes.NewReader(whole), t.TempDir(), func(BackupInfo) error { return refused })
	require.ErrorIs(t, err, refused)
}
