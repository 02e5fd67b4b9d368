package file_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/file"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o file.Options) *file.Sink {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := file.New(o)
	require.NoError(t, err)
	sinktest.Abandon(t, s)
	return s
}

// names lists the files of a kind, the oldest first.
func names(t *testing.T, dir, kind string) []string {
	t.Helper()
	all, err := fs.Glob(os.DirFS(dir), kind+"-*")
	require.NoError(t, err)
	for i, name := range all {
		all[i] = filepath.Join(dir, name)
	}
	slices.Sort(all)
	if _, err := os.Stat(filepath.Join(dir, kind+".jsonl")); err == nil {
		all = append(all, filepath.Join(dir, kind+".jsonl"))
	}
	return all
}

// content reads a file, unpacked, without a last line that has no end.
func content(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		b, err = io.ReadAll(z)
		require.NoError(t, err)
	}
	return b[:bytes.LastIndexByte(b, '\n')+1]
}

// stored reads everything in a directory.
func stored(t *testing.T, dir string) []sinktest.Stored {
	t.Helper()
	var all []sinktest.Stored
	for _, kind := range []string{"frames", "events"} {
		for _, name := range names(t, dir, kind) {
			for line := range bytes.Lines(content(t, name)) {
				var is struct{ VIN, VINHex, Kind, Hex string }
				require.NoError(t, json.Unmarshal(line, &is), string(line))
				s := sinktest.Stored{VIN: is.VIN, Kind: is.Kind, Body: bytes.TrimSpace(line)}
				switch {
				case kind == "events":
					s.Body = append([]byte("{"), s.Body[bytes.IndexByte(s.Body, ',')+1:]...)
				case is.Hex != "":
					f, err := hex.DecodeString(is.Hex)
					require.NoError(t, err)
					s.Frame = f
				default:
					if f, err := codec.EncodeJSON(nil, s.Body); err == nil {
						s.Frame = f
					}
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// away replaces the files by links to nowhere, so that they can neither be opened nor made.
func away(t *testing.T, dir string) {
	for _, kind := range []string{"frames", "events"} {
		name := filepath.Join(dir, kind+".jsonl")
		if _, err := os.Stat(name); err == nil {
			require.NoError(t, os.Rename(name, filepath.Join(dir, kind+"-20260101T000000.000Z.jsonl")))
		}
		require.NoError(t, os.Symlink("missing/file", name))
	}
}

func back(t *testing.T, dir string) {
	for _, kind := range []string{"frames", "events"} {
		require.NoError(t, os.Remove(filepath.Join(dir, kind+".jsonl")))
	}
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		fsync   file.Fsync
		payload sink.Payload
	}{{file.FsyncAlways, sink.PayloadJSON}, {file.FsyncInterval, sink.PayloadRaw}, {file.FsyncNever, sink.PayloadBoth}} {
		t.Run(string(c.fsync)+" "+string(c.payload), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Store {
				dir := t.TempDir()
				return sinktest.Store{
					Open: func(t *testing.T) sink.Sink {
						return open(t, file.Options{Dir: dir, Fsync: c.fsync, Payload: c.payload})
					},
					Read:  func(t *testing.T) []sinktest.Stored { return stored(t, dir) },
					Stop:  func(t *testing.T) { away(t, dir) },
					Start: func(t *testing.T) { back(t, dir) },
				}
			})
		})
	}
}

// fill stores the records from..until-1.
func fill(t *testing.T, s *file.Sink, from, until int) {
	t.Helper()
	for n := from; n < until; n++ {
		var to sinktest.Receipts
		require.False(t, s.Publish(sinktest.Record(t, "LTEST000000000001", n), &to, uint64(n)))
		to.Wait(t, 1)
	}
}

// requireNumbers wants the records 0..n-1 in the directory, in order, and nothing else.
func requireNumbers(t *testing.T, dir string, n int) {
	t.Helper()
	all := stored(t, dir)
	require.Len(t, all, n)
	for i, s := range all {
		require.Equal(t, i, sinktest.Number(t, s.Frame))
	}
}

func TestRotationBySize(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir, MaxSize: 2000})
	fill(t, s, 0, 50)
	require.Greater(t, len(names(t, dir, "frames")), 5)
	for _, name := range names(t, dir, "frames") {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), 2000)
		require.True(t, bytes.HasSuffix(b, []byte("\n")))
	}
	requireNumbers(t, dir, 50)
	sinktest.Close(t, s)
}

