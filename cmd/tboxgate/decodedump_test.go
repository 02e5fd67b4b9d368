package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeDissect(t *testing.T) {
	code, stdout, stderr := tboxgate(t, "", "decode", "--dissect", "testdata/decode.jsonl")
	golden(t, "testdata/decode-dissect.golden", []byte(stdout))
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: decode: 5 bad, 5 good\n", stderr)
}

// TestDecodeFlags: flags that say nothing together are mistakes.
func TestDecodeFlags(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"--pretty is for JSON, --dissect prints none", []string{"--pretty", "--dissect"}},
		{`--pcap has its file already, unexpected argument "b"`, []string{"--pcap", "a", "b"}},
		{"--port is for --pcap", []string{"--port", "8999"}},
		{"--port: 65536 is no port", []string{"--pcap", "a", "--port", "65536"}},
	} {
		code, stdout, stderr := tboxgate(t, "", append([]string{"decode"}, tt.args...)...)
		require.Equal(t, 2, code)
		require.Equal(t, "tboxgate decode: "+tt.want+"\nSee: tboxgate decode --help\n", stderr)
		require.Empty(t, stdout)
	}
	code, _, stderr := tboxgate(t, "", "decode", "--pcap", "none.pcap")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: open none.pcap: no such file or directory\n", stderr)
}

// TestDecodeDoc: the dump in docs/decode.md is what is printed.
func TestDecodeDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/decode.md")
	require.NoError(t, err)
	const prompt = "$ tboxgate decode --dissect "
	_, example, found := strings.Cut(string(doc), prompt)
	require.True(t, found)
	frame, after, _ := strings.Cut(example, "\n")
	want, _, _ := strings.Cut(after, "```")
	code, stdout, stderr := tboxgate(t, "", "decode", "--dissect", frame)
	require.Zero(t, code, stderr)
	require.Equal(t, want, stdout)
}
