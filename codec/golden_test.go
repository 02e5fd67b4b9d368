package codec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/golden anew; review the difference against the standard")

// TestGolden compares the JSON of frames with files that were reviewed by hand. A file holds comment
// lines, the frame in hex and the JSON, one part after the other, an empty line between them.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	require.NoError(t, err)
	require.Greater(t, len(files), 15)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			parts := strings.SplitN(string(data), "\n\n", 3)
			require.GreaterOrEqual(t, len(parts), 2)
			frame := unhex(t, parts[1])
			_, err = ParseFrame(frame)
			require.NoError(t, err)
			var m Message
			text := requireLossless(t, &m, frame)
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, text, "", "  "))
			if *update {
				out := parts[0] + "\n\n" + strings.TrimSpace(parts[1]) + "\n\n" + pretty.String() + "\n"
				require.NoError(t, os.WriteFile(file, []byte(out), 0o644))
				return
			}
			require.Len(t, parts, 3)
			require.Equal(t, strings.TrimSpace(parts[2]), pretty.String())
		})
	}
}
