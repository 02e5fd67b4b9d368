package openapi

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Used nonces outlive the process as long as their time stamps are valid, and no longer.
func TestNoncesOutliveTheProcess(t *testing.T) {
	const window = 15 * time.Minute
	now := time.Date(2026, 11, 23, 3, 30, 0, 0, time.UTC)
	dir := filepath.Join(t.TempDir(), "nonces")
	open := func(at time.Time, limit int) *nonces {
		n := newNonces(limit)
		require.NoError(t, n.loadNonces(dir, at, window, slog.New(slog.DiscardHandler)))
		return n
	}
	first := open(now, 1000)
	for i := range 30 { // over three files
		signed := now.Add(time.Duration(i-15) * time.Minute)
		require.Equal(t, nonceFresh, first.use("k", fmt.Sprint(i), signed, now, window))
	}
	require.NoError(t, first.close())

	later := now.Add(5 * time.Minute)
	second := open(later, 1000)
	for i := range 30 {
		signed := now.Add(time.Duration(i-15) * time.Minute)
		want := nonceUsed
		if later.Sub(signed) > window {
			want = nonceFresh // verify has refused it by its time
		}
		require.Equal(t, want, second.use("k", fmt.Sprint(i), signed, later, window), i)
	}
	require.NoError(t, second.close())

	// A crash in the middle of a write cuts a record; what follows is read all the same.
	names, err := filepath.Glob(filepath.Join(dir, "*"+nonceSuffix))
	require.NoError(t, err)
	require.Len(t, names, 3)
	file := filepath.Join(dir, fmt.Sprintf("%012d%s", later.Unix()/60/nonceSpan, nonceSuffix))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(data, 1, 2, 3), 0o600))
	third := open(later, 1000)
	require.Equal(t, nonceFresh, third.use("k", "behind the cut", later, later, window))
	require.NoError(t, third.close())
	fourth := open(later, 1000)
	require.Equal(t, nonceUsed, fourth.use("k", "behind the cut", later, later, window))
	require.Equal(t, nonceUsed, fourth.use("k", "29", now.Add(14*time.Minute), later, window))

	// Files go when nothing in them is valid, while it runs and at the start.
	much := now.Add(time.Hour)
	require.Equal(t, nonceFresh, fourth.use("k", "much later", much, much, window))
	require.NoFileExists(t, file)
	require.NoError(t, fourth.close())
	require.Equal(t, 1, open(much, 1000).count)
	names, err = filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, names, 1)

	// With less memory than before the oldest minutes are refused, not forgotten.
	many := open(much, 1000)
	for i := range 20 {
		require.Equal(t, nonceFresh, many.use("k", fmt.Sprint("m", i), much.Add(time.Duration(i%10)*time.Minute), much, window))
	}
	require.NoError(t, many.close())
	few := open(much, 5)
	require.LessOrEqual(t, few.count, 5)
	require.Equal(t, nonceForgotten, few.use("k", "m0", much, much, window))
	require.NoError(t, few.close())
}

// What cannot be written down is said once, and calls are answered all the same.
func TestNoncesWithoutADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nonces")
	n := newNonces(10)
	require.NoError(t, n.loadNonces(dir, time.Now(), time.Minute, slog.New(slog.DiscardHandler)))
	require.NoError(t, os.RemoveAll(dir))
	require.Equal(t, nonceFresh, n.use("k", "a", time.Now(), time.Now(), time.Minute))
	require.True(t, n.files.broken)
	require.Equal(t, nonceUsed, n.use("k", "a", time.Now(), time.Now(), time.Minute))
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	require.Error(t, newNonces(10).loadNonces(dir, time.Now(), time.Minute, slog.New(slog.DiscardHandler)))
}

// A disk that comes and goes: nonces that were used meanwhile are known in this process only, others are written down.
func TestNoncesLetGo(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 30, 0, 0, time.UTC)
	dir := filepath.Join(t.TempDir(), "nonces")
	open := func() *nonces {
		n := newNonces(1000)
		require.NoError(t, n.loadNonces(dir, now, time.Minute, slog.New(slog.DiscardHandler)))
		return n
	}
	n := open()
	require.Equal(t, nonceFresh, n.use("k", "before", now, now, time.Minute))
	n.letGo()
	for _, f := range n.files.open {
		require.Nil(t, f, "a file is open")
	}
	require.NoError(t, os.Rename(dir, dir+".away"))
	require.Equal(t, nonceFresh, n.use("k", "meanwhile", now, now, time.Minute))
	require.NoError(t, os.Rename(dir+".away", dir))
	require.Equal(t, nonceFresh, n.use("k", "after", now, now, time.Minute))
	for name, want := range map[string]nonceVerdict{"before": nonceUsed, "meanwhile": nonceUsed, "after": nonceUsed} {
		require.Equal(t, want, n.use("k", name, now, now, time.Minute), name)
	}

	// A write that fails closes the file too.
	for _, f := range n.files.open {
		require.NoError(t, f.Close())
	}
	require.Equal(t, nonceFresh, n.use("k", "failed", now, now, time.Minute))
	require.True(t, n.files.broken)
	require.Equal(t, nonceFresh, n.use("k", "again", now, now, time.Minute))
	require.False(t, n.files.broken)
	require.NoError(t, n.close())

	next := open()
	for name, want := range map[string]nonceVerdict{"before": nonceUsed, "meanwhile": nonceFresh, "after": nonceUsed, "again": nonceUsed} {
		require.Equal(t, want, next.use("k", name, now, now, time.Minute), name)
	}
	require.NoError(t, next.close())
}
