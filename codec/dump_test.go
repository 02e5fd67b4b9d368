package codec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDumpGolden compares the dumps of the golden frames with files that were read by a person.
func TestDumpGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	require.NoError(t, err)
	for i, frame := range goldenFrames(t) {
		name := strings.TrimSuffix(filepath.Base(files[i]), ".txt")
		t.Run(name, func(t *testing.T) {
			dump := string(AppendDump(nil, frame))
			file := filepath.Join("testdata", "dump", name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(dump), 0o644))
				return
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), dump)
		})
	}
}

// TestDumpForm: no row of any dump is too wide, and the bytes in them are those of the frame.
func TestDumpForm(t *testing.T) {
	for _, frame := range append(goodSamples(t), goldenFrames(t)...) {
		dump := string(AppendDump([]byte("before\n"), frame))
		rows := strings.Split(strings.TrimSuffix(dump, "\n"), "\n")
		require.Equal(t, "before", rows[0])
		var digits strings.Builder
		for _, row := range rows[1:] {
			require.LessOrEqual(t, columns([]byte(row)), dumpWidth, row)
			require.Equal(t, strings.TrimRight(row, " "), row)
			if row[0] == ' ' {
				continue // a value that goes on
			}
			hex := row[6:]
			if !allHex(hex) {
				hex = row[6:dumpNames]
			}
			digits.WriteString(strings.ReplaceAll(hex, " ", ""))
		}
		require.Equal(t, frame, unhex(t, digits.String()))
	}
}

// allHex reports whether a row goes on with nothing but bytes.
func allHex(s string) bool { return strings.Trim(s, "0123456789ABCDEF ") == "" }
