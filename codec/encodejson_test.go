package codec

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	head2016 = `"v":1,"edition":2016,"vin":"LTEST000000000001"`
	at2018   = `"time":"2018-10-30T20:36:00+08:00"`
)

// engine is a realtime report with one engine item, which holds the keys given.
func engine(keys string) string {
	return `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{"type":"engine",` + keys + `}]}`
}

func TestEncodeJSONErrors(t *testing.T) {
	good := `"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.34`
	_, err := EncodeJSON(nil, []byte(engine(good)))
	require.NoError(t, err)
	for _, c := range []struct{ name, json, path, reason string }{
		{"no JSON", `{`, "", "a key is wanted"},
		{"an array", `[]`, "", "an object"},
		{"two objects", `{}{}`, "", "after the end"},
		{"a key twice", `{"v":1,"v":1}`, "", `"v" stands twice`},
		{"version", `{"v":2}`, "v", "version 1"},
		{"edition missing", `{"v":1}`, "edition", "missing"},
		{"edition unknown", `{"edition":2020}`, "edition", "2016 or 2025"},
		{"command missing", `{"edition":2016}`, "command", "missing"},
		{"command of the other edition", `{"edition":2016,"command":"activation"}`, "command", "activation"},
		{"flag", `{` + head2016 + `,"command":"realtime","flag":"yes"}`, "flag", "yes"},
		{"encryption", `{` + head2016 + `,"command":"realtime","encryption":"xor"}`, "encryption", "xor"},
		{"vin missing", `{"edition":2016,"command":"realtime"}`, "vin", "missing"},
		{"vin too long", `{"edition":2016,"command":"heartbeat","vin":"123456789012345678"}`, "vin", "18 bytes"},
		{"vin hex too short", `{"edition":2016,"command":"heartbeat","vinHex":"00"}`, "vinHex", "exactly 17"},
		{"masked", `{` + head2016 + `,"command":"platformLogin","masked":true}`, "masked", "cannot be encoded"},
		{"unknown key", `{` + head2016 + `,"command":"heartbeat","speed":1}`, "speed", "unknown key"},
		{"key of another command", `{` + head2016 + `,"command":"vehicleLogout",` + at2018 + `,"serial":1,"iccid":"1"}`, "iccid", "unknown key"},
		{"key after an absent one", `{` + head2016 + `,"command":"vehicleLogin",` + at2018 + `,"iccid":"1"}`, "iccid", `after "serial"`},
		{"time missing", `{` + head2016 + `,"command":"realtime","info":[]}`, "info", `after "time"`},
		{"time impossible", `{` + head2016 + `,"command":"realtime","time":"2018-02-30T00:00:00+08:00"}`, "time", "no time"},
		{"time too early", `{` + head2016 + `,"command":"realtime","time":"1999-12-31T15:59:59Z"}`, "time", "2000 to 2099"},
		{"time with milliseconds", `{` + head2016 + `,"command":"realtime","time":"2018-10-30T20:36:00.5+08:00"}`, "time", "whole seconds"},
		{"time hex", `{` + head2016 + `,"command":"realtime","time":null,"timeHex":"00"}`, "timeHex", "six bytes"},
		{"time null", `{` + head2016 + `,"command":"realtime","time":null}`, "time", "a string"},
		{"rest", `{` + head2016 + `,"command":"heartbeat","rest":"0"}`, "rest", "hex"},
		{"encrypted with keys", `{` + head2016 + `,"command":"realtime","encryption":"aes",` + at2018 + `}`, "time", "unknown key"},
		{"info is no array", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":{}}`, "info", "an array"},
		{"item is no object", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[1]}`, "info[0]", "an object"},
		{"item without type", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{}]}`, "info[0].type", "missing"},
		{"item of the other edition", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{"type":"signature"}]}`, "info[0].type", "2016"},
		{"field missing", engine(`"state":1,"crankshaftSpeed":3000`), "info[0].fuelConsumption", "missing"},
		{"unknown field", engine(good + `,"power":1`), "info[0].power", "unknown key"},
		{"no number", engine(`"state":"1","crankshaftSpeed":3000,"fuelConsumption":12.34`), "info[0].state", "a number"},
		{"off the grid", engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.345`), "info[0].fuelConsumption", "12.345 is not on the grid of 0.01"},
		{"fraction of a raw number", engine(`"state":1.5,"crankshaftSpeed":3000,"fuelConsumption":12.34`), "info[0].state", "grid"},
		{"too large", engine(`"state":1,"crankshaftSpeed":65536,"fuelConsumption":12.34`), "info[0].crankshaftSpeed", "0 to 65535"},
		{"far too large", engine(`"state":1,"crankshaftSpeed":1e999999999999,"fuelConsumption":12.34`), "info[0].crankshaftSpeed", "0 to 65535"},
		{"negative", engine(`"state":-1,"crankshaftSpeed":0,"fuelConsumption":12.34`), "info[0].state", "0 to 255"},
		{"null in no list", engine(`"state":1,"crankshaftSpeed":null,"fuelConsumption":12.34`), "info[0].crankshaftSpeed", "neither"},
		{"null of a raw number", engine(`"state":null,"crankshaftSpeed":0,"fuelConsumption":12.34,"invalid":["state"]`), "info[0].state", "a number"},
		{"listed but a value", engine(good + `,"invalid":["crankshaftSpeed"]`), "info[0].crankshaftSpeed", "listed as invalid"},
		{"listed twice", engine(`"state":1,"crankshaftSpeed":null,"fuelConsumption":1,"invalid":["crankshaftSpeed"],"abnormal":["crankshaftSpeed"]`), "info[0]", "twice"},
		{"listed, not there", engine(good + `,"abnormal":["speed"]`), "info[0].abnormal", `"speed"`},
		{"bad path", engine(good + `,"abnormal":["speed[3"]`), "info[0].abnormal", "names something"},
		{"bad range", engine(good + `,"abnormal":["speed[3..1]"]`), "info[0].abnormal", "no path"},
		{"list is no text", engine(good + `,"abnormal":[1]`), "info[0].abnormal", "a path"},
		{"range too long", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{"type":"storageTemperatures","subsystems":[{"number":1,"temperatures":[1,null]}],"invalid":["subsystems[0].temperatures[1..2]"]}]}`,
			"info[0].invalid", "temperatures[1..2]"},
		{"in a list of lists", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{"type":"storageVoltages","subsystems":[{"number":1,"voltage":1,"current":0,"cellCount":1,"firstCell":1,"cellVoltages":[3.7,3.70001]}]}]}`,
			"info[0].subsystems[0].cellVoltages[1]", "grid of 0.001"},
		{"too many entries", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{"type":"alarms","highestLevel":0,"flags":0,"storageFaults":[` + strings.Repeat("1,", 253) + `1],"motorFaults":[],"engineFaults":[],"otherFaults":[]}]}`,
			"info[0].storageFaults", "254 entries"},
		{"unit too long", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"rest":"` + strings.Repeat("00", 65526) + `"}`, "", "65532 bytes"},
		{"custom id", `{` + head2016 + `,"command":"realtime",` + at2018 + `,"info":[{"type":"custom","id":9,"data":""}]}`, "info[0].id", "128 to 254"},
		{"unknown parameter", `{` + head2016 + `,"command":"paramSet",` + at2018 + `,"params":[{"id":17,"x":1}]}`, "params[0].id", "no parameter"},
		{"parameter of another id", `{` + head2016 + `,"command":"paramSet",` + at2018 + `,"params":[{"id":2,"storagePeriod":1}]}`, "params[0].reportPeriod", "missing"},
		{"domain without length", `{` + head2016 + `,"command":"paramSet",` + at2018 + `,"params":[{"id":5,"platformDomain":"a.b"}]}`, "params[0].platformDomain", "must stand before"},
		{"domain of another length", `{` + head2016 + `,"command":"paramSet",` + at2018 + `,"params":[{"id":4,"platformDomainLength":2},{"id":5,"platformDomain":"a.b"}]}`, "params[1].platformDomain", "3 bytes, 2"},
		{"version too long", `{` + head2016 + `,"command":"paramSet",` + at2018 + `,"params":[{"id":7,"hardwareVersion":"1.2.3.4"}]}`, "params[0].hardwareVersion", "at most 5"},
		{"upgrade form", `{` + head2016 + `,"command":"control",` + at2018 + `,"control":1,"upgradeForm":"xml"}`, "upgradeForm", "binary"},
		{"semicolon", upgrade(`"a;b"`, `"1.2.3.4"`), "apn", "semicolon"},
		{"address", upgrade(`"a"`, `"1.2.3.256"`), "address", "dotted quad"},
		{"short address", upgrade(`"a"`, `"1.2.3"`), "address", "dotted quad"},
		{"codes too long", `{` + head2016 + `,"command":"vehicleLogin",` + at2018 + `,"serial":1,"iccid":"1","codeLength":2,"storageCodes":["abc"]}`, "storageCodes", "longer"},
		{"count too large", `{` + head2016 + `,"command":"paramQuery",` + at2018 + `,"idsCount":256,"ids":[]}`, "idsCount", "0 to 255"},
		{"marker", `{"edition":2025,"vin":"L","command":"activation",` + at2018 + `,"chipId":"c","publicKey":"","activationVin":"L","signature":{"marker":1,"algorithm":1,"r":"","s":""}}`, "signature.marker", "255"},
		{"algorithm 255", `{"edition":2025,"vin":"L","command":"activation",` + at2018 + `,"chipId":"c","publicKey":"","activationVin":"L","signature":{"algorithm":255,"r":"","s":""}}`, "signature.algorithm", "marker"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst, err := EncodeJSON([]byte("kept"), []byte(c.json))
			require.Equal(t, "kept", string(dst))
			var e *JSONError
			require.True(t, errors.As(err, &e), "%v", err)
			require.Equal(t, c.path, e.Path, "%v", err)
			require.Contains(t, e.Error(), c.reason)
			require.LessOrEqual(t, e.Offset, len(c.json))
		})
	}
}

