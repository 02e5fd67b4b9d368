package main

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is everything that can be set. Its field tags are the one place where a setting is described; the YAML
// reader, the flags of serve, the environment variables, `config print` and docs/configuration.md are made from them:
//
//	key      the name in the file; a path such as api.address in messages
//	flag     the flag of serve that sets it (and TBOXGATE_… in the environment); on a list, each use adds an element
//	into     on a list with a flag: the key of the element that the flag's value sets
//	keep     on such a list: the flag takes those elements of the file that have the value already
//	for      in an element of a list: the values of its key "type" that the setting belongs to, separated by |
//	default  the value when nothing sets it, written as in the file
//	oneof    the values allowed, separated by |
//	min, max the bounds of a number, a size or a duration
//	secret   never printed
//	doc      one sentence for the reference
//
// A value is taken from the flag, else the environment, else the file, else the default.
type Config struct {
	DataDir         string      `key:"dataDir" flag:"data-dir" default:"./tboxgate-data" doc:"Directory of the store, the keys and the admin socket. With --dev the default is a temporary directory that is removed at the end."`
	Node            string      `key:"node" flag:"node" doc:"Name of this gateway in records and events. Empty: the host's name."`
	Dev             bool        `key:"dev" flag:"dev" doc:"Try it out: loopback only, any VIN and platform may log in and is registered by it, an access key is made on first start and printed."`
	Listeners       []Listener  `key:"listeners" flag:"listen" into:"address" default:"0.0.0.0:8999" doc:"Addresses for vehicles and platforms, each with its own rules. --listen replaces the file's list. With --dev the default is 127.0.0.1:8999."`
	API             API         `key:"api" doc:"The HTTP API for commands (AsyncRRpc)."`
	Commands        Commands    `key:"commands" doc:"How commands are delivered to vehicles: queue, repetition, late answers."`
	Admin           Admin       `key:"admin" doc:"Metrics and health: /metrics, /healthz, /readyz."`
	NATS            NATS        `key:"nats" doc:"The embedded store."`
	MQTT            MQTT        `key:"mqtt" doc:"The broker for MQTT devices: those of products whose protocol is mqtt."`
	Sinks           []Sink      `key:"sinks" flag:"sink" into:"type" keep:"true" default:"nats" doc:"Where records go. The first is the one whose confirmation answers wait for; with several it is nats, which feeds the others. --sink takes those of its type from the file's list, with their settings, or one with the defaults."`
	StoreHeartbeats bool        `key:"storeHeartbeats" doc:"Store heartbeats (0x07) and time syncs (0x08) as well."`
	Products        []Product   `key:"products" flag:"product-key" into:"key" default:"gbt32960" doc:"The products that vehicles and devices belong to; each has its own settings. The first is the command line's default. --product-key replaces the file's list."`
	AccessKeys      []AccessKey `key:"accessKeys" flag:"access-key" secret:"true" doc:"Access keys of the API as ID:SECRET, for containers and scripts; they may do everything. They are valid as long as they are given here; those of tboxgate keys, which can be limited, are kept in the data directory."`
	Limits          Limits      `key:"limits" doc:"What one connection and all of them together may hold."`
	Drain           Drain       `key:"drain" doc:"How the gateway stops on SIGTERM or SIGINT."`
	Log             Log         `key:"log" doc:"The program's own log, on standard error."`
}

