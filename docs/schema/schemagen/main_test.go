package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../../.."

// TestFresh fails when a type was changed and the schemas were not.
func TestFresh(t *testing.T) {
	require.NoError(t, run(root, filepath.Join("..", "v1"), true))
}

// TestStale: -check names the stale file and writes nothing; without it the file is written.
func TestStale(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v1")
	require.ErrorContains(t, run(root, dir, true), "is stale: run go generate ./docs/schema")
	require.NoDirExists(t, dir)
	require.NoError(t, run(root, dir, false))
	require.NoError(t, run(root, dir, true))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "device.json"), nil, 0o644))
	require.ErrorContains(t, run(root, dir, true), "device.json is stale")
}

// made is the schema of the struct R in a package of this source, beside a package other.
func made(t *testing.T, code string) (*schema, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"room/r.go":      "package room\nimport (\"time\"\n\"github.com/tboxgate/tboxgate/other\")\n" + code,
		"room/r_test.go": "not Go",
		"other/o.go":     "package other\ntype Kind string\nconst (\n\tA Kind = \"a\" // first\n\tB Kind = \"b\"\n)\ntype Inner struct { X int `json:\"x\"` }\n",
	} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	r := record{"r", "Title", "Description.", []typeName{{"room", "R"}}, nil}
	return r.schema(&source{root: dir}, properties{{"utc", nil}})
}

// TestFields: what a field says, as a property.
func TestFields(t *testing.T) {
	for _, c := range []struct{ name, field, key, want string }{
		{"text", "X string `json:\"x\"`", "x", `{"type":"string"}`},
		{"beside", "X string `json:\"x\"` // what it is", "x", `{"description":"what it is","type":"string"}`},
		{"above", "// What\n\t// it is.\n\tX string `json:\"x\"` // not this", "x", `{"description":"What it is.","type":"string"}`},
		{"length", "X string `json:\"x\" schema:\"minLength=1\"`", "x", `{"type":"string","minLength":1}`},
		{"limits", "X int `json:\"x\" schema:\"min=1,max=9\"`", "x", `{"type":"integer","minimum":1,"maximum":9}`},
		{"frame's limits", "X int `json:\"x\" schema:\"frameSize\"`", "x", `{"type":"integer","minimum":25,"maximum":65556}`},
		{"no sign", "X uint64 `json:\"x\"`", "x", `{"type":"integer","minimum":0}`},
		{"truth", "X bool `json:\"x\"`", "x", `{"type":"boolean"}`},
		{"only true", "X bool `json:\"x,omitempty\"`", "x", `{"const":true}`},
		{"measurement", "X *json.Number `json:\"x\"`", "x", `{"type":["number","null"]}`},
		{"marked number", "X *int64 `json:\"x\"`", "x", `{"type":["integer","null"]}`},
		{"bytes", "X []byte `json:\"x\"`", "x", `{"type":"string","contentEncoding":"base64"}`},
		{"list", "X []string `json:\"x\"`", "x", `{"type":"array","items":{"type":"string"}}`},
		{"time", "X time.Time `json:\"x\" schema:\"utc\"`", "x", `{"$ref":"common.json#/$defs/utc"}`},
		{"frame", "X json.RawMessage `json:\"x\" schema:\"frame\"`", "x", `{"$ref":"frame.json"}`},
		{"commands", "X string `json:\"x\" schema:\"downlink\"`", "x", `{"enum":["paramQuery","paramSet","control"]}`},
		{"commands' numbers", "X codec.Command `json:\"x\" schema:\"downlink,or=0\"`", "x", `{"enum":[128,129,130,0]}`},
		{"one text", "X string `json:\"x\" schema:\"const=mqtt\"`", "x", `{"const":"mqtt"}`},
		{"constants", "X other.Kind `json:\"x\"`", "x", `{"description":"a: first","enum":["a","b"]}`},
		{"list of constants", "X []other.Kind `json:\"x\"` // all", "x", `{"description":"all","type":"array","items":{"description":"a: first","enum":["a","b"]}}`},
		{"constants of several", "X Own `json:\"x\" schema:\"enum=Own|other.Kind\"`", "x", `{"description":"1: one; a: first","enum":[1,"a","b"]}`},
		{"struct", "X *other.Inner `json:\"x\"`", "x", `{"type":"object","required":["x"],"properties":{"x":{"type":"integer"}},"additionalProperties":false}`},
	} {
		s, err := made(t, "type R struct {\n\t"+c.field+"\n\tOut string `json:\"-\"`\n\tprivate int\n}\ntype Own int\n// One: one.\nconst One Own = 1 // beside\n")
		require.NoError(t, err, c.name)
		require.Len(t, s.Properties, 1, c.name)
		require.Equal(t, c.key, s.Properties[0].key)
		text, err := json.Marshal(s.Properties[0].schema)
		require.NoError(t, err)
		require.Equal(t, c.want, string(text), c.name)
		require.Equal(t, !strings.Contains(c.field, "omit"), len(s.Required) == 1, c.name)
		require.Same(t, closed, s.Additional)
	}
}

// TestVIN: its keys are a part of common.json, which additionalProperties would not see.
func TestVIN(t *testing.T) {
	s, err := made(t, "type R struct {\n\tVIN codec.VIN `json:\"vin\"`\n}\n")
	require.NoError(t, err)
	require.Empty(t, s.Properties)
	require.Equal(t, "common.json#/$defs/vinKeys", s.AllOf[0].Ref)
	require.Nil(t, s.Additional)
	require.Same(t, closed, s.Unevaluated)
}

// TestMistakes: what cannot be told is an error, not a loose schema.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"no type", "type S struct{}", "package room has no type R"},
		{"no struct", "type R string", "room.R is no struct"},
		{"no tag", "type R struct { X string }", "a field without a tag"},
		{"no key", "type R struct { X string `schema:\"utc\"` }", "a field without a key"},
		{"key twice", "type R struct { X string `json:\"x\"`\nY string `json:\"x\"` }", "key x twice"},
		{"unknown option", "type R struct { X string `json:\"x\" schema:\"utf\"` }", `key x: no option "utf"`},
		{"no number", "type R struct { X int `json:\"x\" schema:\"min=a\"` }", "key x: option min=a"},
		{"no number more", "type R struct { X int `json:\"x\" schema:\"or=a\"` }", "key x: option or=a"},
		{"a time alone", "type R struct { X time.Time `json:\"x\"` }", "key x: type time.Time"},
		{"unknown type", "type R struct { X Y `json:\"x\"` }", "package room has no type Y"},
		{"type without constants", "type R struct { X string `json:\"x\" schema:\"enum=Y\"` }", "type Y has no constants"},
		{"constant twice", "type R struct { X other.Kind `json:\"x\" schema:\"enum=other.Kind|other.Kind\"` }", "a is there twice"},
		{"no Go", "type", "r.go"},
	} {
		_, err := made(t, c.code)
		require.ErrorContains(t, err, c.want, c.name)
	}
	_, err := generate(&source{root: t.TempDir()})
	require.Error(t, err)
}
