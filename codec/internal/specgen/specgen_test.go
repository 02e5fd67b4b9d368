package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFresh fails when a table was changed and the generated files were not.
func TestFresh(t *testing.T) {
	require.NoError(t, run(filepath.Join("..", ".."), true))
}

// TestStale: -check names the stale file and writes nothing; without it the file is written.
func TestStale(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "codec")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "spec"), 0o755))
	for _, e := range editions {
		table, err := os.ReadFile(filepath.Join("..", "..", "spec", e+".yaml"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "spec", e+".yaml"), table, 0o644))
	}
	require.ErrorContains(t, run(dir, true), "is stale: run go generate")
	require.NoFileExists(t, filepath.Join(dir, "zz_types2016.go"))
	require.NoError(t, run(dir, false))
	require.NoError(t, run(dir, true))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zz_json2025.go"), nil, 0o644))
	require.ErrorContains(t, run(dir, true), "zz_json2025.go is stale")
}

// TestTableErrors: a mistake in a table is found before it becomes code.
func TestTableErrors(t *testing.T) {
	const head = "edition: 2016\nstandard: S\nitems:\n  - {id: 1, type: a, go: A, zh: 甲, doc: an a, table: T, fields: ["
	number := `{key: n, zh: 数, doc: n, wire: u8, measure: {unit: V}, range: [0, 250]}`
	for _, c := range []struct{ name, yaml, want string }{
		{"good", head + number + "]}", ""},
		{"unknown key", head + `{key: n, zh: 数, doc: n, wire: u8, rnage: [0, 1]}]}`, "rnage"},
		{"wire", head + `{key: n, zh: 数, doc: n, wire: u7}]}`, "u7"},
		{"key form", head + `{key: N, zh: 数, doc: n, wire: u8}]}`, "key, doc and zh"},
		{"no doc", head + `{key: n, zh: 数, wire: u8}]}`, "key, doc and zh"},
		{"key twice", head + number + ", " + number + "]}", "twice"},
		{"range above the width", head + `{key: n, zh: 数, doc: n, wire: u8, range: [0, 256]}]}`, "range"},
		{"range upside down", head + `{key: n, zh: 数, doc: n, wire: u8, range: [2, 1]}]}`, "range"},
		{"measurement without range", head + `{key: n, zh: 数, doc: n, wire: u8, measure: {unit: V}}]}`, "without range"},
		{"offset off the grid", head + `{key: n, zh: 数, doc: n, wire: u8, measure: {offset: "0.5"}, range: [0, 1]}]}`, "decimals"},
		{"offset is no number", head + `{key: n, zh: 数, doc: n, wire: u8, measure: {offset: x}, range: [0, 1]}]}`, "no number"},
		{"values beyond 32 bits", head + `{key: n, zh: 数, doc: n, wire: u32, measure: {}, range: [0, 4294967295]}]}`, "32 bits"},
		{"sign without its field", head + `{key: n, zh: 数, doc: n, wire: u32, measure: {}, range: [0, 1], sign: {field: status, bit: 1}}]}`, "no byte status"},
		{"text in an item", head + `{key: n, zh: 数, doc: n, wire: text, size: 5}]}`, "data units only"},
		{"text without size", head + `{key: n, zh: 数, doc: n, wire: text}]}`, "without size"},
		{"bytes without length", head + `{key: n, zh: 数, doc: n, wire: hex}]}`, "without length"},
		{"list without entries", head + `{key: n, zh: 数, doc: n, count: {wire: u8, zh: 数, range: [0, 1]}}]}`, "either each or list"},
		{"list without count range", head + `{key: n, zh: 数, doc: n, count: {wire: u8, zh: 数}, each: {wire: u32}}]}`, "count"},
		{"list of an unknown kind", head + `{key: n, zh: 数, doc: n, count: {wire: u8, zh: 数, range: [0, 1]}, each: {wire: u16}}]}`, "no list of this kind"},
		{"list in a list", head + `{key: n, zh: 数, doc: n, list: B, itemdoc: b, count: {wire: u8, zh: 数, range: [0, 1]}, fields: [` +
			`{key: m, zh: 数, doc: m, list: C, itemdoc: c, count: {wire: u8, zh: 数, range: [0, 1]}, fields: [` + number + `]}]}]}`, "inside a list"},
		{"id twice", head + number + "]}\n  - {id: 1, type: b, go: B, zh: 乙, doc: b, table: T, fields: [" + number + "]}", "twice"},
		{"id range over another", head + number + "]}\n  - {id: [0, 9], type: b, go: B, zh: 乙, doc: b, table: T, fields: [" + number + "]}", "twice"},
		{"type twice", head + number + "]}\n  - {id: 2, type: a, go: B, zh: 乙, doc: b, table: T, fields: [" + number + "]}", "twice"},
		{"three ids", strings.Replace(head, "id: 1", "id: [1, 2, 3]", 1) + number + "]}", "an id or two"},
		{"no table number", strings.Replace(head, ", table: T", "", 1) + number + "]}", "table"},
		{"unit without command", "edition: 2016\nunits:\n  - {go: U, doc: u, table: T, fields: [" + number + "]}", "no command"},
		{"measurement in a unit", "edition: 2016\nunits:\n  - {command: [1], go: U, doc: u, table: T, fields: [" + number + "]}", "info items only"},
		{"parameter without width", "edition: 2016\nparams:\n  - {id: 1, key: p, zh: 参, doc: p, wire: u32}", "one or two bytes"},
		{"parameter twice", "edition: 2016\nparams:\n  - {id: 1, key: p, zh: 参, doc: p, wire: u8}\n  - {id: 1, key: q, zh: 参, doc: q, wire: u8}", "bad id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "t.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.yaml), 0o644))
			_, err := load(file)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, file)
		})
	}
}

func TestLinkErrors(t *testing.T) {
	unit := func(name, shared string) *record { return &record{Go: name, Shared: shared} }
	require.ErrorContains(t, link([]*table{{Units: []*record{unit("A", ""), unit("A", "")}}}), "A is defined twice")
	require.ErrorContains(t, link([]*table{{Edition: 2025, Units: []*record{unit("", "B")}}}), "no B to share")
}
