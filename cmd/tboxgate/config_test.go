package main

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func noEnv(string) (string, bool) { return "", false }

// load reads a configuration from the text of a file, an environment and flags. The file's name in messages is
// tboxgate.yaml.
func load(t *testing.T, file string, env map[string]string, flags map[string][]string) (*Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("tboxgate.yaml", []byte(file), 0o600))
	return loadConfig(configSource{
		file:  "tboxgate.yaml",
		env:   func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		flags: flags,
	})
}

func TestConfigDefaults(t *testing.T) {
	c, err := loadConfig(configSource{env: noEnv})
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, &Config{
		DataDir: "./tboxgate-data",
		Node:    host,
		Listeners: []Listener{{
			Address: "0.0.0.0:8999", Profile: "auto", AckForm: "time", AckRealtime: "always", RefuseLogin: "answer",
			OnStructureError: "accept", LoginTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, HandshakeTimeout: 10 * time.Second,
		}},
		API: API{Address: "127.0.0.1:8960", BusinessErrorStatus: "200", CallsPerSecond: 1000, ConcurrentCalls: 512, Connections: 1024,
			MaxBody: 1 << 20},
		Commands: Commands{QueueLength: 16, PendingBytes: 64 << 20, QuerySends: 3, QueryInterval: 30 * time.Second, SetSends: 3,
			SetInterval: 30 * time.Second, ControlSends: 3, ControlInterval: time.Minute, LateAnswers: 5 * time.Minute},
		Admin:    Admin{Address: "127.0.0.1:9960"},
		NATS:     NATS{SyncInterval: Sync(200 * time.Millisecond), MaxAge: 7 * 24 * time.Hour},
		MQTT:     MQTT{Connections: 10000, PacketSize: 256 << 10, MessageRate: 30, KeepAlive: 20 * time.Minute, Subscriptions: 100},
		Sinks:    []Sink{sinkOf(t, "nats", "json")},
		Products: []Product{{Key: "gbt32960", Protocol: "gbt32960", Registration: "closed", CheckUnit: "warn"}},
		Limits: Limits{Connections: 18000, Handshakes: 256, Window: 256, WindowBytes: 1 << 20, InFlightBytes: 64 << 20,
			Inbound: 1 << 20, Outbound: 256 << 10, BadFrames: 16, MaxFrame: 65531},
		Drain: Drain{Window: 5 * time.Second, Timeout: 20 * time.Second},
		Log:   Log{Level: "info", Format: "auto"},
	}, c)
}

