package sink_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

func TestParsePayload(t *testing.T) {
	for in, want := range map[string]sink.Payload{
		"": sink.PayloadJSON, "json": sink.PayloadJSON, "raw": sink.PayloadRaw, "both": sink.PayloadBoth,
	} {
		got, err := sink.ParsePayload(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"JSON", "hex", " raw"} {
		_, err := sink.ParsePayload(in)
		require.ErrorIs(t, err, sink.ErrPayload)
		require.ErrorContains(t, err, "want json, raw or both")
	}
}
