package kafka_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/kafka"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
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

// BenchmarkPublish stores in a cluster of three brokers in this process.
func BenchmarkPublish(b *testing.B) {
	for _, payload := range []sink.Payload{sink.PayloadJSON, sink.PayloadRaw} {
		b.Run(string(payload), func(b *testing.B) {
			c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(12, defaultTopics...))
			require.NoError(b, err)
			defer c.Close()
			s, err := kafka.New(kafka.Options{Brokers: c.ListenAddrs(), Payload: payload, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			sinktest.Bench(b, s, payload == sink.PayloadRaw)
		})
	}
}