func TestRotationByAge(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir, MaxAge: 20 * time.Millisecond})
	fill(t, s, 0, 1)
	require.Eventually(t, func() bool {
		all := names(t, dir, "frames")
		return len(all) == 1 && all[0] != filepath.Join(dir, "frames.jsonl")
	}, sinktest.Limit, time.Millisecond, "an idle file is rotated, and no empty one follows")
	fill(t, s, 1, 2)
	requireNumbers(t, dir, 2)
	sinktest.Close(t, s)
}

func TestCompression(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir, MaxSize: 2000, Compress: true})
	fill(t, s, 0, 50)
	require.Eventually(t, func() bool {
		all := names(t, dir, "frames")
		for _, name := range all[:len(all)-1] {
			if !strings.HasSuffix(name, ".jsonl.gz") {
				return false
			}
		}
		return len(all) > 5
	}, sinktest.Limit, time.Millisecond)
	requireNumbers(t, dir, 50)
	sinktest.Close(t, s)

	// What a crash leaves while compressing: a part, and a whole file whose source is still there.
	all := names(t, dir, "frames")
	require.NoError(t, os.WriteFile(all[0]+".tmp", []byte("part"), 0o600))
	require.NoError(t, os.WriteFile(strings.TrimSuffix(all[1], ".gz"), content(t, all[1]), 0o600))
	s = open(t, file.Options{Dir: dir, Compress: true})
	require.Eventually(t, func() bool { return slices.Equal(all, names(t, dir, "frames")) }, sinktest.Limit, time.Millisecond)
	requireNumbers(t, dir, 50)
	sinktest.Close(t, s)
}

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "frames[1]") // a path, and no pattern
	s := open(t, file.Options{Dir: dir, MaxSize: 1000, Keep: 2})
	fill(t, s, 0, 50)
	require.Eventually(t, func() bool { return len(names(t, dir, "frames")) == 3 }, sinktest.Limit, time.Millisecond)
	all := stored(t, dir)
	require.Equal(t, 49, sinktest.Number(t, all[len(all)-1].Frame))
	sinktest.Close(t, s)
}

// TestTornLine: a crash in the middle of a write.
func TestTornLine(t *testing.T) {
	for _, torn := range []string{`{"v":1,"edi`, strings.Repeat("\x00", 200_000)} {
		dir := t.TempDir()
		s := open(t, file.Options{Dir: dir})
		fill(t, s, 0, 3)
		sinktest.Close(t, s)
		f, err := os.OpenFile(filepath.Join(dir, "frames.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
		require.NoError(t, err)
		_, err = f.WriteString(torn)
		require.NoError(t, err)
		require.NoError(t, f.Close())

		s = open(t, file.Options{Dir: dir})
		fill(t, s, 3, 5)
		requireNumbers(t, dir, 5)
		sinktest.Close(t, s)
	}
	// Nothing but a torn line.
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "frames.jsonl"), []byte(`{"v`), 0o600))
	s := open(t, file.Options{Dir: dir})
	fill(t, s, 0, 1)
	requireNumbers(t, dir, 1)
	sinktest.Close(t, s)
}

// TestFullDisk: /dev/full refuses every write as a full disk does.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir})
	fill(t, s, 0, 3)
	name := filepath.Join(dir, "frames.jsonl")
	require.NoError(t, os.Rename(name, filepath.Join(dir, "frames-20260101T000000.000Z.jsonl")))
	require.NoError(t, os.Symlink("/dev/full", name))
	var to sinktest.Receipts
	for n := 3; n < 10; n++ {
		s.Publish(sinktest.Record(t, "LTEST000000000001", n), &to, uint64(n))
	}
	require.Eventually(t, func() bool { return s.Healthy() != nil && s.Stats().Retried > 0 }, sinktest.Limit, time.Millisecond)
	require.ErrorContains(t, s.Healthy(), "no space left on device")
	require.Zero(t, to.Count())
	require.NoError(t, os.Remove(name))
	to.Wait(t, 7)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, sinktest.Limit, time.Millisecond)
	requireNumbers(t, dir, 10)
	sinktest.Close(t, s)
}

