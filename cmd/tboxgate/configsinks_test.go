package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sinkOf is a sink with the defaults.
func sinkOf(t *testing.T, kind, payload string) Sink {
	t.Helper()
	var s Sink
	l := &configLoader{from: origins{}}
	l.setDefaults(reflect.ValueOf(&s).Elem(), "sink")
	require.Empty(t, l.errs)
	s.Type, s.Name, s.Payload = kind, kind, payload
	return s
}

const allSinks = `sinks:
- {type: nats, payload: raw}
- type: kafka
  brokers: ["k1:9092", "k2:9092"]
  payload: both
  topics: {raw: "cars.{vin}.raw"}
  createTopics: {partitions: 12, replicas: 3}
  compression: lz4
  sasl: scram-sha-512
  user: gateway
  password: geheim
  tls: {ca: ca.pem, cert: c.pem, key: c.key}
- {type: mqtt, name: mq, url: "mqtts://broker", user: a, passwordFile: secret.txt, keepAlive: 1m}
- {type: file, path: /var/lib/frames, maxSize: 1GiB, maxAge: 24h, keep: 7, fsync: always, compress: true}
- {type: file, name: copy, path: copy}
`

func TestConfigSinks(t *testing.T) {
	c, err := load(t, allSinks, nil, nil)
	require.NoError(t, err)
	k := sinkOf(t, "kafka", "both")
	k.Brokers, k.Topics.Raw, k.CreateTopics = []string{"k1:9092", "k2:9092"}, "cars.{vin}.raw", CreateTopics{12, 3}
	k.Compression, k.SASL, k.User, k.Password = "lz4", "scram-sha-512", "gateway", "geheim"
	k.TLS = SinkTLS{CA: "ca.pem", Cert: "c.pem", Key: "c.key"}
	m := sinkOf(t, "mqtt", "json")
	m.Name, m.URL, m.User, m.PasswordFile, m.KeepAlive = "mq", "mqtts://broker", "a", "secret.txt", time.Minute
	f := sinkOf(t, "file", "json")
	f.Path, f.MaxSize, f.MaxAge, f.Keep, f.Fsync, f.Compress = "/var/lib/frames", 1<<30, 24*time.Hour, 7, "always", true
	f2 := sinkOf(t, "file", "json")
	f2.Name, f2.Path = "copy", "copy"
	require.Equal(t, []Sink{sinkOf(t, "nats", "raw"), k, m, f, f2}, c.Sinks)

	// What is printed reads back, shows no secret, and has no setting of another type.
	var out bytes.Buffer
	require.NoError(t, printConfig(&out, c))
	require.NotContains(t, out.String(), "geheim")
	again, err := load(t, string(bytes.Replace(out.Bytes(), []byte("'"+masked+"'"), []byte("geheim"), 1)), nil, nil)
	require.NoError(t, err, out.String())
	require.Equal(t, c, again)
}

// TestSinkFlag: the flag chooses, the file has the details.
func TestSinkFlag(t *testing.T) {
	c, err := load(t, allSinks, nil, map[string][]string{"sink": {"nats", "file", "mqtt"}})
	require.NoError(t, err)
	var names []string
	for _, s := range c.Sinks {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{"nats", "file", "copy", "mq"}, names)
	require.Equal(t, "raw", c.Sinks[0].Payload)
	require.Equal(t, "mqtts://broker", c.Sinks[3].URL)

	c, err = load(t, "sinks: [{type: file, path: x}]\n", map[string]string{"TBOXGATE_SINK": "nats,file"}, nil)
	require.NoError(t, err)
	require.Equal(t, "nats", c.Sinks[0].Type)
	require.Equal(t, "x", c.Sinks[1].Path)

	// Where a setting stands is still known after the elements have moved.
	_, err = load(t, "sinks:\n- type: nats\n- type: mqtt\n  url: nowhere\n- type: file\n  url: mqtt://x\n  path: p\n", nil, map[string][]string{"sink": {"mqtt"}})
	require.EqualError(t, err, "tboxgate.yaml:4: sinks[0].url: mqtt: the broker's URL is written mqtt://HOST:PORT or mqtts://HOST:PORT, several separated by commas")
	_, err = load(t, "", nil, map[string][]string{"sink": {"nats", "kafka"}})
	require.EqualError(t, err, "--sink: missing: the brokers of the kafka sink (brokers in the sink's part of the configuration file)")
}

