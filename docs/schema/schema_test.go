package schema

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session"
)

// schemas compiles all of v1, by file name.
func schemas(t testing.TB) map[string]*jsonschema.Schema {
	t.Helper()
	files, err := filepath.Glob("v1/*.json")
	require.NoError(t, err)
	require.Len(t, files, 19)
	c := jsonschema.NewCompiler()
	const base = "https://tboxgate.github.io/schema/v1/"
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err, file)
		require.Equal(t, base+filepath.Base(file), doc.(map[string]any)["$id"])
		require.NoError(t, c.AddResource(base+filepath.Base(file), doc))
	}
	all := map[string]*jsonschema.Schema{}
	for _, file := range files {
		s, err := c.Compile(base + filepath.Base(file))
		require.NoError(t, err, file)
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = s
	}
	return all
}

func check(s *jsonschema.Schema, text []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// samples are the good frames of codec/testdata.
func samples(t testing.TB) (all []codec.Frame) {
	t.Helper()
	for _, name := range []string{"2016", "2025"} {
		text, err := os.ReadFile("../../codec/testdata/frames/" + name + ".jsonl")
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			var s struct{ Hex string }
			require.NoError(t, json.Unmarshal([]byte(line), &s))
			b, err := hex.DecodeString(s.Hex)
			require.NoError(t, err)
			if f, err := codec.ParseFrame(b); err == nil {
				all = append(all, f)
			}
		}
	}
	require.Greater(t, len(all), 50)
	return all
}

func jsonOf(f codec.Frame, o codec.JSONOptions) []byte {
	var m codec.Message
	m.Decode(f)
	return m.AppendJSON(nil, o)
}

// TestFrames: every frame of others, with and without the gateway's keys, masked or not.
func TestFrames(t *testing.T) {
	s := schemas(t)["frame"]
	for i, f := range samples(t) {
		for _, o := range []codec.JSONOptions{{}, {Mask: true}, {MaxSize: 300}} {
			b := jsonOf(f, o)
			require.NoError(t, check(s, b), "sample %d: %s", i, b)
			b = fmt.Appendf(b[:len(b)-1], `,"receivedAt":"2026-03-04T05:06:07.089Z","node":"n","session":"00c0ffee00c0ffee","remote":"192.0.2.7:1","platform":"P","duplicate":true,"raw":"%x"}`, []byte(f))
			require.NoError(t, check(s, b), "sample %d: %s", i, b)
		}
	}
}

// TestMutatedFrames: what a broken or hostile terminal may send, as long as the check byte is right: bytes changed, units cut and
// grown, other commands, flags, editions.
func TestMutatedFrames(t *testing.T) {
	s := schemas(t)["frame"]
	random := rand.New(rand.NewPCG(1, 2))
	var m codec.Message
	for i, f := range samples(t) {
		for n := range 60 {
			h := codec.Header{Edition: f.Edition(), Command: f.Command(), Flag: f.Flag(), VIN: [17]byte(f.RawVIN()), Encryption: f.Encryption()}
			unit := bytes.Clone(f.Unit())
			switch n % 5 {
			case 0:
				unit = unit[:random.IntN(len(unit)+1)]
			case 1:
				unit = append(unit, byte(random.Uint32()), byte(random.Uint32()))
			case 2:
				h.Command = codec.Command(random.Uint32() % 0x90)
			case 3:
				h.Flag, h.VIN[random.IntN(17)], h.Edition = codec.Flag(random.Uint32()), byte(random.Uint32()), codec.Edition2016
				if random.IntN(2) == 0 {
					h.Edition = codec.Edition2025
				}
			}
			for range 1 + random.IntN(3) {
				if len(unit) > 0 {
					unit[random.IntN(len(unit))] = [...]byte{0, 1, 2, 0x7F, 0xFD, 0xFE, 0xFF, byte(random.Uint32())}[random.IntN(8)]
				}
			}
			b, err := codec.AppendFrame(nil, h, unit)
			require.NoError(t, err)
			mutated, err := codec.ParseFrame(b)
			require.NoError(t, err)
			m.Decode(mutated)
			text := m.AppendJSON(nil, codec.JSONOptions{Mask: n%2 == 0})
			require.NoError(t, check(s, text), "sample %d, mutation %d: %x: %s", i, n, b, text)
		}
	}
}

