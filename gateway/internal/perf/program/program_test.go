//go:build linux

package program

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInDir(t *testing.T) {
	failed := errors.New("failed")
	var dir string
	err := InDir(t.Context(), t.TempDir(), time.Hour, func(_ context.Context, d string) error {
		dir = d
		require.DirExists(t, dir)
		return failed
	})
	require.ErrorIs(t, err, failed)
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "it goes with the work")

	err = InDir(t.Context(), t.TempDir(), time.Nanosecond, func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	require.EqualError(t, err, "not done within 1ns")
}

func TestFlags(t *testing.T) {
	o := Options{Rounds: 9, Warm: time.Second, LoadCore: 1}
	f := flag.NewFlagSet("", flag.ContinueOnError)
	o.Flags(f)
	require.NoError(t, f.Parse([]string{"-rounds", "3", "-server-core", "1", "-out", "page.md"}))
	require.Equal(t, Options{Out: "page.md", Rounds: 3, Warm: time.Second, ServerCore: 1, LoadCore: 1}, o)
}