func TestConfigFile(t *testing.T) {
	c, err := load(t, `
dataDir: /var/lib/tboxgate
node: edge-1
listeners:
  - {address: "0.0.0.0:8999", ackForm: echo}
  - address: "[::1]:8998"
    profile: platform
    ackRealtime: errorOnly
    idleTimeout: 90s
    tls: {cert: a.crt, key: a.key, clientCA: ca.crt, requireVinMatch: true}
    proxyFrom: [10.0.0.0/8, 192.0.2.7]
api: {address: "127.0.0.1:80"}
admin: {address: "0.0.0.0:9960", token: 0123456789abcdef}
nats: {listen: "10.0.0.1:4222", user: reader, password: 12345, syncInterval: always}
sinks: [{type: discard, payload: raw}]
products:
  - {key: p1, registration: open, prependTime: true, instanceId: iot-1, commands: [query, set], accessKeys: ["p1key:p1secret"]}
  - {key: p2, name: Buses, checkUnit: strict}
  - {key: p3, protocol: mqtt}
accessKeys: ["id:se:cret"]
storeHeartbeats: true
limits: {connections: 5, windowBytes: 64KiB, inbound: 131072}
drain:
log:
  level: debug
`[1:], nil, nil)
	require.NoError(t, err)
	require.Equal(t, []Listener{
		{Address: "0.0.0.0:8999", Profile: "auto", AckForm: "echo", AckRealtime: "always", RefuseLogin: "answer",
			OnStructureError: "accept", LoginTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, HandshakeTimeout: 10 * time.Second},
		{Address: "[::1]:8998", Profile: "platform", AckForm: "time", AckRealtime: "errorOnly", RefuseLogin: "answer",
			OnStructureError: "accept", LoginTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, HandshakeTimeout: 10 * time.Second,
			TLS:       TLS{Cert: "a.crt", Key: "a.key", ClientCA: "ca.crt", RequireVINMatch: true},
			ProxyFrom: []Prefix{{netip.MustParsePrefix("10.0.0.0/8")}, {netip.MustParsePrefix("192.0.2.7/32")}}},
	}, c.Listeners)
	require.Equal(t, NATS{Listen: "10.0.0.1:4222", User: "reader", Password: "12345", MaxAge: 7 * 24 * time.Hour}, c.NATS)
	require.Equal(t, []Sink{sinkOf(t, "discard", "raw")}, c.Sinks)
	require.Equal(t, []Product{
		{Key: "p1", Protocol: "gbt32960", Registration: "open", InstanceID: "iot-1", Commands: []string{"query", "set"}, PrependTime: true,
			CheckUnit: "warn", AccessKeys: []AccessKey{{ID: "p1key", Secret: "p1secret"}}},
		{Key: "p2", Name: "Buses", Protocol: "gbt32960", Registration: "closed", CheckUnit: "strict"},
		{Key: "p3", Protocol: "mqtt", Registration: "closed", CheckUnit: "warn"},
	}, c.Products)
	require.Equal(t, "p1", openProduct(c.Products))
	require.Equal(t, map[string]bool{"p1": true, "p2": true}, vehicleProducts(c.Products))
	require.Equal(t, []AccessKey{{ID: "id", Secret: "se:cret"}}, c.AccessKeys)
	require.Equal(t, Size(64<<10), c.Limits.WindowBytes)
	require.Equal(t, Size(128<<10), c.Limits.Inbound)
	require.Equal(t, 5*time.Second, c.Drain.Window, "a section without keys leaves the defaults")
	require.Equal(t, "debug", c.Log.Level)
	require.True(t, c.StoreHeartbeats)
}