// Listener is one address that vehicles or platforms connect to.
type Listener struct {
	Address          string        `key:"address" doc:"HOST:PORT. Port 0 takes a free one."`
	Profile          string        `key:"profile" default:"auto" oneof:"auto|vehicle|platform" doc:"Which links may log in here: vehicles, enterprise platforms, or whichever the first frame shows."`
	AckForm          string        `key:"ackForm" default:"time" oneof:"time|echo" doc:"Answers to 0x01-0x06 carry the request's time only, or the time of the answer and the rest of the request."`
	AckRealtime      string        `key:"ackRealtime" default:"always" oneof:"always|errorOnly|never" doc:"When realtime and reissued reports are answered."`
	RefuseLogin      string        `key:"refuseLogin" default:"answer" oneof:"answer|silent" doc:"Whether a refused login is answered before the connection is closed."`
	OnStructureError string        `key:"onStructureError" default:"accept" oneof:"accept|refuse" doc:"The answer to a frame whose data unit does not follow the standard's tables; it is stored either way."`
	LoginTimeout     time.Duration `key:"loginTimeout" default:"30s" min:"1s" doc:"From connecting to a login."`
	IdleTimeout      time.Duration `key:"idleTimeout" default:"5m" min:"1s" doc:"Without any frame; the standard allows a heartbeat period of 240 s."`
	HandshakeTimeout time.Duration `key:"handshakeTimeout" default:"10s" min:"1s" doc:"For a PROXY header and the TLS handshake together."`
	TLS              TLS           `key:"tls" doc:"TLS 1.2 and 1.3 on this address. Without it: plain TCP."`
	ProxyFrom        []Prefix      `key:"proxyFrom" doc:"Addresses of load balancers in front, such as 10.0.0.0/8, which must send a PROXY header (version 1 or 2). Nobody else may connect here then. Empty: no PROXY header."`
}

// TLS is the certificate of a listener, and which client certificates it asks for.
type TLS struct {
	Cert            string `key:"cert" doc:"PEM file of the server's certificate and its chain. The files are read again when they change, and on SIGHUP."`
	Key             string `key:"key" doc:"PEM file of its private key."`
	ClientCA        string `key:"clientCA" doc:"PEM file of authorities: only clients with a certificate of theirs may connect. Empty: no client certificate is asked for."`
	RequireVINMatch bool   `key:"requireVinMatch" doc:"The client's certificate must name, as common name or DNS name, who logs in: a vehicle's its VIN, a platform's its code or its user name. Needs clientCA."`
}

// API is the address of the HTTP API. Every call is signed with an access key.
type API struct {
	Address             string `key:"address" flag:"api-listen" default:"127.0.0.1:8960" doc:"Where it listens, HOST:PORT."`
	TLS                 APITLS `key:"tls" doc:"HTTPS instead of HTTP. Without it put a proxy with TLS before an API that others can listen to."`
	BusinessErrorStatus string `key:"businessErrorStatus" default:"200" oneof:"200|400" doc:"HTTP status of business errors: 200 as the cloud answers, or 400 as its page says."`
	EchoStringToSign    bool   `key:"echoStringToSign" doc:"SignatureDoesNotMatch shows the text that the gateway signed, with every parameter of the call. For debugging a client."`
	CallsPerSecond      int    `key:"callsPerSecond" default:"1000" min:"0" doc:"Calls of one access key in a second, and as many at once; what is beyond is answered Throttling.User. 0: no limit."`
	ConcurrentCalls     int    `key:"concurrentCalls" default:"512" min:"1" doc:"Calls under way at the same time; what is beyond is answered Throttling.Api."`
	Connections         int    `key:"connections" default:"1024" min:"1" doc:"Open connections; the others wait in the kernel's queue."`
	MaxBody             Size   `key:"maxBody" default:"1MiB" min:"1KiB" doc:"Longest request body. The longest data unit makes 260 KB, 10,000 vehicles to import 500 KB."`
}

// APITLS is the certificate of the API, and which client certificates it asks for.
type APITLS struct {
	Cert     string `key:"cert" doc:"PEM file of the server's certificate and its chain. The files are read again when they change, and on SIGHUP."`
	Key      string `key:"key" doc:"PEM file of its private key."`
	ClientCA string `key:"clientCA" doc:"PEM file of authorities: only clients with a certificate of theirs may connect. Empty: no client certificate is asked for."`
}

// Admin is the address of metrics and health.
type Admin struct {
	Address string `key:"address" flag:"admin-listen" default:"127.0.0.1:9960" doc:"Where metrics and health are, HOST:PORT. Off loopback admin.token is needed."`
	Token   string `key:"token" secret:"true" flag:"admin-token" doc:"Bearer token. When it is set, /metrics asks for it, and the command line's --addr and --token reach this gateway from another machine. /healthz and /readyz stay open."`
}

