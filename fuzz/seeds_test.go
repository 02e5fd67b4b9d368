package fuzz

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// frames returns the sample frames of both editions and of the benchmarks whose length and check
// byte are right.
func frames(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, name := range []string{"2016.jsonl", "2025.jsonl"} {
		data, err := os.ReadFile(filepath.Join("..", "codec", "testdata", "frames", name))
		require.NoError(t, err)
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			var s struct{ Hex string }
			require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
			b, err := hex.DecodeString(s.Hex)
			require.NoError(t, err)
			if _, err := codec.ParseFrame(b); err == nil {
				all = append(all, b)
			}
		}
	}
	names, err := filepath.Glob(filepath.Join("..", "codec", "testdata", "bench", "*.bin"))
	require.NoError(t, err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		all = append(all, b)
	}
	require.GreaterOrEqual(t, len(all), 109+8)
	return all
}

// addFrames seeds a target whose arguments are those of Build without the identifier.
func addFrames(f *testing.F) {
	f.Helper()
	for _, b := range frames(f) {
		f.Add(b[0] == '$', b[2], b[3], b[21], b[24:len(b)-1])
	}
}

// grammarFrames returns n frames of the grammar, the same in every run.
func grammarFrames(n int) [][]byte {
	random := newRandom()
	all := make([][]byte, n)
	for i := range all {
		input := make([]byte, 16+random.IntN(600))
		for j := range input {
			// Small numbers often: most decisions of the grammar have few outcomes.
			if input[j] = byte(random.UintN(256)); random.IntN(3) == 0 {
				input[j] &= 7
			}
		}
		all[i] = Grammar(input)
	}
	return all
}