func TestConfigPrecedence(t *testing.T) {
	file := "dataDir: from-file\nnode: from-file\napi: {address: \"127.0.0.1:1\"}\nlisteners: [{address: \"127.0.0.1:1\", ackForm: echo}]\n" +
		"sinks: [{type: discard, payload: raw}]\n"
	env := map[string]string{"TBOXGATE_DATA_DIR": "from-env", "TBOXGATE_API_LISTEN": "127.0.0.1:2",
		"TBOXGATE_LISTEN": "127.0.0.1:2, 127.0.0.1:3", "TBOXGATE_PAYLOAD": "both", "TBOXGATE_DEV": "",
		"TBOXGATE_ACCESS_KEY": "a:1,b:2"}
	c, err := load(t, file, env, map[string][]string{"api-listen": {"127.0.0.1:4"}})
	require.NoError(t, err)
	require.Equal(t, "from-file", c.Node)
	require.Equal(t, "from-env", c.DataDir)
	require.Equal(t, "127.0.0.1:4", c.API.Address)
	require.Len(t, c.Listeners, 2, "the variable replaces the file's list")
	require.Equal(t, "127.0.0.1:2", c.Listeners[0].Address)
	require.Equal(t, "127.0.0.1:3", c.Listeners[1].Address)
	require.Equal(t, "time", c.Listeners[1].AckForm)
	require.Equal(t, []Sink{sinkOf(t, "discard", "both")}, c.Sinks, "an element's flag changes each element")
	require.Equal(t, []AccessKey{{"a", "1"}, {"b", "2"}}, c.AccessKeys)

	c, err = load(t, file, env, map[string][]string{"access-key": {"c:3,4"}})
	require.NoError(t, err)
	require.Equal(t, []AccessKey{{"c", "3,4"}}, c.AccessKeys)
}

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name, file string
		env        map[string]string
		flags      map[string][]string
		want       string
	}{
		{name: "unknown key", file: "node: a\nlistenrs: []\n",
			want: `tboxgate.yaml:2: unknown key "listenrs" (did you mean "listeners"?)`},
		{name: "unknown key in a section", file: "api:\n  addrss: 1\n",
			want: `tboxgate.yaml:2: unknown key "addrss" in api (did you mean "address"?)`},
		{name: "unknown key in a list", file: "listeners:\n- address: \":1\"\n- addrss: \":2\"\n  profile: auto\n",
			want: `tboxgate.yaml:3: unknown key "addrss" in listeners[1] (did you mean "address"?)`},
		{name: "kebab case", file: "data-dir: x\n", want: `tboxgate.yaml:1: unknown key "data-dir" (did you mean "dataDir"?)`},
		{name: "far from every key", file: "kafka: x\n", want: `tboxgate.yaml:1: unknown key "kafka"`},
		{name: "key twice", file: "node: a\n\nnode: b\n", want: `tboxgate.yaml:3: key "node" is there twice, first on line 1`},
		{name: "not YAML", file: "node: a\napi: [\n", want: "tboxgate.yaml:2: not YAML: did not find expected node content"},
		{name: "tab", file: "api:\n\taddress: x\n", want: "tboxgate.yaml:2: not YAML: found character that cannot start any token"},
		{name: "two documents", file: "node: a\n---\nnode: b\n", want: "tboxgate.yaml:3: only one YAML document is allowed"},
		{name: "a list at the top", file: "- node\n", want: "tboxgate.yaml:1: keys are wanted here, not a list"},
		{name: "a value for a section", file: "api: 8960\n", want: `tboxgate.yaml:1: api: keys are wanted here, not the value "8960"`},
		{name: "a value for a list", file: "sinks: nats\n", want: `tboxgate.yaml:1: sinks: a list is wanted here, not the value "nats"`},
		{name: "a list for a value", file: "node: [a]\n", want: `tboxgate.yaml:1: node: one value is wanted here, not a list`},
		{name: "word", file: "sinks:\n- type: nats\n  payload: xml\n",
			want: `tboxgate.yaml:3: sinks[0].payload: "xml" is not allowed; one of json, raw, both`},
		{name: "duration", file: "listeners:\n- {address: \":1\", idleTimeout: 30}\n",
			want: `tboxgate.yaml:2: listeners[0].idleTimeout: "30" is not a duration such as 500ms, 30s or 5m`},
		{name: "short duration", file: "listeners:\n- {address: \":1\", idleTimeout: 30ms}\n",
			want: `tboxgate.yaml:2: listeners[0].idleTimeout: 30ms is too small; at least 1s`},
		{name: "sync", file: "nats: {syncInterval: never}\n",
			want: `tboxgate.yaml:1: nats.syncInterval: "never" is neither a duration such as 200ms nor always`},
		{name: "size", file: "limits: {inbound: 1MB}\n",
			want: `tboxgate.yaml:1: limits.inbound: "1MB" is not a size such as 65536, 64KiB or 1MiB`},
		{name: "small size", file: "limits: {inbound: 1KiB}\n", want: `tboxgate.yaml:1: limits.inbound: 1KiB is too small; at least 64KiB`},
		{name: "number", file: "limits: {window: many}\n", want: `tboxgate.yaml:1: limits.window: "many" is not a whole number`},
		{name: "small number", file: "limits: {window: 0}\n", want: `tboxgate.yaml:1: limits.window: 0 is too small; at least 1`},
		{name: "large number", file: "limits: {maxFrame: 65532}\n", want: `tboxgate.yaml:1: limits.maxFrame: 65532 is too large; at most 65531`},
		{name: "boolean", file: "dev: maybe\n", want: `tboxgate.yaml:1: dev: "maybe" is not true or false`},
		{name: "address in the file", file: "api:\n  address: localhost\n", want: `tboxgate.yaml:2: api.address: "localhost" is not HOST:PORT`},
		{name: "address from a flag", flags: map[string][]string{"listen": {"8999"}}, want: `--listen: "8999" is not HOST:PORT`},
		{name: "address from the environment", env: map[string]string{"TBOXGATE_ADMIN_LISTEN": "localhost:http"},
			want: `TBOXGATE_ADMIN_LISTEN: "localhost:http": the port is a number from 0 to 65535`},
		{name: "port", flags: map[string][]string{"listen": {":65536"}}, want: `--listen: ":65536": the port is a number from 0 to 65535`},
		{name: "word from a flag", flags: map[string][]string{"log-level": {"loud"}},
			want: `--log-level: "loud" is not allowed; one of debug, info, warn, error`},
		{name: "access key does not show", flags: map[string][]string{"access-key": {"geheim"}}, want: `--access-key: an access key is written ID:SECRET`},
		{name: "access key twice", file: "accessKeys: [\"a:1\", \"a:2\"]\n", want: `tboxgate.yaml:1: accessKeys[1]: the id "a" is there twice`},
		{name: "dev off loopback", flags: map[string][]string{"dev": {"true"}, "listen": {"0.0.0.0:8999"}},
			want: `--listen: "0.0.0.0:8999" is not loopback, and --dev lets anybody in; use 127.0.0.1, [::1] or localhost`},
		{name: "dev on every address", file: "dev: true\nlisteners:\n  - address: \":8999\"\n",
			want: `tboxgate.yaml:3: listeners[0].address: ":8999" is not loopback, and --dev lets anybody in; use 127.0.0.1, [::1] or localhost`},
		{name: "admin off loopback", flags: map[string][]string{"admin-listen": {"0.0.0.0:9960"}},
			want: `--admin-listen: "0.0.0.0:9960" is not loopback, so admin.token is needed`},
		{name: "short token", file: "admin: {token: abc}\n", want: `tboxgate.yaml:1: admin.token: too short; at least 16 characters`},
		{name: "nats off loopback", flags: map[string][]string{"nats-listen": {":4222"}},
			want: `--nats-listen: ":4222" is not loopback, so nats.user and nats.password are needed`},
		{name: "user without password", file: "nats: {user: a}\n", want: `tboxgate.yaml:1: nats.user: nats.user and nats.password go together`},
		{name: "listen and url", file: "nats: {listen: \"127.0.0.1:4222\", url: \"nats://a\"}\n",
			want: `tboxgate.yaml:1: nats.listen: nats.listen is for the embedded server, nats.url for an external one; one of them`},
		{name: "password in the address", file: "nats: {url: \"nats://user:secret@a:4222\"}\n",
			want: `tboxgate.yaml:1: nats.url: it holds a user or a token; give nats.user and nats.password, or nats.credentialsFile`},
		{name: "credentials for the embedded server", file: "nats: {credentialsFile: a.creds}\n",
			want: `tboxgate.yaml:1: nats.credentialsFile: it is for an external server (nats.url)`},
		{name: "copies of the embedded server", file: "nats: {replicas: 3}\n",
			want: `tboxgate.yaml:1: nats.replicas: 3 copies need an external cluster (nats.url)`},
		{name: "sync of an external server", file: "nats: {url: \"nats://a\", syncInterval: always}\n",
			want: `tboxgate.yaml:1: nats.syncInterval: it is for the embedded server; an external one has it in its own configuration (jetstream: sync_interval)`},
		{name: "TLS of the embedded server", file: "nats: {tls: {ca: a}}\n", want: `tboxgate.yaml:1: nats.tls: it is for an external server (nats.url)`},
		{name: "half of a client certificate", file: "nats: {url: \"nats://a\", tls: {cert: a}}\n", want: `tboxgate.yaml:1: nats.tls: cert and key go together`},
		{name: "certificate without key", file: "listeners:\n  - address: :1\n    tls: {cert: a.crt}\n", want: `tboxgate.yaml:3: listeners[0].tls: cert and key go together`},
		{name: "whose certificate", file: "listeners:\n  - address: :1\n    tls: {cert: a.crt, key: a.key, requireVinMatch: true}\n",
			want: `tboxgate.yaml:3: listeners[0].tls.requireVinMatch: clientCA is needed: without it no client shows a certificate`},
		{name: "proxy", file: "listeners:\n  - proxyFrom: [everywhere]\n",
			want: `tboxgate.yaml:2: listeners[0].proxyFrom[0]: "everywhere" is neither an address nor a range such as 10.0.0.0/8`},
		{name: "no listener", file: "listeners: []\n", want: `tboxgate.yaml:1: listeners: at least one is needed`},
		{name: "product key", flags: map[string][]string{"product-key": {"a.b"}},
			want: `--product-key: "a.b" is not a product key (1-32 letters and digits)`},
		{name: "product twice", file: "products: [{key: a}, {key: b}, {key: a}]\n",
			want: `tboxgate.yaml:1: products[2].key: "a" is products[0] already`},
		{name: "two open products", file: "products:\n- {key: a, registration: open}\n- {key: b, registration: open}\n",
			want: `tboxgate.yaml:3: products[1].registration: products[0] is open already; an unknown VIN can be registered in one product only`},
		{name: "open MQTT product", file: "products: [{key: a, protocol: mqtt, registration: open}]\n",
			want: `tboxgate.yaml:1: products[0].registration: devices of protocol mqtt have secrets, so they are registered before they connect; closed is wanted`},
		{name: "no product", file: "products: []\n", want: `tboxgate.yaml:1: products: at least one is needed`},
		{name: "command of a product", file: "products: [{key: a, commands: [query, reset]}]\n",
			want: `tboxgate.yaml:1: products[0].commands[1]: "reset" is not allowed; one of query, set, control`},
		{name: "access key of a product twice", file: "accessKeys: [\"a:1\"]\nproducts: [{key: a, accessKeys: [\"a:2\"]}]\n",
			want: `tboxgate.yaml:2: products[0].accessKeys[0]: the id "a" is there twice`},
		{name: "empty directory", flags: map[string][]string{"data-dir": {""}}, want: `--data-dir: must not be empty`},
		{name: "several at once", file: "nod: a\napi: {address: x, port: 1}\n",
			want: "tboxgate.yaml:1: unknown key \"nod\" (did you mean \"node\"?)\ntboxgate.yaml:2: unknown key \"port\" in api"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file, tt.env, tt.flags)
			require.EqualError(t, err, tt.want)
			var ce *ConfigError
			require.True(t, errors.As(err, &ce))
		})
	}
}