func upgrade(apn, address string) string {
	return `{` + head2016 + `,"command":"control",` + at2018 + `,"control":1,"upgradeForm":"binary","apn":` + apn + `,"username":"","password":"","address":` + address +
		`,"port":21,"manufacturer":"ABCD","hardwareVersion":"1.0.0","firmwareVersion":"1.0.1","url":"ftp://x/;y","timeLimit":10}`
}

func TestEncodeJSONAccepts(t *testing.T) {
	var want Message
	want.Header = Header{Edition: Edition2016, Command: CommandRealtime, Flag: FlagCommand, VIN: [17]byte([]byte("LTEST000000000001")), Encryption: EncryptionNone}
	want.Body = &Realtime{Time: Time{18, 10, 30, 20, 36, 0}, Info: []Item{&Engine2016{State: 1, CrankshaftSpeed: 3000, FuelConsumption: 1230}}}
	frame, err := want.Append(nil)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"as written":   engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.30`),
		"any order":    `{"info":[{"fuelConsumption":12.3,"crankshaftSpeed":3000,"state":1,"type":"engine"}],` + at2018 + `,"command":"realtime",` + head2016 + `}`,
		"any notation": engine(`"state":1.0,"crankshaftSpeed":3e3,"fuelConsumption":0.123E+2`),
		"many digits":  engine(`"state":1,"crankshaftSpeed":30000000000000000000000e-19,"fuelConsumption":12.30000000000000000000000`),
		"conveniences": engine(`"state":1,"_state":"started","crankshaftSpeed":3000,"fuelConsumption":12.3,"_x":{"y":[null]}`),
		"another zone": strings.Replace(engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.3`), "2018-10-30T20:36:00+08:00", "2018-10-30T12:36:00Z", 1),
		"escapes":      strings.Replace(engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.3`), `"engine"`, `"\u0065ngine"`, 1),
		"space":        strings.ReplaceAll(engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.3`), ",", " ,\r\n\t "),
		"the gateway's keys": strings.Replace(engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.3`), "{",
			`{"receivedAt":"2018-10-30T12:36:00.123Z","node":"n","session":"00","remote":"r","platform":"p","duplicate":true,"raw":"00","problems":[{"path":"x"}],"_note":1,`, 1),
		"defaults": strings.Replace(engine(`"state":1,"crankshaftSpeed":3000,"fuelConsumption":12.3`), `"v":1,`, "", 1),
	} {
		got, err := EncodeJSON(nil, []byte(text))
		require.NoError(t, err, name)
		require.Equal(t, frame, got, name)
	}
}

// TestParseScaled covers the decimal arithmetic at its edges.
func TestParseScaled(t *testing.T) {
	for _, c := range []struct {
		text     string
		decimals int
		want     int64
		ok       bool
	}{
		{"0", 1, 0, true}, {"-0", 1, 0, true}, {"-0.0e5", 1, 0, true}, {"0e-99999999999", 0, 0, true},
		{"25.1", 1, 251, true}, {"-25.1", 1, -251, true}, {"25.10", 1, 251, true}, {"2.51e1", 1, 251, true}, {"251e-1", 1, 251, true},
		{"25.11", 1, 0, false}, {"1e-7", 6, 0, false}, {"1e-6", 6, 1, true}, {"1e-1000000000000", 6, 0, false},
		{"1000", 0, 1000, true}, {"1e3", 0, 1000, true}, {"121.448200", 6, 121448200, true},
		{"0.1e-0", 1, 1, true}, {"123456789012345678", 0, 123456789012345678, true},
	} {
		got, ok := parseScaled(c.text, c.decimals)
		require.Equal(t, c.ok, ok, c.text)
		require.Equal(t, c.want, got, c.text)
	}
	huge, ok := parseScaled("-1e30", 0)
	require.True(t, ok)
	require.Less(t, huge, int64(-1)<<60)
}

func TestTreeReader(t *testing.T) {
	for _, text := range []string{
		``, ` `, `nul`, `tru`, `01`, `-`, `1.`, `1e`, `.5`, `+1`, `"`, `"\`, `"\u12`, `"\x"`, "\"\x01\"", "\"\xff\"", `"\ud800"`, `"\udc00\ud800"`,
		`[1,]`, `[1 2]`, `{"a"}`, `{"a":1,}`, `{a:1}`, `{"a":1 "b":2}`, `1 2`, strings.Repeat("[", 100000), strings.Repeat(`{"a":`, 100000),
	} {
		_, err := parseTree([]byte(text))
		require.NotNil(t, err, "%.20s", text)
		require.LessOrEqual(t, err.Offset, len(text))
	}
	n, err := parseTree([]byte(` {"a":[1,-2.5e+3,true,false,null,"x\n\"\\\/\b\f\r\t\u00e9\ud83d\ude00é"],"":{}} `))
	require.Nil(t, err)
	require.Equal(t, "x\n\"\\/\b\f\r\té😀é", n.find("a").value.elems[5].text)
	var large strings.Builder
	for i := range 100000 {
		large.WriteString(`,"` + string(appendUint(nil, uint32(i))) + `":0`)
	}
	n, err = parseTree([]byte("{" + large.String()[1:] + "}"))
	require.Nil(t, err)
	require.Len(t, n.members, 100000)
	_, err = parseTree([]byte("{" + large.String()[1:] + `,"77":1}`))
	require.ErrorContains(t, err, "twice")
}
