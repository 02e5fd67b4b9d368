package nats

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

// victimEnv makes the test binary a process that stores numbered records in the directory it names,
// starting at victimFirst, and writes the number of each confirmed one to its output until it is
// killed.
const (
	victimEnv   = "TBOXGATE_TEST_VICTIM"
	victimFirst = "TBOXGATE_TEST_FIRST"
)

// printer writes confirmed tickets out, unbuffered: what is in the pipe survives the writer.
type printer struct{ room chan struct{} }

func (p printer) Stored(ticket uint64) {
	<-p.room
	_, _ = os.Stdout.WriteString(strconv.FormatUint(ticket, 10) + "\n")
}

func victim(dir string) {
	first, err := strconv.Atoi(os.Getenv(victimFirst))
	if err != nil {
		panic(err)
	}
	s, err := Open(context.Background(), Options{Dir: dir, MaxBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	p := printer{room: make(chan struct{}, 5000)}
	r := &sink.Record{VIN: codec.MakeVIN([]byte("LTEST1")), Command: codec.CommandRealtime, Edition: codec.Edition2016}
	for i := first; ; i++ {
		p.room <- struct{}{}
		r.Body = strconv.AppendInt(r.Body[:0], int64(i), 10)
		s.Sink().Publish(r, p, uint64(i))
	}
}

func TestConfirmedRecordsSurviveKill9(t *testing.T) {
	dir := t.TempDir()
	first := 0
	confirmed := make(map[string]bool)
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimEnv+"="+dir, victimFirst+"="+strconv.Itoa(first))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		before := len(confirmed)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			confirmed[lines.Text()] = true
			if len(confirmed) == before+500+round*700 {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "killed")
		require.Greater(t, len(confirmed), before)
		first += 1_000_000
	}
	s := openStore(t, Options{Dir: dir})
	got, _ := bodies(t, s, StreamRecords)
	all := make(map[string]bool, len(got))
	for _, b := range got {
		all[b] = true
	}
	for n := range confirmed {
		require.True(t, all[n], "confirmed record %s is missing", n)
	}
}

// A disk that takes no writes: the process may make no file larger than a limit, which fails in the
// server's stream files as a full disk does. nats-server gives such a stream up for good; the store
// must come back by itself.
func TestDiskThatTakesNoWrites(t *testing.T) {
	signal.Ignore(unix.SIGXFSZ) // else the limit kills the process
	defer signal.Reset(unix.SIGXFSZ)
	s := openStore(t, Options{})
	s.sink.pub.mu.Lock()
	s.sink.pub.patience = 500 * time.Millisecond
	s.sink.pub.mu.Unlock()
	to := new(receipts)
	// Records of 2 KiB, and a limit far above what else this process writes: the go command's log of a
	// test's files must not meet it.
	publish := func(first, n int) {
		for i := first; i < first+n; i++ {
			require.False(t, s.Sink().Publish(record(t, fmt.Sprintf("%-2048d", i)), to, uint64(i)))
		}
	}
	publish(0, 1000)
	to.wait(t, 1000)

	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &was))
	restore := func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &was)) }
	defer restore()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4 << 20, Max: was.Max}))

	publish(1000, 4000)
	require.Eventually(t, func() bool { return s.brokenReason() != nil }, limit, time.Millisecond)
	stored := to.count()
	require.Less(t, stored, 5000)
	require.ErrorIs(t, s.Healthy(), unix.EFBIG)
	require.ErrorContains(t, s.Healthy(), "takes no writes: file too large")
	time.Sleep(1500 * time.Millisecond) // the keeper looks again
	require.Equal(t, stored, to.count())
	require.ErrorIs(t, s.Healthy(), unix.EFBIG)

	restore()
	to.wait(t, 5000)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, limit, time.Millisecond)
	got, _ := bodies(t, s, StreamRecords)
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	requireAll(t, 5000, got)
	left, err := filepath.Glob(filepath.Join(s.opts.Dir, ".probe-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A JetStream that the server switched off (as it does when it may not write) is switched on again.
func TestJetStreamSwitchedOff(t *testing.T) {
	s := openStore(t, Options{})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 10)
	to.wait(t, 10)
	require.NoError(t, s.server.srv.ShutdownJetStream())
	publishNumbered(t, s.Sink(), to, 10, 10)
	to.wait(t, 20)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, limit, time.Millisecond)
	got, _ := bodies(t, s, StreamRecords)
	requireOrder(t, 0, 20, got)
	require.NoError(t, s.KV(BucketLast).Put(t.Context(), "a", []byte(fmt.Sprint(1))))
}
