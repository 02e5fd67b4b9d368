package nats

import (
	"crypto/rand"

	"github.com/nats-io/nats-server/v2/server"
)

// The users of the embedded server: the gateway itself, with a password that nobody is told, and
// whoever comes by Options.Listen, who may read and nothing else.
const (
	gatewayUser   = "tboxgate"
	gatewayInbox  = "_GATEWAY" // replies and watches of the gateway: what is in the buckets of keys and platforms passes there
	defaultReader = "reader"   // of clients that give no name, where no credentials are asked for
)

// users sets who may do what on the embedded server and returns the gateway's own password.
func users(opts *server.Options, o Options) (password string) {
	password = rand.Text()
	reader := &server.User{Username: o.User, Password: o.Password, Permissions: readOnly()}
	if o.User == "" {
		reader.Username, reader.Password = defaultReader, rand.Text()
		opts.NoAuthUser = defaultReader
	}
	opts.Users = []*server.User{{Username: gatewayUser, Password: password}, reader}
	return password
}

// readOnly lets a client subscribe to records, events and what the buckets show, and read them by
// consumers of its own. Publishing, changing or deleting streams and reading the buckets of keys and
// platforms are refused.
//
// That guards against mistakes, not against an attacker: nats-server checks the subject that a client
// publishes on, but neither the reply subject of an API request nor where a push consumer delivers
// to, and publishes there itself. Whoever has these credentials has to be trusted with the store.
func readOnly() *server.Permissions {
	publish := []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST"}
	subscribe := []string{"_INBOX.>", "gbt32960.>"}
	streams := []string{StreamRecords, StreamBatches, StreamEvents, StreamMQTT}
	for _, b := range []string{BucketDevices, BucketCommands, BucketLast} {
		streams = append(streams, "KV_"+b)
		subscribe = append(subscribe, "$KV."+b+".>")
	}
	for _, s := range streams {
		publish = append(publish,
			"$JS.API.STREAM.INFO."+s, "$JS.API.STREAM.MSG.GET."+s, "$JS.API.DIRECT.GET."+s, "$JS.API.DIRECT.GET."+s+".>",
			"$JS.API.CONSUMER.*."+s, "$JS.API.CONSUMER.*."+s+".>", "$JS.API.CONSUMER.DURABLE.CREATE."+s+".>",
			"$JS.API.CONSUMER.MSG.NEXT."+s+".>", "$JS.ACK."+s+".>", "$JS.FC."+s+".>")
	}
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: publish},
		Subscribe: &server.SubjectPermission{Allow: subscribe},
	}
}
