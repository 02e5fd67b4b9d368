package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/gateway/sink/mqtt"
	"github.com/tboxgate/tboxgate/gateway/sink/topic"
)

// Sink is one place records go to.
type Sink struct {
	Type    string `key:"type" oneof:"nats|kafka|mqtt|file|discard" doc:"nats: the durable streams; kafka, mqtt: a broker; file: JSON lines; discard: nowhere, for measuring."`
	Name    string `key:"name" doc:"Names the sink in logs, in metrics and, as sink-NAME, its position in the streams; letters, digits, _ and -. Empty: the type. Another name begins at the streams' beginning."`
	Payload string `key:"payload" default:"json" flag:"payload" oneof:"json|raw|both" doc:"A record holds the decoded frame, its bytes, or both."`

	Batch Batch `key:"batch" for:"nats" doc:"nats: many frames in one message of the stream GBT32960_BATCH, for several times the throughput."`

	Brokers      []string     `key:"brokers" for:"kafka" doc:"kafka: HOST:PORT of some brokers of the cluster."`
	Topics       Topics       `key:"topics" for:"kafka" doc:"kafka: templates of the topics."`
	CreateTopics CreateTopics `key:"createTopics" for:"kafka" doc:"kafka: topics that do not exist are created. Without it they have to be there."`
	Compression  string       `key:"compression" for:"kafka" default:"zstd" oneof:"zstd|lz4|snappy|gzip|none" doc:"kafka: of batches."`
	SASL         string       `key:"sasl" for:"kafka" oneof:"plain|scram-sha-256|scram-sha-512" doc:"kafka: how user and password are shown. Empty: they are not."`

	URL        string        `key:"url" for:"mqtt" doc:"mqtt: mqtt://HOST:PORT or mqtts://HOST:PORT of an MQTT 5 broker, several separated by commas."`
	Topic      string        `key:"topic" for:"mqtt" default:"gbt32960/{vin}/upstream/{command}" doc:"mqtt: template of the topics of records; {vin}, {command}, {edition}."`
	EventTopic string        `key:"eventTopic" for:"mqtt" default:"gbt32960/{vin}/event/{kind}" doc:"mqtt: template of the topics of events; {vin}, {kind}."`
	KeepAlive  time.Duration `key:"keepAlive" for:"mqtt" default:"30s" min:"1s" max:"18h" doc:"mqtt: how often a silent connection is tried."`

	ClientID     string  `key:"clientId" for:"kafka|mqtt" doc:"kafka, mqtt: the client's name; of two MQTT clients with one name, one is thrown out. Empty: tboxgate-NODE."`
	User         string  `key:"user" for:"kafka|mqtt" doc:"kafka, mqtt: the user to log in as."`
	Password     string  `key:"password" for:"kafka|mqtt" secret:"true" doc:"kafka, mqtt: its password."`
	PasswordFile string  `key:"passwordFile" for:"kafka|mqtt" doc:"kafka, mqtt: or a file with it."`
	TLS          SinkTLS `key:"tls" for:"kafka|mqtt" doc:"kafka, mqtt: TLS to the broker."`

	Path          string        `key:"path" for:"file" doc:"file: the directory."`
	MaxSize       Size          `key:"maxSize" for:"file" default:"256MiB" min:"1KiB" doc:"file: a file is rotated before it becomes larger."`
	MaxAge        time.Duration `key:"maxAge" for:"file" default:"1h" min:"1s" doc:"file: and at this age."`
	Keep          int           `key:"keep" for:"file" default:"0" min:"0" doc:"file: rotated files kept of each kind, the oldest go first. 0: all."`
	Fsync         string        `key:"fsync" for:"file" default:"interval" oneof:"always|interval|never" doc:"file: whether a power cut may take nothing that was stored, what was stored in fsyncInterval, or what the kernel had not written yet. A crash of the process takes nothing."`
	FsyncInterval time.Duration `key:"fsyncInterval" for:"file" default:"200ms" min:"1ms" doc:"file: see fsync."`
	Compress      bool          `key:"compress" for:"file" doc:"file: gzip rotated files."`
}

// Topics are templates of Kafka topics.
type Topics struct {
	Raw     string `key:"raw" default:"gbt32960.raw.v1" doc:"Frames as bytes (payload raw, both); {vin}, {command}, {edition}."`
	Decoded string `key:"decoded" default:"gbt32960.decoded.v1" doc:"Frames as JSON (payload json, both; masked ones in each)."`
	Event   string `key:"event" default:"gbt32960.event.v1" doc:"Events; {vin}, {kind}."`
	DLQ     string `key:"dlq" default:"gbt32960.dlq.v1" doc:"The JSON of frames that could not be decoded (in every payload)."`
}

// CreateTopics says how missing topics are made.
type CreateTopics struct {
	Partitions int `key:"partitions" default:"0" min:"0" max:"10000" doc:"Partitions of a new topic. 0: none is created."`
	Replicas   int `key:"replicas" default:"0" min:"0" max:"100" doc:"Copies. 0: the broker's default."`
}

// SinkTLS is TLS to a broker.
type SinkTLS struct {
	Enabled    bool   `key:"enabled" doc:"kafka: TLS with the system's authorities; the keys below imply it. MQTT has its URL for that (mqtts)."`
	CA         string `key:"ca" doc:"PEM file of the authorities that may have signed the broker's certificate. Empty: the system's."`
	Cert       string `key:"cert" doc:"PEM file of the client's certificate and chain, read again for each connection."`
	Key        string `key:"key" doc:"PEM file of its private key."`
	ServerName string `key:"serverName" doc:"The name that the broker's certificate must have. Empty: the host's."`
}

