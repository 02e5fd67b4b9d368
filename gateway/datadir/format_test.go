package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct{ have, problem string }{
		"new, or of before there was a file": {"", ""},
		"the first":                          {"1\n", ""},
		"this one":                           {"2\n", ""},
		"newer":                              {"3\n", "is of format 3, this tboxgate knows up to 2: use the version that wrote it, or a newer one"},
		"nonsense":                           {"two", `the file format holds "two", which is no format`},
		"zero":                               {"0", "is of format 0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, formatName)
			if c.have != "" {
				require.NoError(t, os.WriteFile(file, []byte(c.have), 0o600))
			}
			d, err := Open(dir)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				require.ErrorContains(t, err, dir)
				require.NotContains(t, err.Error(), "\n")
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				require.Equal(t, c.have, string(text), "nothing is changed")
				_, err = Open(dir)
				require.ErrorContains(t, err, c.problem, "the lock is free again")
				return
			}
			require.NoError(t, err)
			require.NoError(t, d.Close())
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, "2", strings.TrimSpace(string(text)))
		})
	}
	var newer *FormatError
	require.ErrorAs(t, CheckFormat("backup x", 9), &newer)
	require.Equal(t, 9, newer.Format)
}