// TestPartialWrite: the disk takes a part of what is written. The part goes, so that no line stands there torn
// or twice.
func TestPartialWrite(t *testing.T) {
	// In a process of its own: the limit holds for the log that the go command keeps of a test, too.
	const alone = "TBOXGATE_TEST_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPartialWrite$")
		cmd.Env = append(os.Environ(), alone+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "PASS")
		return
	}
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir, Payload: sink.PayloadRaw})
	fill(t, s, 0, 3)
	before, err := os.ReadFile(filepath.Join(dir, "frames.jsonl"))
	require.NoError(t, err)

	signal.Ignore(unix.SIGXFSZ) // else the limit ends the process
	defer signal.Reset(unix.SIGXFSZ)
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(len(before) + len(before)/2), Max: old.Max}))
	var to sinktest.Receipts
	for n := 3; n < 10; n++ {
		s.Publish(sinktest.Record(t, "LTEST000000000001", n), &to, uint64(n))
	}
	unwell := func() bool { return s.Healthy() != nil && s.Stats().Retried > 5 }
	ok := assert.Eventually(t, unwell, sinktest.Limit, time.Millisecond)
	after, readErr := os.ReadFile(filepath.Join(dir, "frames.jsonl"))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
	require.True(t, ok)
	require.NoError(t, readErr)
	require.LessOrEqual(t, len(after), len(before)+len(before)/2)
	to.Wait(t, 7)
	requireNumbers(t, dir, 10)
	sinktest.Close(t, s)
}

// TestFailedSync: a FIFO takes what is written and cannot be flushed. What was written to it counts for
// nothing; it is put aside, and the line goes to a new file.
func TestFailedSync(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "frames.jsonl"), 0o600))
	s := open(t, file.Options{Dir: dir, Fsync: file.FsyncAlways})
	fill(t, s, 0, 3)
	require.Equal(t, uint64(1), s.Stats().Retried)
	aside := names(t, dir, "frames")[0]
	info, err := os.Stat(aside)
	require.NoError(t, err)
	require.Equal(t, os.ModeNamedPipe, info.Mode().Type())
	require.NoError(t, os.Remove(aside))
	requireNumbers(t, dir, 3)
	require.NoError(t, s.Healthy())
	sinktest.Close(t, s)
}

// TestSomebodyTakesTheFile: it is written anew, and what was in it before is not this sink's any more.
func TestSomebodyTakesTheFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir})
	fill(t, s, 0, 3)
	require.NoError(t, os.Remove(filepath.Join(dir, "frames.jsonl")))
	fill(t, s, 0, 2)
	requireNumbers(t, dir, 2)
	sinktest.Close(t, s)
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir})
	_, err := file.New(file.Options{Dir: dir})
	require.ErrorIs(t, err, file.ErrLocked)
	sinktest.Close(t, s)
	sinktest.Close(t, open(t, file.Options{Dir: dir}))
}

// TestRawLinesAreForDecode: what `tboxgate decode` reads.
func TestRawLinesAreForDecode(t *testing.T) {
	dir := t.TempDir()
	s := open(t, file.Options{Dir: dir, Payload: sink.PayloadRaw})
	r := sinktest.Record(t, "LTEST000000000001", 1)
	var to sinktest.Receipts
	s.Publish(r, &to, 1)
	to.Wait(t, 1)
	require.Equal(t, fmt.Sprintf(`{"hex":"%x","vin":"LTEST000000000001","command":"realtime","receivedAt":"2026-07-01T00:00:00.123Z",`+
		`"node":"gw1","session":"000000000000ab12","remote":""}`+"\n", r.Body), string(content(t, filepath.Join(dir, "frames.jsonl"))))
	sinktest.Close(t, s)
}

func TestBadOptions(t *testing.T) {
	_, err := file.New(file.Options{})
	require.ErrorContains(t, err, "no directory")
	_, err = file.New(file.Options{Dir: t.TempDir(), Fsync: "sometimes"})
	require.ErrorContains(t, err, `fsync "sometimes"`)
	blocker := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocker, nil, 0o600))
	_, err = file.New(file.Options{Dir: filepath.Join(blocker, "sub")})
	require.ErrorContains(t, err, "not a directory")
}
