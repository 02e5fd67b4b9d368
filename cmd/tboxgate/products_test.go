package main

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
)

// TestSeveralProducts: vehicles belong to one product each, keys work with the products they are made for, and what is
// configured no more cannot be used.
func TestSeveralProducts(t *testing.T) {
	dir := dataDir(t)
	config := writeFile(t, "t.yaml", `
products:
  - {key: cars, accessKeys: ["carkey:carsecret1"]}
  - {key: buses, registration: open, commands: [query]}
  - {key: meters, protocol: mqtt}
`)
	_, _, stderr := tboxgate(t, "LTEST000000000007\n", "vehicles", "import", "--data-dir", dir, "--config", writeFile(t, "old.yaml", "products: [{key: old}]\n"))
	require.Empty(t, stderr)
	g := serve(t, dir, "--config", config, "--sink", "discard")
	require.Equal(t, "cars", g.ProductKey)
	require.Equal(t, []admin.Product{
		{Key: "cars", Protocol: "gbt32960", Registration: "closed"}, {Key: "buses", Protocol: "gbt32960", Registration: "open"},
		{Key: "meters", Protocol: "mqtt", Registration: "closed"},
	}, g.Products)

	code, stdout, stderr := tboxgate(t, "LTEST000000000001\n", "vehicles", "import", "--data-dir", dir)
	require.Zero(t, code, stderr)
	require.Equal(t, "1 registered, 0 already registered, 0 invalid, 0 of another product\n", stdout)
	code, _, stderr = tboxgate(t, "LTEST000000000001\n", "vehicles", "import", "--data-dir", dir, "--product", "buses")
	require.Equal(t, 1, code)
	require.Equal(t, "tboxgate: standard input:1: \"LTEST000000000001\": it belongs to product cars\n", stderr)
	for _, vin := range []string{"LTEST000000000001", "LTEST000000000002"} { // the second registers itself
		loginVehicle(t, g.Addresses.Vehicles[0], vin)
	}
	code, _, stderr = tboxgate(t, "", "simulate", "--addr", g.Addresses.Vehicles[0], "--vin", "LTEST000000000007", "--reports", "1", "--period", "20ms")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "refused")
	require.Regexp(t, `(?m)^LTEST000000000001 +cars .* online$`, ok(t, "vehicles", "list", "--data-dir", dir, "--product", "cars"))
	buses := ok(t, "vehicles", "list", "--data-dir", dir, "--product-key", "buses")
	require.Regexp(t, `(?m)^LTEST000000000002 +buses .* online$`, buses)
	require.NotContains(t, buses, "LTEST000000000001")

	// Keys, from the shell.
	api := "http://" + g.Addresses.API
	send := func(key, product, kind, vin string) string {
		args := map[string][]string{"query": {"--params", "1"}, "control": {"--id", "3"}}[kind]
		_, stdout, stderr := tboxgate(t, "", append([]string{"send", kind, "--api", api, "--access-key", key, "--product", product, "--vin", vin,
			"--no-wait"}, args...)...)
		return stdout + stderr
	}
	const sent = " sent to "
	made := func(args ...string) string {
		text := ok(t, append([]string{"keys", "create", "--data-dir", dir}, args...)...)
		m := regexp.MustCompile(`(?s)^access key      (\S+)\naccess secret   (\S+)\n`).FindStringSubmatch(text)
		require.NotNil(t, m, text)
		return m[1] + ":" + m[2]
	}
	require.Contains(t, send("carkey:carsecret1", "cars", "control", "LTEST000000000001"), sent)
	require.Contains(t, send("carkey:carsecret1", "buses", "query", "LTEST000000000002"), "iot.common.RamActionPermissionDeny")
	all := made()
	require.Contains(t, send(all, "buses", "query", "LTEST000000000002"), sent)
	require.Contains(t, send(all, "buses", "control", "LTEST000000000002"), "iot.common.AuthActionPermissionDeny", "the product says what may be sent")
	require.Contains(t, send(all, "buses", "query", "LTEST000000000001"), "iot.Device.NotExistedDevice", "of another product")
	asks := made("--id", "asks", "--product", "cars", "--allow", "query,read")
	require.Contains(t, send(asks, "cars", "query", "LTEST000000000001"), sent)
	require.Contains(t, send(asks, "cars", "control", "LTEST000000000001"), "iot.common.RamActionPermissionDeny")
	require.Contains(t, send(asks, "buses", "query", "LTEST000000000002"), "iot.common.RamActionPermissionDeny")
	require.Regexp(t, `(?m)^asks +\S+ \S+ +products cars; may query,read$`, ok(t, "keys", "list", "--data-dir", dir))
	ok(t, "keys", "disable", "--data-dir", dir, "asks")
	require.Contains(t, send(asks, "cars", "query", "LTEST000000000001"), "InvalidAccessKeyId.Inactive")
	require.Regexp(t, `(?m)^asks +\S+ \S+ +disabled; products cars; may query,read$`, ok(t, "keys", "list", "--data-dir", dir))
	ok(t, "keys", "enable", "--data-dir", dir, "asks")
	require.Contains(t, send(asks, "cars", "query", "LTEST000000000001"), sent)
	ok(t, "keys", "delete", "--data-dir", dir, "asks")
	require.Contains(t, send(asks, "cars", "query", "LTEST000000000001"), "InvalidAccessKeyId.NotFound")
	var sts admin.Key
	require.NoError(t, json.Unmarshal([]byte(ok(t, "keys", "create", "--data-dir", dir, "--json", "--sts", "--expires", "1h")), &sts))
	require.Regexp(t, `^STS\.`, sts.ID)
	require.NotEmpty(t, sts.SecurityToken)
	require.Regexp(t, `(?m)^STS\.\w+ +\S+ \S+ +with a security token; until \S+ \S+$`, ok(t, "keys", "list", "--data-dir", dir))

	for args, want := range map[string]string{
		"--allow reboot": "tboxgate: the access key's limits are not valid: \"reboot\" is not one of query, set, control, publish, read, import\n", "--product nope": "tboxgate: not valid: unknown product \"nope\"; the gateway's products are: cars, buses, meters\n",
	} {
		code, _, stderr = tboxgate(t, "", append([]string{"keys", "create", "--data-dir", dir}, regexp.MustCompile(` `).Split(args, -1)...)...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, want)
	}
}