// defaultDelay is what batch.maxDelay is when nobody sets it.
const defaultDelay = 2 * time.Millisecond

// checkSinks checks the list of sinks.
func (l *configLoader) checkSinks(c *Config, bad func(path, format string, args ...any)) {
	if len(c.Sinks) == 0 {
		bad("sinks", "at least one is needed")
	}
	names, paths := map[string]bool{}, map[string]bool{}
	for i := range c.Sinks {
		s := &c.Sinks[i]
		at := fmt.Sprintf("sinks[%d]", i)
		if s.Type == "" {
			bad(at+".type", "missing; one of nats, kafka, mqtt, file, discard")
			continue
		}
		l.checkBelongs(s.Type, at)
		if s.Name == "" {
			s.Name = s.Type
		}
		if strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			bad(at+".name", "%q: letters, digits, _ and - only", s.Name)
		}
		if names[s.Name] {
			bad(at+".name", "two sinks are called %s; give each a name of its own", s.Name)
		}
		names[s.Name] = true
		switch {
		case len(c.Sinks) == 1:
		case i == 0 && s.Type != "nats":
			bad("sinks", "the first of several must be nats, not %s: answers wait for it, and it feeds the others", s.Type)
		case i > 0 && s.Type == "nats":
			bad(at+".type", "nats can only be the first")
		case s.Type == "discard":
			bad(at+".type", "discard beside others does nothing")
		}
		switch s.Type {
		case "nats":
			if s.Batch.MaxFrames == 0 && s.Batch.MaxDelay != defaultDelay {
				bad(at+".batch.maxDelay", "it does nothing without batch.maxFrames")
			}
		case "kafka":
			checkKafkaSink(s, at, bad)
		case "mqtt":
			checkMQTTSink(s, at, bad)
		case "file":
			if s.Path == "" {
				bad(at+".path", "missing: the directory that the file sink writes to (path in the sink's part of the configuration file)")
			}
			if paths[filepath.Clean(s.Path)] {
				bad(at+".path", "two sinks cannot write to one directory")
			}
			paths[filepath.Clean(s.Path)] = true
		}
		if t := s.TLS; (t.Cert == "") != (t.Key == "") {
			bad(at+".tls", "cert and key go together")
		}
		if s.Password != "" && s.PasswordFile != "" {
			bad(at+".passwordFile", "password and passwordFile: one of them")
		}
		if hasPassword := s.Password != "" || s.PasswordFile != ""; (s.User != "") != hasPassword {
			bad(at+".user", "user and password go together")
		}
	}
}

// checkBelongs refuses settings that were given and belong to sinks of another type.
func (l *configLoader) checkBelongs(kind, at string) {
	for _, s := range settings(reflect.TypeFor[Sink]()) {
		types := s.Tag.Get("for")
		path := join(at, s.key)
		if origin, given := l.from[path]; given && types != "" && !slices.Contains(strings.Split(types, "|"), kind) {
			l.fail(origin, path, "it is for %s, not for %s", strings.ReplaceAll(types, "|", " and "), kind)
		}
	}
}

func checkKafkaSink(s *Sink, at string, bad func(path, format string, args ...any)) {
	if len(s.Brokers) == 0 {
		bad(at+".brokers", "missing: the brokers of the kafka sink (brokers in the sink's part of the configuration file)")
	}
	for i, b := range s.Brokers {
		if err := checkAddress(b); err != nil {
			bad(fmt.Sprintf("%s.brokers[%d]", at, i), "%v", err)
		}
	}
	for _, t := range []struct {
		key, text string
		fields    []string
	}{{"raw", s.Topics.Raw, topic.Record}, {"decoded", s.Topics.Decoded, topic.Record}, {"event", s.Topics.Event, topic.Event}, {"dlq", s.Topics.DLQ, topic.Record}} {
		if _, err := topic.Parse(t.text, topic.Kafka, t.fields); err != nil {
			bad(at+".topics."+t.key, "%v", err)
		}
	}
	if (s.SASL == "") != (s.User == "") {
		bad(at+".sasl", "sasl, user and password go together")
	}
	if s.CreateTopics.Replicas > 0 && s.CreateTopics.Partitions == 0 {
		bad(at+".createTopics", "partitions is missing")
	}
}

func checkMQTTSink(s *Sink, at string, bad func(path, format string, args ...any)) {
	urls, err := mqtt.ParseURL(s.URL)
	switch {
	case s.URL == "":
		bad(at+".url", "missing: the broker of the mqtt sink (url in the sink's part of the configuration file)")
	case err != nil:
		bad(at+".url", "%v", err)
	}
	for _, u := range urls {
		if u.Scheme != "mqtts" && s.TLS != (SinkTLS{}) {
			bad(at+".tls", "it is for mqtts://, not for %s://", u.Scheme)
			break
		}
	}
	if _, err := topic.Parse(s.Topic, topic.MQTT, topic.Record); err != nil {
		bad(at+".topic", "%v", err)
	}
	if _, err := topic.Parse(s.EventTopic, topic.MQTT, topic.Event); err != nil {
		bad(at+".eventTopic", "%v", err)
	}
}
