package fuzz

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(32960, 3)) }

// parse is codec.ParseFrame of a frame that must be right.
func parse(t *testing.T, frame []byte) codec.Frame {
	t.Helper()
	f, err := codec.ParseFrame(frame)
	require.NoError(t, err, "%x", frame)
	return f
}

// decodedJSON returns the codec's JSON of a frame as encoding/json reads it.
func decodedJSON(t *testing.T, text []byte) object {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o object
	require.NoError(t, d.Decode(&o), "%s", text)
	require.False(t, d.More(), "%s", text)
	return o
}

// checkAppend: what Decode reads Append writes, whatever m held before.
func checkAppend(t *testing.T, m *codec.Message, frame []byte) {
	t.Helper()
	f := parse(t, frame)
	m.Decode(f)
	again, err := m.Append([]byte("before"))
	require.NoError(t, err, "%x", frame)
	require.Equal(t, "before", string(again[:6]))
	if !bytes.Equal(frame, again[6:]) {
		t.Fatalf("appended other bytes\n have %x\n want %x", again[6:], frame)
	}
	copied := m.Clone()
	again, err = copied.Append(nil)
	require.NoError(t, err, "%x", frame)
	require.True(t, bytes.Equal(frame, again), "a clone of %x appends %x", frame, again)
}

// checkJSON: the JSON is valid, gives the frame back in any key order, and does not depend on what
// m held before. Masked JSON keeps secrets and is refused.
func checkJSON(t *testing.T, m *codec.Message, frame []byte) {
	t.Helper()
	f := parse(t, frame)
	m.Decode(f)
	text := m.AppendJSON(nil, codec.JSONOptions{})
	o := decodedJSON(t, text)
	again, err := codec.EncodeJSON(nil, text)
	require.NoError(t, err, "%x\n%s", frame, text)
	if !bytes.Equal(frame, again) {
		t.Fatalf("JSON encodes to other bytes\n have %x\n want %x\n %s", again, frame, text)
	}
	sorted, err := json.Marshal(o)
	require.NoError(t, err)
	again, err = codec.EncodeJSON(nil, sorted)
	require.NoError(t, err, "%x\n%s", frame, sorted)
	require.True(t, bytes.Equal(frame, again), "with sorted keys %x is %x\n%s", frame, again, sorted)

	var fresh codec.Message
	fresh.Decode(f)
	require.Equal(t, string(fresh.AppendJSON(nil, codec.JSONOptions{})), string(text), "a reused message differs")

	masked := m.AppendJSON(nil, codec.JSONOptions{Mask: true})
	if !codec.Secret(f) {
		require.Equal(t, string(text), string(masked))
		return
	}
	maskedObject := decodedJSON(t, masked)
	require.Equal(t, true, maskedObject["masked"])
	for key := range maskedObject {
		switch strings.TrimSuffix(key, "Hex") {
		case "password", "key", "rest", "raw":
			t.Fatalf("masked JSON has %s: %s", key, masked)
		}
	}
	_, err = codec.EncodeJSON(nil, masked)
	var jsonError *codec.JSONError
	require.ErrorAs(t, err, &jsonError, "%s", masked)
}

// normal removes what the reference does not produce: problems and conveniences.
func normal(v any) any {
	switch v := v.(type) {
	case object:
		for key := range v {
			if key == "problems" || strings.HasPrefix(key, "_") {
				delete(v, key)
			}
		}
		for _, e := range v {
			normal(e)
		}
	case []any:
		for _, e := range v {
			normal(e)
		}
	}
	return v
}

// checkReference: the codec's JSON is what the reference decoder says.
func checkReference(t *testing.T, m *codec.Message, frame []byte) {
	t.Helper()
	m.Decode(parse(t, frame))
	text := m.AppendJSON(nil, codec.JSONOptions{})
	have := decodedJSON(t, text)
	problems := have["problems"]
	want, outOfRange := Reference(frame)
	normal(have)
	normal(want)
	if u := frame[24 : len(frame)-1]; have["command"] == "control" && len(u) > 6 && u[6] == 1 {
		// A remote upgrade: of its arguments identity alone is checked.
		for _, o := range []object{want, have} {
			for key := range o {
				switch key {
				case "v", "edition", "command", "flag", "vin", "encryption", "time":
				default:
					delete(o, key)
				}
			}
		}
		problems, outOfRange = nil, nil
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Fatalf("the reference differs (-reference +codec)\n%s\nframe %x\n%s", d, frame, text)
	}
	checkProblems(t, problems, outOfRange, text)
}

var codes = map[string]bool{"outOfRange": true, "reservedBits": true, "badTime": true, "padding": true, "countMark": true,
	"countMismatch": true, "unknownItem": true, "unknownCommand": true, "truncated": true, "trailing": true,
	"afterSignature": true, "unknownParam": true, "encrypted": true, "notCanonical": true, "tooLarge": true, "more": true}

var (
	lastKey = regexp.MustCompile(`([A-Za-z0-9]+)(\[[0-9.]+\])?$`)
	indexes = regexp.MustCompile(`^(.*\[)(\d+)\.\.(\d+)\]$`)
)

// notMeasured are the fields of info items and parameters that the reference reads as raw integers
// or bytes: their ranges are not its business.
var notMeasured = map[string]bool{"vehicleState": true, "chargeState": true, "runMode": true, "dcdcState": true, "state": true,
	"gear": true, "status": true, "highestLevel": true, "flags": true, "level": true, "bit": true, "coordinateSystem": true,
	"algorithm": true, "sampling": true, "id": true, "data": true, "r": true, "s": true}

// isMeasurement reports whether a path names a measurement of an info item or a parameter.
func isMeasurement(path string) bool {
	if !strings.HasPrefix(path, "info[") && !strings.HasPrefix(path, "params[") {
		return false
	}
	key := lastKey.FindStringSubmatch(path)
	return key != nil && !notMeasured[key[1]] && (key[1] == "cellCount" || !strings.HasSuffix(key[1], "Count"))
}

// checkProblems: the codes are those that exist, and the measurements out of range are the
// reference's.
func checkProblems(t *testing.T, problems any, outOfRange []string, text []byte) {
	t.Helper()
	if problems == nil {
		require.Empty(t, outOfRange, "%s", text)
		return
	}
	list := problems.([]any)
	require.NotEmpty(t, list, "%s", text)
	require.LessOrEqual(t, len(list), 65, "%s", text)
	have := map[string]bool{}
	for _, p := range list {
		p := p.(object)
		code := p["code"].(string)
		require.True(t, codes[code], "%s in %s", code, text)
		if code == "more" {
			return
		}
		path, _ := p["path"].(string)
		if code == "outOfRange" && isMeasurement(path) {
			if r := indexes.FindStringSubmatch(path); r != nil {
				from, _ := strconv.Atoi(r[2])
				to, _ := strconv.Atoi(r[3])
				for i := from; i <= to; i++ {
					have[r[1]+strconv.Itoa(i)+"]"] = true
				}
				continue
			}
			have[path] = true
		}
	}
	want := map[string]bool{}
	for _, p := range outOfRange {
		want[p] = true
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Fatalf("other measurements are out of range (-reference +codec)\n%s\n%s", d, text)
	}
}
