package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestImportForms: what a list may look like, and that a header without a VIN column registers nothing.
func TestImportForms(t *testing.T) {
	dir := dataDir(t)
	list := func() string {
		var vins []string
		for line := range strings.Lines(ok(t, "vehicles", "list", "--data-dir", dir)) {
			vin, _, _ := strings.Cut(line, " ")
			vins = append(vins, vin)
		}
		return strings.Join(vins, " ")
	}
	for _, tt := range []struct {
		name, in, stderr, list string
	}{
		{"one a line, with a mark and CR LF", "\xEF\xBB\xBF# fleet\r\nLTEST000000000001\r\n\r\nABC\r\n", "", "VIN ABC LTEST000000000001"},
		{"a single column has no header to miss", "FLEET\n", "", "VIN ABC FLEET LTEST000000000001"},
		{"CSV without a header", ",\nLTEST000000000002,red\n,blue\n", "", "VIN ABC FLEET LTEST000000000001 LTEST000000000002"},
		{"a column of a header", " , \ncolour, DeviceName\nred,V3\n", "", "VIN ABC FLEET LTEST000000000001 LTEST000000000002 V3"},
		{"a header without the column", "\nname,foo\nLTEST000000000004,x\n",
			"tboxgate: vehicles import: standard input: line 2: the columns are [\"name\" \"foo\"]; one called vin or deviceName is wanted, or the VIN in the first and no header\n",
			"VIN ABC FLEET LTEST000000000001 LTEST000000000002 V3"},
		{"the same in Chinese", "车架号,车牌\nLTEST000000000004,x\n",
			"tboxgate: vehicles import: standard input: line 1: the columns are [\"车架号\" \"车牌\"]; one called vin or deviceName is wanted, or the VIN in the first and no header\n",
			"VIN ABC FLEET LTEST000000000001 LTEST000000000002 V3"},
		{"a line too short", "colour,vin\nred\n", "tboxgate: vehicles import: standard input: line 2: 1 columns, the VIN should be in column 2\n",
			"VIN ABC FLEET LTEST000000000001 LTEST000000000002 V3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := tboxgate(t, tt.in, "vehicles", "import", "--data-dir", dir)
			require.Equal(t, tt.stderr, stderr)
			require.Equal(t, tt.stderr != "", code == 1)
			require.Equal(t, tt.list, list())
		})
	}
}

// TestUnknownProduct: without a gateway the configuration says which products there are. One that has been taken out of
// it and still has vehicles is known until they are gone.
func TestUnknownProduct(t *testing.T) {
	dir := dataDir(t)
	config := writeFile(t, "t.yaml", "products: [{key: old}]\n")
	code, _, stderr := tboxgate(t, "V1\n", "vehicles", "import", "--data-dir", dir, "--config", config)
	require.Zero(t, code, stderr)

	code, stdout, stderr := tboxgate(t, "V2\n", "vehicles", "import", "--data-dir", dir, "--product-key", "nope")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Equal(t, "tboxgate: unknown product \"nope\"; the configuration's products are: gbt32960\n", stderr)
	code, _, stderr = tboxgate(t, "", "vehicles", "list", "--data-dir", dir, "--product-key", "nope", "--config", config)
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: unknown product \"nope\"; the configuration's products are: old\n", stderr)

	require.Contains(t, ok(t, "vehicles", "list", "--data-dir", dir, "--product-key", "old"), "V1")
	require.Empty(t, ok(t, "vehicles", "list", "--data-dir", dir, "--product-key", "gbt32960"))
	code, _, stderr = tboxgate(t, "V2\n", "vehicles", "import", "--data-dir", dir, "--product-key", "old")
	require.Equal(t, 1, code, "no vehicle joins it any more")
	require.Equal(t, "tboxgate: unknown product \"old\"; the configuration's products are: gbt32960\n", stderr)
	ok(t, "vehicles", "delete", "--data-dir", dir, "--product-key", "old", "V1")
	code, _, stderr = tboxgate(t, "", "vehicles", "delete", "--data-dir", dir, "--product-key", "old", "V1")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: unknown product \"old\"; the configuration's products are: gbt32960\n", stderr)
}
