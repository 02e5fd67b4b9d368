package mqttdevice

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSignature: the first password is the example of Alibaba Cloud's page on MQTT sign-in, the others were made by openssl.
func TestSignature(t *testing.T) {
	const id, user = "12345|securemode=3,signmethod=hmacsha1,timestamp=789|", "device&pk"
	const password = "FAFD82A3D602B37FB0FA8B7892F24A477F851A14"
	for _, tt := range []struct{ name, id, user, password, secret, err string }{
		{name: "SHA-1 and a timestamp", id: id, user: user, password: password, secret: "secret"},
		{name: "in lower case, and what SDKs add", id: "12345|lan=C,_v=sdk-c-4.0,securemode=2,signmethod=HmacSHA1,timestamp=789,ext=1|", user: user,
			password: strings.ToLower(password), secret: "secret"},
		{name: "SHA-256 without a timestamp", id: "fabric|securemode=2,signmethod=hmacsha256|", user: "meter-01&a1b2c3d4e5f",
			password: "81225448d0b93cf9db621ddb651e5e260dc93f2a3a8788395664d1be83977498", secret: "0123456789abcdef0123456789abcdef"},
		{name: "MD5", id: "fabric|securemode=3,signmethod=hmacmd5|", user: "meter-01&a1b2c3d4e5f",
			password: "5fbe83bfd68ec4f6fe896efd430c7234", secret: "0123456789abcdef0123456789abcdef"},
		{name: "no method is MD5", id: "fabric|securemode=3|", user: "meter-01&a1b2c3d4e5f",
			password: "5fbe83bfd68ec4f6fe896efd430c7234", secret: "0123456789abcdef0123456789abcdef"},
		{name: "another secret", id: id, user: user, password: password, secret: "Secret", err: "secret"},
		{name: "another id", id: "12346" + id[5:], user: user, password: password, secret: "secret", err: "secret"},
		{name: "another time", id: strings.Replace(id, "789", "790", 1), user: user, password: password, secret: "secret", err: "secret"},
		{name: "no time", id: strings.Replace(id, ",timestamp=789", "", 1), user: user, password: password, secret: "secret", err: "secret"},
		{name: "another product", id: id, user: "device&pl", password: password, secret: "secret", err: "secret"},
		{name: "half a password", id: id, user: user, password: password[:20], secret: "secret", err: "secret"},
		{name: "no password", id: id, user: user, secret: "secret", err: "secret"},

		{name: "no options", id: "12345", user: user, password: password, err: "the client id is not of the form ID|securemode=…,signmethod=…|"},
		{name: "open end", id: "12345|securemode=3", user: user, password: password, err: "the client id is not of the form"},
		{name: "no mode", id: "12345|signmethod=hmacsha1|", user: user, password: password, err: `securemode "" is neither 2 (over TLS) nor 3`},
		{name: "pre-registration", id: "12345|securemode=-2,signmethod=hmacsha1|", user: user, password: password, err: `securemode "-2" is neither`},
		{name: "a stranger's method", id: "12345|securemode=3,signmethod=sha1|", user: user, password: password, err: `signmethod "sha1" is none of`},
		{name: "no product", id: id, user: "device", password: password, err: "the user name is not of the form DEVICENAME&PRODUCTKEY"},
		{name: "a name with a slash", id: id, user: "dev/ice&pk", password: password, err: "the user name is not of the form"},
		{name: "a short name", id: id, user: "dev&pk", password: password, err: "the user name is not of the form"},
		{name: "no hex", id: id, user: user, password: "secret-in-clear", err: "the password is not hex"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseSignature(tt.id, tt.user, tt.password)
			if tt.err == "" || tt.err == "secret" {
				require.NoError(t, err)
				require.Equal(t, tt.err == "", s.by([]byte(tt.secret)))
				return
			}
			require.ErrorIs(t, err, errSign)
			require.ErrorContains(t, err, tt.err)
			require.NotContains(t, err.Error(), "secret-in-clear")
		})
	}
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"user/get", "user/get", true}, {"user/get", "user/set", false}, {"user/get", "user", false}, {"user", "user/get", false},
		{"user/+", "user/get", true}, {"user/+", "user/+", true}, {"user/+", "user/#", false}, {"user/+", "user/a/b", false},
		{"user/#", "user/get", true}, {"user/#", "user/a/b", true}, {"user/#", "user/#", true}, {"user/#", "user", true},
		{"#", "anything/at/all", true}, {"+/get", "user/get", true}, {"user/get", "+/get", false}, {"user/get", "#", false},
		{"/a/b/#", "/a/b/c", true}, {"/a/b/+", "/a/b/", true},
	} {
		require.Equal(t, tt.want, covers(tt.a, tt.b), "%s covers %s", tt.a, tt.b)
	}
}

func TestAllowed(t *testing.T) {
	topics := []Topic{{"user/get", Subscribe}, {"user/update/#", Publish}, {"both", Both}}
	for _, topic := range topics {
		require.NoError(t, topic.Validate())
	}
	for _, tt := range []struct {
		filter             string
		subscribe, publish bool // with the topics above
		free               bool // without: both
	}{
		{"/pk/D001/user/get", true, false, true}, {"/pk/D001/user/update", false, true, true}, {"/pk/D001/user/update/error", false, true, true},
		{"/pk/D001/both", true, true, true}, {"/pk/D001/other", false, false, true}, {"/pk/D001/user/#", false, false, true},
		{"/pk/D001/#", false, false, true}, {"/sys/pk/D001/thing/#", true, true, true}, {"/sys/pk/D001/", false, false, false},
		{"/pk/D001/", false, false, false}, {"/pk/D002/user/get", false, false, false}, {"/pk/+/user/get", false, false, false},
		{"/pk/D001", false, false, false}, {"#", false, false, false}, {"/#", false, false, false}, {"$SYS/#", false, false, false},
		{"$share/g/pk/D001/user/get", false, false, false}, {"/sys/pk/D002/x", false, false, false}, {"pk/D001/user/get", false, false, false},
	} {
		require.Equal(t, tt.subscribe, allowed(topics, "pk", "D001", tt.filter, Subscribe), "subscribe %s", tt.filter)
		require.Equal(t, tt.publish, allowed(topics, "pk", "D001", tt.filter, Publish), "publish %s", tt.filter)
		require.Equal(t, tt.free, allowed(nil, "pk", "D001", tt.filter, Subscribe), tt.filter)
		require.Equal(t, tt.free, allowed(nil, "pk", "D001", tt.filter, Publish), tt.filter)
	}
	for want, topic := range map[string]Topic{
		`permission "" is none of subscribe, publish, both`:                 {"user/get", ""},
		`topic "": a template below /{productKey}/{deviceName}/ is wanted`:  {"", Both},
		`topic "/pk/D/user": a template below`:                              {"/pk/D/user", Both},
		`topic "user/a+": + stands for a whole level, # for all at the end`: {"user/a+", Both},
		`topic "#/user": + stands for a whole level, # for all at the end`:  {"#/user", Both},
	} {
		require.ErrorContains(t, topic.Validate(), want)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"D001": true, "a-_@.:9Z": true, strings.Repeat("x", 32): true, "": false, "D01": false, strings.Repeat("x", 33): false, "a b c": false,
		"a/bc": false, "abc+": false, "abc#": false, "äbcd": false, "abc\x00": false,
	} {
		require.Equal(t, want, validName(name), name)
	}
}
