//go:build !windows

package datadir

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOurs: root keeps out of a directory of another user's. The machine has such directories or root can make one.
func TestOurs(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	require.NoError(t, err)
	if info.Sys().(*syscall.Stat_t).Uid == 0 {
		require.NoError(t, ours(dir, 0))
		require.NoError(t, os.Chown(dir, 54321, 54321))
		_, err = Open(dir)
		require.ErrorContains(t, err, "runuser -u 54321 -- tboxgate")
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
	var foreign *ForeignError
	require.ErrorAs(t, ours(dir, 0), &foreign)
	require.Equal(t, dir, foreign.Dir)
	require.NoError(t, ours(dir, 54321))
	require.NoError(t, ours("/", 0))
}
