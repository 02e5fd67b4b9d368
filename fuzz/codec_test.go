package fuzz

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// vin is the identifier of frames whose identifier does not matter.
const vin = "LTEST000000000001"

// FuzzDecodeAppend: decode and append give the same bytes, for any data unit of any command.
func FuzzDecodeAppend(f *testing.F) {
	addFrames(f)
	var m codec.Message
	f.Fuzz(func(t *testing.T, edition2025 bool, command, flag, encryption byte, unit []byte) {
		checkAppend(t, &m, Build(edition2025, command, flag, encryption, vin, unit))
	})
}

// FuzzJSONIdentity: a frame's JSON gives the frame back. The identifier is part of the input: it is
// a string with a text and a hex form too.
func FuzzJSONIdentity(f *testing.F) {
	for _, b := range frames(f) {
		f.Add(b)
	}
	var m codec.Message
	f.Fuzz(func(t *testing.T, mutated []byte) {
		checkJSON(t, &m, Repair(mutated))
	})
}

// FuzzDifferential compares the codec with the reference decoder.
func FuzzDifferential(f *testing.F) {
	addFrames(f)
	var m codec.Message
	f.Fuzz(func(t *testing.T, edition2025 bool, command, flag, encryption byte, unit []byte) {
		checkReference(t, &m, Build(edition2025, command, flag, encryption, vin, unit))
	})
}

// FuzzGrammar checks every property on frames that follow the tables closely: the fuzzer's input
// only makes the decisions.
func FuzzGrammar(f *testing.F) {
	random := newRandom()
	for range 200 {
		input := make([]byte, random.IntN(300))
		for i := range input {
			input[i] = byte(random.UintN(256))
		}
		f.Add(input)
	}
	var m codec.Message
	f.Fuzz(func(t *testing.T, input []byte) {
		frame := Grammar(input)
		checkAppend(t, &m, frame)
		checkJSON(t, &m, frame)
		checkReference(t, &m, frame)
	})
}

// FuzzParams is FuzzGrammar for the parameter lists alone: queries' answers and settings.
func FuzzParams(f *testing.F) {
	random := newRandom()
	for i := range 100 {
		input := make([]byte, random.IntN(200))
		for j := range input {
			input[j] = byte(random.UintN(256))
		}
		f.Add(i%2 == 0, i%3 == 0, input)
	}
	var m codec.Message
	f.Fuzz(func(t *testing.T, edition2025, answer bool, input []byte) {
		c := &choices{input}
		unit := c.params([]byte{26, 11, 23, 7, 0, 0}, edition2025)
		command, flag := byte(0x81), byte(0xFE)
		if answer {
			command, flag = 0x80, 0x01
		}
		frame := Build(edition2025, command, flag, 1, vin, unit)
		checkAppend(t, &m, frame)
		checkJSON(t, &m, frame)
		checkReference(t, &m, frame)
	})
}

// FuzzEncodeJSON: any text is refused with a *JSONError, or it is a frame, whose own JSON gives the
// same frame.
func FuzzEncodeJSON(f *testing.F) {
	var m codec.Message
	for _, b := range frames(f) {
		m.Decode(codec.Frame(b))
		f.Add(m.AppendJSON(nil, codec.JSONOptions{}))
	}
	for _, text := range []string{"", "{", "null", `{"v":2}`, `{"v":1,"edition":2016}`, `{"v":1,"edition":2016,"command":"realtime","flag":"command","vin":"X","encryption":"none","time":"2018-10-30T20:36:00+08:00","info":[{"type":"vehicle","speed":1e999}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := codec.EncodeJSON([]byte("before"), text)
		require.Equal(t, "before", string(b[:6]))
		if err != nil {
			var jsonError *codec.JSONError
			require.ErrorAs(t, err, &jsonError)
			require.Len(t, b, 6)
			return
		}
		checkAppend(t, &m, b[6:])
		checkJSON(t, &m, b[6:])
	})
}

// TestSamples checks every property on the frames that other people made.
func TestSamples(t *testing.T) {
	var m codec.Message
	for _, frame := range frames(t) {
		checkAppend(t, &m, frame)
		checkJSON(t, &m, frame)
		checkReference(t, &m, frame)
	}
}

// TestGrammar checks every property on frames of the grammar; an ordinary test run then covers
// what a fuzzer finds first.
func TestGrammar(t *testing.T) {
	var m codec.Message
	for _, frame := range grammarFrames(5000) {
		checkAppend(t, &m, frame)
		checkJSON(t, &m, frame)
		checkReference(t, &m, frame)
	}
}

// TestGrammarReaches: the grammar's frames reach every info item, every parameter and every
// command, most of them in frames without any rest.
func TestGrammarReaches(t *testing.T) {
	seen := map[string]int{}
	whole := 0
	for _, frame := range grammarFrames(20000) {
		o, _ := Reference(frame)
		edition := "2016 "
		if frame[0] == '$' {
			edition = "2025 "
		}
		if _, ok := o["rest"]; !ok {
			whole++
		}
		seen[edition+o["command"].(string)]++
		for _, list := range []string{"info", "params"} {
			items, _ := o[list].([]any)
			for _, it := range items {
				it := it.(object)
				if kind, ok := it["type"].(string); ok {
					seen[edition+kind]++
				} else {
					seen[edition+"param "+it["id"].(json.Number).String()]++
				}
			}
		}
	}
	require.Greater(t, whole, 10000)
	for _, edition := range []string{"2016 ", "2025 "} {
		names := []string{"vehicleLogin", "realtime", "reissue", "vehicleLogout", "platformLogin", "platformLogout", "heartbeat",
			"timeSync", "paramQuery", "paramSet", "control", "vehicle", "driveMotors", "fuelCell", "engine", "position", "alarms", "custom"}
		if edition == "2016 " {
			names = append(names, "extremes", "storageVoltages", "storageTemperatures")
		} else {
			names = append(names, "activation", "activationResponse", "keyExchange", "cellVoltages", "packTemperatures",
				"fuelCellStacks", "supercapacitor", "supercapacitorExtremes", "signature")
		}
		for id := range 16 {
			names = append(names, "param "+strconv.Itoa(id+1))
		}
		for _, name := range names {
			require.Greater(t, seen[edition+name], 25, edition+name)
		}
	}
}