func TestConfigSinkErrors(t *testing.T) {
	for file, want := range map[string]string{
		"sinks: []\n":                              `tboxgate.yaml:1: sinks: at least one is needed`,
		"sinks: [{payload: raw}]\n":                `tboxgate.yaml:1: sinks[0].type: missing; one of nats, kafka, mqtt, file, discard`,
		"sinks: [{type: nats}, {type: nats}]\n":    "tboxgate.yaml:1: sinks[1].name: two sinks are called nats; give each a name of its own\ntboxgate.yaml:1: sinks[1].type: nats can only be the first",
		"sinks: [{type: nats}, {type: discard}]\n": `tboxgate.yaml:1: sinks[1].type: discard beside others does nothing`,
		"sinks: [{type: file, path: x}, {type: nats}]\n": "tboxgate.yaml:1: sinks: the first of several must be nats, not file: answers wait for it, and it feeds the others\n" +
			"tboxgate.yaml:1: sinks[1].type: nats can only be the first",
		"sinks: [{type: nats, path: x}]\n": `tboxgate.yaml:1: sinks[0].path: it is for file, not for nats`,
		"sinks: [{type: file, path: x, password: y}]\n": "tboxgate.yaml:1: sinks[0].password: it is for kafka and mqtt, not for file\n" +
			"tboxgate.yaml:1: sinks[0].user: user and password go together",
		"sinks: [{type: file, path: x, name: a b}]\n":                                       `tboxgate.yaml:1: sinks[0].name: "a b": letters, digits, _ and - only`,
		"sinks: [{type: file}]\n":                                                           `tboxgate.yaml:1: sinks[0].path: missing: the directory that the file sink writes to (path in the sink's part of the configuration file)`,
		"sinks: [{type: nats}, {type: file, path: x}, {type: file, name: b, path: x}]\n":    `tboxgate.yaml:1: sinks[2].path: two sinks cannot write to one directory`,
		"sinks: [{type: nats}, {type: file, path: x}, {type: file, name: b, path: ./x/}]\n": `tboxgate.yaml:1: sinks[2].path: two sinks cannot write to one directory`,
		"sinks: [{type: nats, batch: {maxDelay: 5ms}}]\n":                                   `tboxgate.yaml:1: sinks[0].batch.maxDelay: it does nothing without batch.maxFrames`,
		"sinks: [{type: kafka, brokers: [k]}]\n":                                            `tboxgate.yaml:1: sinks[0].brokers[0]: "k" is not HOST:PORT`,
		"sinks: [{type: kafka, brokers: [\"k:1\"], sasl: plain}]\n":                         `tboxgate.yaml:1: sinks[0].sasl: sasl, user and password go together`,
		"sinks: [{type: kafka, brokers: [\"k:1\"], sasl: gssapi}]\n":                        `tboxgate.yaml:1: sinks[0].sasl: "gssapi" is not allowed; one of plain, scram-sha-256, scram-sha-512`,
		"sinks: [{type: kafka, brokers: [\"k:1\"], topics: {dlq: a/b}}]\n":                  `tboxgate.yaml:1: sinks[0].topics.dlq: topic: bad template "a/b": a Kafka topic has letters, digits, dots, _ and - only`,
		"sinks: [{type: kafka, brokers: [\"k:1\"], createTopics: {replicas: 3}}]\n":         `tboxgate.yaml:1: sinks[0].createTopics: partitions is missing`,
		"sinks: [{type: kafka, brokers: [\"k:1\"], tls: {cert: a}}]\n":                      `tboxgate.yaml:1: sinks[0].tls: cert and key go together`,
		"sinks: [{type: mqtt}]\n":                                                           `tboxgate.yaml:1: sinks[0].url: missing: the broker of the mqtt sink (url in the sink's part of the configuration file)`,
		"sinks: [{type: mqtt, url: \"mqtt://a\", topic: \"a/#\"}]\n":                        `tboxgate.yaml:1: sinks[0].topic: topic: bad template "a/#": an MQTT topic has neither + nor # nor NUL and is UTF-8`,
		"sinks: [{type: mqtt, url: \"mqtt://a\", tls: {ca: x}}]\n":                          `tboxgate.yaml:1: sinks[0].tls: it is for mqtts://, not for mqtt://`,
		"sinks: [{type: mqtt, url: \"mqtt://a\", user: x, password: y, passwordFile: z}]\n": `tboxgate.yaml:1: sinks[0].passwordFile: password and passwordFile: one of them`,
		"sinks: [{type: mqtt, url: \"mqtt://a\", user: x}]\n":                               `tboxgate.yaml:1: sinks[0].user: user and password go together`,
	} {
		_, err := load(t, file, nil, nil)
		require.EqualError(t, err, want, file)
	}
}

func TestSinkSecrets(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(name, []byte("geheim\r\n"), 0o600))
	text, err := Sink{PasswordFile: name}.password()
	require.NoError(t, err)
	require.Equal(t, "geheim", text)
	_, err = Sink{PasswordFile: filepath.Join(dir, "none")}.password()
	require.ErrorContains(t, err, "passwordFile")
	require.NoError(t, os.WriteFile(name, []byte("no certificate"), 0o600))
	_, err = SinkTLS{CA: name}.config()
	require.ErrorContains(t, err, "holds no certificate in PEM")
	_, err = SinkTLS{Cert: name, Key: name}.config()
	require.ErrorContains(t, err, "tls.cert")
}