func TestConfigFileMissing(t *testing.T) {
	_, err := loadConfig(configSource{file: filepath.Join(t.TempDir(), "none.yaml"), env: noEnv})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestConfigDev(t *testing.T) {
	c, err := load(t, "", nil, map[string][]string{"dev": {"true"}})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8999", c.Listeners[0].Address)
	require.Empty(t, c.DataDir, "serve makes a temporary one")
	require.Equal(t, "open", c.Products[0].Registration)
	require.Zero(t, c.Drain.Window)
	c, err = load(t, "products: [{key: m, protocol: mqtt}, {key: a}, {key: b}]\n", nil, map[string][]string{"dev": {"true"}})
	require.NoError(t, err)
	require.Equal(t, "a", openProduct(c.Products), "the first of vehicles")
	c, err = load(t, "products: [{key: a}, {key: b, registration: open}]\n", nil, map[string][]string{"dev": {"true"}})
	require.NoError(t, err)
	require.Equal(t, "b", openProduct(c.Products), "as it is said")

	c, err = load(t, "dev: true\ndataDir: here\ndrain: {window: 1s}\n", nil, map[string][]string{"listen": {"[::1]:0", "localhost:0"}})
	require.NoError(t, err)
	require.Equal(t, "[::1]:0", c.Listeners[0].Address)
	require.Equal(t, "here", c.DataDir)
	require.Equal(t, time.Second, c.Drain.Window)
}

// TestConfigPrint: what is printed reads back to the same configuration, and shows no secret.
func TestConfigPrint(t *testing.T) {
	file := "node: \"12\"\nnats: {user: u, password: geheim, syncInterval: always}\nadmin: {token: geheimgeheimgeheim}\n" +
		"limits: {outbound: 2000}\n"
	c, err := load(t, file, nil, nil)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, printConfig(&out, c))
	require.NotContains(t, out.String(), "geheim")
	require.Regexp(t, `^# Secrets are not printed: put them in where \*{6} stands before you use this file\.\n`, out.String())

	_, err = load(t, out.String(), nil, nil) // as it is: the two secrets are missing, and nothing else is said
	require.Error(t, err)
	for line := range strings.Lines(err.Error() + "\n") {
		require.Regexp(t, `^tboxgate\.yaml:\d+: (admin\.token|nats\.password): \*{6} stands for a secret that config print does not show; put the secret in\n$`, line)
	}
	require.Equal(t, 2, strings.Count(err.Error(), "put the secret in"))

	again, err := load(t, strings.ReplaceAll(out.String(), `'******'`, "0123456789abcdef"), nil, nil)
	require.NoError(t, err, out.String())
	c.NATS.Password, c.Admin.Token = "0123456789abcdef", "0123456789abcdef"
	require.Equal(t, c, again)

	c.AccessKeys = []AccessKey{{"id", "geheim"}}
	out.Reset()
	require.NoError(t, printConfig(&out, c))
	require.NotContains(t, out.String(), "geheim")
	require.Contains(t, out.String(), "- id:******\n")
	_, err = load(t, "accessKeys: [\"id:******\"]\n", nil, nil)
	require.EqualError(t, err, "tboxgate.yaml:1: accessKeys[0]: ****** stands for a secret that config print does not show; put the secret in")

	c, err = load(t, "node: n\n", nil, nil)
	require.NoError(t, err)
	out.Reset()
	require.NoError(t, printConfig(&out, c))
	require.NotContains(t, out.String(), "#", "no secret, no warning")
	again, err = load(t, out.String(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, c, again)
}

// TestMQTTConfig: what of the broker's settings one value alone cannot show.
func TestMQTTConfig(t *testing.T) {
	load := func(text string) error {
		_, err := loadConfig(configSource{file: writeFile(t, "t.yaml", text), env: noEnv})
		return err
	}
	require.NoError(t, load("mqtt: {listeners: [{}]}\nproducts: [{key: a}, {key: b, protocol: mqtt, topics: [{topic: user/+/get, permission: subscribe}, {topic: x}]}]\n"))
	for text, want := range map[string]string{
		"mqtt: {listeners: [{}]}\n": "mqtt.listeners: no product has protocol: mqtt, so no device could connect",
		"mqtt: {listeners: [{address: x}]}\nproducts: [{key: a, protocol: mqtt}]\n":                                     `mqtt.listeners[0].address: "x" is not HOST:PORT`,
		"mqtt: {listeners: [{tls: {cert: x}}]}\nproducts: [{key: a, protocol: mqtt}]\n":                                 "mqtt.listeners[0].tls: cert and key go together",
		"products: [{key: a, topics: [{topic: x}]}]\n":                                                                  "products[0].topics: vehicles have no topics; protocol: mqtt is wanted",
		"products: [{key: a, protocol: mqtt, topics: [{topic: /x}]}]\n":                                                 `products[0].topics[0]: topic "/x": a template below /{productKey}/{deviceName}/ is wanted`,
		"products: [{key: a, protocol: mqtt, topics: [{topic: x, permission: all}]}]\n":                                 `products[0].topics[0].permission: "all" is not allowed; one of subscribe, publish, both`,
		"dev: true\nmqtt: {listeners: [{address: \"0.0.0.0:1883\"}]}\nproducts: [{key: g}, {key: a, protocol: mqtt}]\n": `mqtt.listeners[0].address: "0.0.0.0:1883" is not loopback`,
	} {
		require.ErrorContains(t, load(text), want)
	}
}
