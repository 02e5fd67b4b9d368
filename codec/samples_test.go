package codec

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is one line of testdata/frames: a frame other people made, and what is known of it.
type sample struct {
	Hex     string `json:"hex"`
	Source  string `json:"source"`
	CheckOK bool   `json:"bcc_ok"`
	LenOK   bool   `json:"len_ok"`
	Struct  string `json:"struct"` // "ok" when every body decodes to the end
	bytes   []byte
}

// samples returns the sample frames of both editions.
func samples(t testing.TB) []sample {
	t.Helper()
	var all []sample
	for _, name := range []string{"2016.jsonl", "2025.jsonl"} {
		data, err := os.ReadFile(filepath.Join("testdata", "frames", name))
		require.NoError(t, err)
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			var s sample
			require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
			s.bytes, err = hex.DecodeString(s.Hex)
			require.NoError(t, err)
			all = append(all, s)
		}
	}
	require.Len(t, all, 124)
	return all
}

// goodSamples returns those sample frames whose length and check byte are right.
func goodSamples(t testing.TB) [][]byte {
	t.Helper()
	var good [][]byte
	for _, s := range samples(t) {
		if s.CheckOK && s.LenOK {
			good = append(good, s.bytes)
		}
	}
	return good
}

// benchFrame returns a frame of testdata/bench.
func benchFrame(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "bench", name))
	require.NoError(t, err)
	return b
}

// unhex reads hex digits, whatever space is between them.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

// TestParseFrameAgreesWithSamples: the samples say by themselves whether length and check byte are
// right, computed by another program.
func TestParseFrameAgreesWithSamples(t *testing.T) {
	for i, s := range samples(t) {
		f, err := ParseFrame(s.bytes)
		if s.CheckOK && s.LenOK {
			require.NoError(t, err, "sample %d (%s)", i, s.Hex)
			require.Equal(t, s.bytes, []byte(f))
			continue
		}
		require.Error(t, err, "sample %d (%s)", i, s.Hex)
		require.Equal(t, !s.LenOK, errors.Is(err, ErrShort) || errors.Is(err, ErrLength), "sample %d: %v", i, err)
		require.Equal(t, s.LenOK, errors.Is(err, ErrCheck), "sample %d: %v", i, err)
	}
}

// TestSamplesAppendAgain: a good frame's parts make the same frame again.
func TestSamplesAppendAgain(t *testing.T) {
	for _, b := range goodSamples(t) {
		f, err := ParseFrame(b)
		require.NoError(t, err)
		h := Header{f.Edition(), f.Command(), f.Flag(), [VINSize]byte(f.RawVIN()), f.Encryption()}
		again, err := AppendFrame([]byte("before"), h, f.Unit())
		require.NoError(t, err)
		require.Equal(t, "before"+string(b), string(again))
	}
}
