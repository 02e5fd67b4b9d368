package topic_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink/topic"
)

func TestNames(t *testing.T) {
	car := "LTEST000000000001"
	for _, c := range []struct {
		template string
		alphabet topic.Alphabet
		fields   []string
		values   topic.Values
		want     string
	}{
		{"gbt32960/{vin}/upstream/{command}", topic.MQTT, topic.Record,
			topic.Values{VIN: car, Command: codec.CommandRealtime, Edition: codec.Edition2016}, "gbt32960/LTEST000000000001/upstream/realtime"},
		{"gbt32960/{vin}/event/{kind}", topic.MQTT, topic.Event, topic.Values{VIN: car, Kind: "online"}, "gbt32960/LTEST000000000001/event/online"},
		{"车/{edition}", topic.MQTT, topic.Record, topic.Values{Edition: codec.Edition2025}, "车/2025"},
		{"{vin}", topic.MQTT, topic.Record, topic.Values{VIN: "a+#/$\x00\xff="}, "a=2B=23=2F=24=00=FF=3D"},
		{"{vin}", topic.MQTT, topic.Record, topic.Values{}, "="},
		{"gbt32960.{edition}.{command}.v1", topic.Kafka, topic.Record,
			topic.Values{Command: 0xC1, Edition: codec.Edition2016}, "gbt32960.2016.0xC1.v1"},
		{"{vin}", topic.Kafka, topic.Record, topic.Values{VIN: "a_b.c/=-Z\xe8"}, "a_5Fb_2Ec_2F_3D-Z_E8"},
		{"{vin}", topic.Kafka, topic.Record, topic.Values{}, "_"},
	} {
		tpl, err := topic.Parse(c.template, c.alphabet, c.fields)
		require.NoError(t, err)
		require.Equal(t, c.want, string(tpl.Append(nil, c.values)))
		_, static := tpl.Static()
		require.False(t, static)
	}
	tpl, err := topic.Parse("gbt32960.raw.v1", topic.Kafka, topic.Record)
	require.NoError(t, err)
	name, static := tpl.Static()
	require.True(t, static)
	require.Equal(t, "gbt32960.raw.v1", name)
}

// TestNoTwoVehiclesShareATopic: escaping is injective, and never gives what means something to a broker.
func TestNoTwoVehiclesShareATopic(t *testing.T) {
	for _, a := range []topic.Alphabet{topic.MQTT, topic.Kafka} {
		tpl, err := topic.Parse("{vin}", a, topic.Record)
		require.NoError(t, err)
		seen := map[string]string{}
		for i := range 256 {
			for _, v := range [][]byte{{byte(i)}, {'a', byte(i)}, {byte(i), '4', '1'}, {'_', byte(i)}, {'=', byte(i)}} {
				vin := string(v)
				name := string(tpl.Append(nil, topic.Values{VIN: vin}))
				if other, ok := seen[name]; ok {
					require.Equal(t, other, vin, "%q", name)
				}
				seen[name] = vin
				require.NotEmpty(t, name)
				require.False(t, strings.ContainsAny(name, "+#/$\x00 "), "%q", name)
			}
		}
	}
}

func TestBadTemplates(t *testing.T) {
	for _, c := range []struct {
		template string
		alphabet topic.Alphabet
		fields   []string
		says     string
	}{
		{"", topic.MQTT, topic.Record, "empty"},
		{"a/+/b", topic.MQTT, topic.Record, "neither + nor #"},
		{"a/#", topic.MQTT, topic.Record, "neither + nor #"},
		{"\xff", topic.MQTT, topic.Record, "UTF-8"},
		{"$SYS/{vin}", topic.MQTT, topic.Record, "belong to the broker"},
		{"{vin", topic.MQTT, topic.Record, "without its }"},
		{"vin}", topic.MQTT, topic.Record, "without its {"},
		{"{VIN}", topic.MQTT, topic.Record, "{VIN} is not known here; one of {vin}, {command}, {edition}"},
		{"{command}", topic.Kafka, topic.Event, "one of {vin}, {kind}"},
		{"a/b", topic.Kafka, topic.Record, "letters, digits"},
		{".", topic.Kafka, topic.Record, "no such name"},
		{strings.Repeat("x", 154) + "{vin}", topic.Kafka, topic.Record, "may become 250 characters"},
	} {
		_, err := topic.Parse(c.template, c.alphabet, c.fields)
		require.ErrorIs(t, err, topic.ErrTemplate, c.template)
		require.ErrorContains(t, err, c.says)
	}
}