// Batch is the batched layout.
type Batch struct {
	MaxFrames int           `key:"maxFrames" default:"0" min:"0" max:"10000" doc:"Most frames in one message; 64 is a good number. 0: one message a frame, in the stream GBT32960."`
	MaxDelay  time.Duration `key:"maxDelay" default:"2ms" min:"100us" max:"1s" doc:"How long a frame may wait for others. It waits only while the store is busy with earlier frames."`
}

// NATS is the store: JetStream, embedded in this process or external.
type NATS struct {
	Listen          string        `key:"listen" flag:"nats-listen" doc:"Where ordinary NATS clients may read the streams of the embedded server, HOST:PORT. Empty: nowhere. Off loopback a user and password are needed."`
	URL             string        `key:"url" flag:"nats-url" doc:"An external server, or several separated by commas, such as nats://a:4222,nats://b:4222. Empty: the embedded one."`
	User            string        `key:"user" flag:"nats-user" doc:"User that clients of the embedded server give, or that the external one asks for."`
	Password        string        `key:"password" secret:"true" flag:"nats-password" doc:"Its password."`
	CredentialsFile string        `key:"credentialsFile" flag:"nats-credentials" doc:"A NATS .creds file for the external server."`
	TLS             NATSTLS       `key:"tls" doc:"TLS to the external server. With tls:// in nats.url and nothing here: with the system's authorities."`
	SyncInterval    Sync          `key:"syncInterval" default:"200ms" doc:"How often the embedded store is flushed to the disk, which bounds what a power cut can take; a crash of the process takes nothing. always: before each confirmation."`
	MaxAge          time.Duration `key:"maxAge" default:"168h" min:"1m" doc:"Records are kept this long."`
	MaxBytes        Size          `key:"maxBytes" default:"0" doc:"And up to so many bytes, the oldest go first. 0: 20GiB, or half of the free disk if that is less."`
	Replicas        int           `key:"replicas" default:"0" min:"0" max:"5" doc:"External cluster: copies of each record. 0: 1, or as the stream is."`
}

// NATSTLS is TLS to an external NATS server.
type NATSTLS struct {
	CA         string `key:"ca" doc:"PEM file of the authorities that may have signed the servers' certificates. Empty: the system's."`
	Cert       string `key:"cert" doc:"PEM file of the client's certificate and chain, read again for each connection."`
	Key        string `key:"key" doc:"PEM file of its private key."`
	ServerName string `key:"serverName" doc:"The name that the servers' certificates must have. Empty: the host's."`
}

// Limits bound memory. A connection that reaches one of its own waits or is closed; nothing is dropped silently.
type Limits struct {
	Connections   int  `key:"connections" default:"18000" min:"1" doc:"Connections in all."`
	PerAddress    int  `key:"perAddress" default:"0" min:"0" doc:"Connections from one address. 0: no limit."`
	AcceptRate    int  `key:"acceptRate" default:"0" min:"0" doc:"Connections that a listener takes in a second; the others wait in the kernel's queue. 0: no limit."`
	FrameRate     int  `key:"frameRate" default:"0" min:"0" doc:"Realtime and reissued reports of one vehicle that are taken in a second, ten times as many at once; what is beyond is answered with an error and not stored. 0: no limit."`
	Handshakes    int  `key:"handshakes" default:"256" min:"1" doc:"Connections of a listener in a PROXY or TLS handshake at the same time."`
	Window        int  `key:"window" default:"256" min:"1" doc:"Frames of one connection that may wait for the store."`
	WindowBytes   Size `key:"windowBytes" default:"1MiB" min:"1" doc:"Their bytes as records."`
	InFlightBytes Size `key:"inFlightBytes" default:"64MiB" min:"1" doc:"Bytes of all connections that may wait for the store."`
	Inbound       Size `key:"inbound" default:"1MiB" min:"64KiB" doc:"Unread bytes that a connection may pile up while the store is slow before it is closed."`
	Outbound      Size `key:"outbound" default:"256KiB" min:"1KiB" doc:"Bytes that a peer may leave unread before it is closed."`
	BadFrames     int  `key:"badFrames" default:"16" min:"1" max:"65535" doc:"Bad frames in a row before a connection is closed."`
	MaxFrame      int  `key:"maxFrame" default:"65531" min:"1" max:"65531" doc:"Longest data unit in bytes; a longer one is taken for garbage."`
}

