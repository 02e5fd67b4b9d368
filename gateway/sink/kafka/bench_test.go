package kafka_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tboxgate/tboxgate/codec"
)

// BenchmarkCompression compresses batches of real frames as JSON with each of Kafka's codecs: it is why zstd
// is the default.
func BenchmarkCompression(b *testing.B) {
	var lines [][]byte
	f, err := os.Open("../../../codec/testdata/frames/2016.jsonl")
	require.NoError(b, err)
	defer func() { _ = f.Close() }()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	var m codec.Message
	for in.Scan() {
		var line struct{ Hex string }
		require.NoError(b, json.Unmarshal(in.Bytes(), &line))
		raw, err := hex.DecodeString(line.Hex)
		require.NoError(b, err)
		if frame, err := codec.ParseFrame(raw); err == nil && frame.Command() == codec.CommandRealtime && len(frame) > 200 {
			m.Decode(frame)
			lines = append(lines, m.AppendJSON(nil, codec.JSONOptions{}))
		}
	}
	require.NoError(b, in.Err())
	for _, frames := range []int{1, 8, 64} {
		var batch []byte
		for i := range frames {
			batch = append(batch, lines[i%len(lines)]...)
		}
		for _, c := range []struct {
			name  string
			codec kgo.CompressionCodec
		}{{"zstd", kgo.ZstdCompression()}, {"lz4", kgo.Lz4Compression()}, {"snappy", kgo.SnappyCompression()}, {"gzip", kgo.GzipCompression()}} {
			b.Run(fmt.Sprintf("frames=%d/%s", frames, c.name), func(b *testing.B) {
				compressor, err := kgo.DefaultCompressor(c.codec)
				require.NoError(b, err)
				b.SetBytes(int64(len(batch)))
				var out []byte
				for b.Loop() {
					out, _ = compressor.Compress(new(bytes.Buffer), batch)
				}
				b.ReportMetric(float64(len(batch))/float64(len(out)), "ratio")
			})
		}
	}
}
