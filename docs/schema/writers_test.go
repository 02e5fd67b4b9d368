package schema

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/form"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// declared is what a schema says of keys.
type declared struct {
	Properties map[string]any
	Required   []string
}

// keysOf are the keys of v1/<name>.json: all, and those that are always there.
func keysOf(t *testing.T, name string) (all, always []string) {
	t.Helper()
	text, err := os.ReadFile("v1/" + name + ".json")
	require.NoError(t, err)
	var d declared
	require.NoError(t, json.Unmarshal(text, &d))
	return slices.Collect(maps.Keys(d.Properties)), d.Required
}

// written are the keys of an object.
func written(t *testing.T, object []byte) []string {
	t.Helper()
	var keys map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &keys), "%s", object)
	return slices.Collect(maps.Keys(keys))
}

// TestWriters: what is written by hand has, with everything set, all the keys of its schema and no other, and with nothing
// set those that the schema requires. So the tags, of which the schemas are made, are those of the writers.
func TestWriters(t *testing.T) {
	s := schemas(t)
	now, vin, peer := time.Unix(1e9, 0), codec.MakeVIN([]byte("A")), netip.MustParseAddrPort("192.0.2.7:1")
	for _, w := range []struct {
		name        string
		full, empty []byte
		vin         bool     // beside the schema's own keys
		elsewhere   []string // keys that something else writes
	}{
		{name: "presence", vin: true,
			full: (&session.PresenceEvent{VIN: vin, ProductKey: "p", Platform: "P", Session: 1, Node: "n", Online: true, At: now,
				Reason: session.ReasonLogin, Edition: codec.Edition2016, ICCID: session.MakeICCID([]byte("i"))}).AppendJSON(nil),
			empty: (&session.PresenceEvent{At: now, Reason: session.ReasonLogin}).AppendJSON(nil)},
		{name: "refused", vin: true,
			full:  (&session.RefusedEvent{VIN: vin, Login: session.LoginPlatform, Platform: "P", Remote: peer, Node: "n", At: now, Reason: "x"}).AppendJSON(nil),
			empty: (&session.RefusedEvent{Login: session.LoginVehicle, At: now, Reason: "x"}).AppendJSON(nil)},
		{name: "device", vin: true, elsewhere: []string{"changedAt", "writer"}, // TestSchemas of the program
			full: (&session.Device{VIN: vin, ProductKey: "p", RegisteredAt: now, ActivatedAt: now, LastOnlineAt: now, LastOfflineAt: now, OfflineReason: session.ReasonIdle,
				ICCID: "i", Edition: codec.Edition2025, Disabled: true, Node: "n", Platform: "P", Session: 1}).AppendJSON(nil),
			empty: (&session.Device{}).AppendJSON(nil)},
	} {
		all, always := keysOf(t, w.name)
		if w.vin {
			all, always = append(all, "vin"), append(always, "vin")
		}
		marks := ""
		for _, key := range w.elsewhere {
			require.Contains(t, always, key)
			marks += `,"` + key + `":"2026-03-04T05:06:07.089Z"`
		}
		for _, o := range []struct {
			text []byte
			want []string
		}{{w.full, all}, {w.empty, always}} {
			whole := []byte(strings.TrimSuffix(string(o.text), "}") + marks + "}")
			require.ElementsMatch(t, o.want, written(t, whole), "%s: %s", w.name, whole)
			require.NoError(t, check(s[w.name], whole), "%s: %s", w.name, whole)
		}
	}
}

// TestGatewayKeys: the keys that are put to a frame's JSON are those of common.json, whoever puts them.
func TestGatewayKeys(t *testing.T) {
	text, err := os.ReadFile("v1/common.json")
	require.NoError(t, err)
	var common struct {
		Defs struct {
			Gateway struct {
				Properties        map[string]any
				DependentRequired map[string][]string
			}
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(text, &common))
	all := slices.Collect(maps.Keys(common.Defs.Gateway.Properties))
	without := func(out ...string) (keys []string) {
		for _, key := range all {
			if !slices.Contains(out, key) {
				keys = append(keys, key)
			}
		}
		return keys
	}
	always := append(slices.Clone(common.Defs.Gateway.DependentRequired["receivedAt"]), "receivedAt")
	require.ElementsMatch(t, without("platform", "duplicate", "raw", "merged"), always)

	now, peer := time.Unix(1e9, 0), netip.MustParseAddrPort("192.0.2.7:1")
	f := samples(t)[0]
	plain := written(t, jsonOf(f, codec.JSONOptions{Mask: true}))
	added := func(object []byte) (keys []string) {
		for _, key := range written(t, object) {
			if !slices.Contains(plain, key) {
				keys = append(keys, key)
			}
		}
		return keys
	}
	var c form.Converter
	full := sink.Record{ReceivedAt: now, Node: "n", Session: 1, Platform: "P", Remote: peer, Duplicate: true, Raw: true, Body: f}
	require.ElementsMatch(t, without("merged"), added(c.JSON(&full, true)))
	require.ElementsMatch(t, always, added(c.JSON(&sink.Record{ReceivedAt: now, Raw: true, Body: f}, false)))
	read := stream.Record{ReceivedAt: now, Node: "n", Session: 1, Platform: "P", Remote: peer.String(), Duplicate: true, Raw: true, Body: f}
	require.ElementsMatch(t, without("raw", "merged"), added(read.AppendJSON(nil, nil)))
	require.ElementsMatch(t, always, added((&stream.Record{ReceivedAt: now, Raw: true, Body: f}).AppendJSON(nil, nil)))
}