// Drain says how the gateway stops.
type Drain struct {
	Window  time.Duration `key:"window" default:"5s" doc:"Connections are closed spread over this time, so that a fleet does not come back at once. With --dev 0s."`
	Timeout time.Duration `key:"timeout" default:"20s" min:"1s" doc:"After this the gateway stops whatever is under way; the store gets up to five seconds more. Keep it well below the service manager's stop timeout."`
}

// Log is the program's own log.
type Log struct {
	Level  string `key:"level" flag:"log-level" default:"info" oneof:"debug|info|warn|error" doc:"What is logged."`
	Format string `key:"format" flag:"log-format" default:"auto" oneof:"auto|text|json" doc:"auto: text on a terminal, else JSON."`
}

// Size is a number of bytes, written as 1048576, 1MiB or 64KiB.
type Size int64

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	t := string(text)
	var factor int64 = 1
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(t, u.name); ok {
			t, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > 1<<62/factor {
		return fmt.Errorf("%q is not a size such as 65536, 64KiB or 1MiB", text)
	}
	*s = Size(n * factor)
	return nil
}

// MarshalText writes the size with the largest unit that leaves it whole.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.name), nil
		}
	}
	return fmt.Appendf(nil, "%d", int64(s)), nil
}

var sizeUnits = [...]struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// Prefix is an address or a range of addresses: 10.0.0.7, 10.0.0.0/8, fd00::/8.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads an address or a prefix.
func (p *Prefix) UnmarshalText(text []byte) (err error) {
	if a, err := netip.ParseAddr(string(text)); err == nil {
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	if p.Prefix, err = netip.ParsePrefix(string(text)); err != nil {
		return fmt.Errorf("%q is neither an address nor a range such as 10.0.0.0/8", text)
	}
	return nil
}

// Sync is the store's flush interval; 0 stands for "always".
type Sync time.Duration

// UnmarshalText reads a duration or "always".
func (s *Sync) UnmarshalText(text []byte) error {
	if string(text) == "always" {
		*s = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is neither a duration such as 200ms nor always", text)
	}
	*s = Sync(d)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (s Sync) MarshalText() ([]byte, error) {
	if s == 0 {
		return []byte("always"), nil
	}
	return []byte(shortDuration(time.Duration(s))), nil
}

// AccessKey is one key of the API, written as ID:SECRET.
type AccessKey struct{ ID, Secret string }

// UnmarshalText reads ID:SECRET. The error never repeats the text: it may hold the secret.
func (k *AccessKey) UnmarshalText(text []byte) error {
	id, secret, found := strings.Cut(string(text), ":")
	if !found || id == "" || secret == "" {
		return errors.New("an access key is written ID:SECRET")
	}
	if secret == masked {
		return errMasked
	}
	k.ID, k.Secret = id, secret
	return nil
}

// MarshalText writes the key without its secret.
func (k AccessKey) MarshalText() ([]byte, error) { return []byte(k.ID + ":" + masked), nil }

// masked stands for a secret wherever the configuration is shown.
const masked = "******"

// errMasked refuses a configuration that was printed and in which the secrets have not been put in again.
var errMasked = errors.New(masked + " stands for a secret that config print does not show; put the secret in")

var (
	_ encoding.TextUnmarshaler = (*Size)(nil)
	_ encoding.TextUnmarshaler = (*Sync)(nil)
	_ encoding.TextUnmarshaler = (*AccessKey)(nil)
	_ encoding.TextMarshaler   = Size(0)
	_ encoding.TextMarshaler   = Sync(0)
	_ encoding.TextMarshaler   = AccessKey{}
)
