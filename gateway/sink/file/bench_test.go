package file_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink/file"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

// BenchmarkPublish writes JSON lines with each policy.
func BenchmarkPublish(b *testing.B) {
	for _, policy := range []file.Fsync{file.FsyncAlways, file.FsyncInterval, file.FsyncNever} {
		b.Run(string(policy), func(b *testing.B) {
			s, err := file.New(file.Options{Dir: b.TempDir(), Fsync: policy, Keep: 2, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			sinktest.Bench(b, s, false)
		})
	}
}