// TestWrongDocuments: each of these differs from a good document in one place, and does not pass.
func TestWrongDocuments(t *testing.T) {
	all := schemas(t)
	const vehicle = `{"type":"vehicle","vehicleState":1,"chargeState":1,"runMode":1,"speed":0.0,"mileage":1.5,"totalVoltage":380.0,"totalCurrent":-2.5,"soc":50,"dcdcState":1,"gear":0,"_gear":"N","insulationResistance":1,"acceleratorPedal":0,"brakePedal":0}`
	const frame = `{"v":1,"edition":2016,"command":"realtime","flag":"command","vin":"A","encryption":"none","time":"2026-03-04T13:06:07+08:00","info":[` + vehicle + `]}`
	presence := (&session.PresenceEvent{VIN: codec.MakeVIN([]byte("A")), ProductKey: "p", Session: 1, Node: "n", At: time.Unix(1e9, 0), Reason: session.ReasonLogout}).AppendJSON(nil)
	refused := (&session.RefusedEvent{VIN: codec.MakeVIN([]byte{0xFF, 1}), Login: "vehicle", Remote: netip.MustParseAddrPort("192.0.2.7:1"), Node: "n", At: time.Unix(1e9, 0), Reason: "x"}).AppendJSON(nil)
	entry := `{"rawBytes":25,"vin":"A","receivedAt":"2026-03-04T05:06:07.089Z","node":"n","session":"00c0ffee00c0ffee","remote":"1.2.3.4:5"}`
	command := `{"messageId":1,"productKey":"p","deviceName":"A","command":"control","state":"sent","at":"2026-03-04T05:06:07.089Z","requestId":"r","accessKeyId":"k","node":"n","sends":1,"frame":"2323"}`
	device := `{"vin":"A","productKey":"p","registeredAt":"2026-03-04T05:06:07.089Z","changedAt":"2026-03-04T05:06:07.089Z","writer":"n","edition":2025}`
	platform := `{"code":"A","user":"u","salt":"AA==","hash":"AA==","mark":"AA==","changedAt":"2026-03-04T05:06:07.089Z"}`
	last := `{"vin":"A","edition":2016,"time":"2026-03-04T13:06:07+08:00","receivedAt":"2026-03-04T05:06:07.089Z","node":"n","session":"00c0ffee00c0ffee","position":{"time":"2026-03-04T13:06:07+08:00","longitude":1.5,"latitude":null,"valid":true},"frame":` + frame + `}`
	result := `{"messageId":1,"productKey":"p","deviceName":"A","command":128,"edition":2016,"state":"answered","reason":"vehicleLeft","node":"n","sends":1,"createdAt":"2026-03-04T05:06:07.089Z"}`
	key := `{"id":"k","secret":"AA==","createdAt":"2026-03-04T05:06:07.089Z","products":["p"],"allow":["query","import"],"revision":1}`
	message := `{"productKey":"p","deviceName":"m","topic":"/p/m/user/update","qos":1,"receivedAt":"2026-03-04T05:06:07.089Z","node":"n","session":"00c0ffee00c0ffee","payload":""}`
	mqttPresence, err := json.Marshal(mqttdevice.PresenceEvent{ProductKey: "p", DeviceName: "m", Session: "00c0ffee00c0ffee", Node: "n", At: time.Unix(1e9, 0), Reason: session.ReasonIdle})
	require.NoError(t, err)
	mqttRefused := `{"deviceName":"m","productKey":"p","login":"mqtt","remote":"1.2.3.4:5","node":"n","at":"2026-03-04T05:06:07.089Z","reason":"signature"}`
	mqttCommand := `{"messageId":1,"productKey":"p","deviceName":"m","command":"message","topic":"/p/m/user/get","state":"sent","at":"2026-03-04T05:06:07.089Z","requestId":"r","accessKeyId":"k","reason":"qos0","node":"n","payload":"AA=="}`
	mqttDevice := `{"registeredAt":"2026-03-04T05:06:07.089Z","secret":"AA==","disabled":true}`
	mqttLast := `{"activatedAt":"2026-03-04T05:06:07.089Z","lastOnlineAt":"2026-03-04T05:06:07.089Z","offlineReason":"idle","node":"n","session":"00c0ffee00c0ffee","remote":""}`
	for _, tt := range []struct{ schema, good, from, to string }{
		{"frame", frame, `"v":1`, `"v":2`},
		{"frame", frame, `"edition":2016`, `"edition":2017`},
		{"frame", frame, `"edition":2016`, `"edition":2025`}, // whose item vehicle has no pedals
		{"frame", frame, `"realtime"`, `"realtme"`},
		{"frame", frame, `"flag":"command"`, `"flag":"no"`},
		{"frame", frame, `"vin":"A",`, ``},
		{"frame", frame, `"vin":"A"`, `"vin":7`},
		{"frame", frame, `"time":"2026`, `"time":"26`},
		{"frame", frame, `+08:00`, `Z`},
		{"frame", frame, `"info":[`, `"infos":[`},
		{"frame", frame, `"soc":50`, `"soc":"50"`},
		{"frame", frame, `"soc":50`, `"soc":254`}, // the mark is null
		{"frame", frame, `"soc":50,`, ``},
		{"frame", frame, `"gear":0`, `"gear":256`},
		{"frame", frame, `"gear":0`, `"gear":null`},
		{"frame", frame, `"totalCurrent":-2.5`, `"totalCurrent":-1000.1`},
		{"frame", frame, `"_gear":"N"`, `"_gear":"X"`},
		{"frame", frame, `"type":"vehicle"`, `"type":"vehicles"`},
		{"frame", frame, `"brakePedal":0`, `"brakePedal":0,"invalid":[]`},
		{"frame", frame, `"brakePedal":0`, `"brakePedal":0,"wings":2`},
		{"frame", frame, `"realtime"`, `"heartbeat"`}, // which has no info
		{"frame", frame, `]}`, `],"problems":[{"path":"x","code":"y"}]}`},
		{"frame", frame, `]}`, `],"receivedAt":"2026-03-04T05:06:07.089Z"}`}, // without node, session, remote
		{"frame", frame, `]}`, `],"duplicate":false}`},
		{"frame", frame, `]}`, `],"rest":"abc"}`},
		{"presence", string(presence), `"logout"`, `"bored"`},
		{"presence", string(presence), `"vin":"A",`, ``},
		{"presence", string(presence), `.000Z`, `Z`},
		{"refused", string(refused), `"login":"vehicle"`, `"login":"bicycle"`},
		{"refused", string(refused), `"vinHex":"`, `"vinHex":"00`},
		{"entry", entry, `"rawBytes":25`, `"rawBytes":24`},
		{"entry", entry, `"node"`, `"knot"`},
		{"entry", entry, `,"vin":"A"`, ``},
		{"command", command, `"sent"`, `"lost"`},
		{"command", command, `"state"`, `"reason":"bored","state"`},
		{"command", command, `"frame":"2323"`, `"frame":"232"`},
		{"device", device, `"edition":2025`, `"edition":2030`},
		{"device", device, `,"writer":"n"`, ``},
		{"platform", platform, `"user":"u"`, `"password":"u"`},
		{"platform", platform, `"code":"A",`, ``},
		{"result", result, `128`, `127`},
		{"result", result, `2016`, `2017`},
		{"result", result, `"answered"`, `"lost"`},
		{"result", result, `"vehicleLeft"`, `"bored"`},
		{"result", result, `"sends":1`, `"sends":-1`},
		{"result", result, `"node"`, `"knot"`},
		{"key", key, `"import"`, `"export"`},
		{"key", key, `,"revision"`, `,"disabled":false,"revision"`},
		{"mqtt-message", message, `"qos":1`, `"qos":3`},
		{"mqtt-message", message, `,"payload":""`, ``},
		{"mqtt-message", message, `,"payload":""`, `,"payload":"","payloadBase64":""`},
		{"mqtt-presence", string(mqttPresence), `"mqtt"`, `"http"`},
		{"mqtt-presence", string(mqttPresence), `"idle"`, `"bored"`},
		{"mqtt-refused", mqttRefused, `"mqtt"`, `"vehicle"`},
		{"mqtt-refused", mqttRefused, `"signature"`, `""`},
		{"mqtt-command", mqttCommand, `"message"`, `"control"`},
		{"mqtt-command", mqttCommand, `"qos0"`, `"qos1"`},
		{"mqtt-device", mqttDevice, `"secret"`, `"password"`},
		{"mqtt-last", mqttLast, `"idle"`, `"bored"`},
		{"mqtt-last", mqttLast, `"session":"00`, `"session":"`},
		{"last", last, `"longitude":1.5`, `"longitude":"1.5"`},
		{"last", last, `"realtime"`, `"realtme"`},
	} {
		require.NoError(t, check(all[tt.schema], []byte(tt.good)), "%s: %s", tt.schema, tt.good)
		require.Contains(t, tt.good, tt.from)
		wrong := strings.Replace(tt.good, tt.from, tt.to, 1)
		require.Error(t, check(all[tt.schema], []byte(wrong)), "%s: %s", tt.schema, wrong)
	}
}
