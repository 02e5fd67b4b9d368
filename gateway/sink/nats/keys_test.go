package nats

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

// TestEntryKeys: the line before a raw frame has the keys of entryKeys in their order, of which the schema is made, and
// without values those alone that may not be missing.
func TestEntryKeys(t *testing.T) {
	var all, always []string
	for i := range reflect.TypeFor[entryKeys]().NumField() {
		key, options, _ := strings.Cut(reflect.TypeFor[entryKeys]().Field(i).Tag.Get("json"), ",")
		all = append(all, key)
		if options == "" {
			always = append(always, key)
		}
	}
	keys := func(node string, r *sink.Record) (keys []string) {
		line, _, _ := bytes.Cut(newKeyWriter(node).appendEntry(nil, r), []byte("\n"))
		require.True(t, json.Valid(line), "%s", line)
		d := json.NewDecoder(bytes.NewReader(line))
		_, err := d.Token() // the brace
		require.NoError(t, err)
		for d.More() {
			key, err := d.Token()
			require.NoError(t, err)
			_, err = d.Token() // the value
			require.NoError(t, err)
			keys = append(keys, key.(string))
		}
		return keys
	}
	now := time.Unix(1e9, 0)
	require.Equal(t, all, keys("n", &sink.Record{VIN: codec.MakeVIN([]byte("A")), ReceivedAt: now, Session: 1, Remote: netip.MustParseAddrPort("192.0.2.7:1"),
		Platform: "P", Duplicate: true, Raw: true, Body: []byte("frame")}))
	require.Equal(t, always, keys("", &sink.Record{ReceivedAt: now, Raw: true}))
}
