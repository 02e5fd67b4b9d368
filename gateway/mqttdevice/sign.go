package mqttdevice

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// errSign is the kind of error of a CONNECT that is not written as devices sign it.
var errSign = errors.New("mqttdevice: not signed as a device signs")

// signature is what a CONNECT says about its sender.
//
//	client id  <id>|securemode=3,signmethod=hmacsha256,timestamp=1700000000000|
//	user name  <deviceName>&<productKey>
//	password   hex(HMAC(deviceSecret, "clientId"<id>"deviceName"<deviceName>"productKey"<productKey>"timestamp"<timestamp>))
//
// Without a timestamp in the client id, the last pair is not signed either.
type signature struct {
	clientID   string // <id>
	deviceName string
	productKey string
	timestamp  string // "" for none
	method     func() hash.Hash
	sum        []byte
}

// parseSignature reads client id, user name and password. The error, of kind errSign, never quotes the password.
func parseSignature(clientID, user, password string) (s signature, err error) {
	id, options, ok := strings.Cut(clientID, "|")
	options, closed := strings.CutSuffix(options, "|")
	if !ok || !closed {
		return s, fmt.Errorf("%w: the client id is not of the form ID|securemode=…,signmethod=…|", errSign)
	}
	s.clientID = id
	s.deviceName, s.productKey, ok = strings.Cut(user, "&")
	if !ok || !validName(s.deviceName) || !validKey(s.productKey) {
		return s, fmt.Errorf("%w: the user name is not of the form DEVICENAME&PRODUCTKEY", errSign)
	}
	s.method = md5.New // what Alibaba's devices mean when they name none
	mode := ""
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "securemode":
			mode = value
		case "timestamp":
			s.timestamp = value
		case "signmethod":
			if s.method = methods[strings.ToLower(value)]; s.method == nil {
				return s, fmt.Errorf("%w: signmethod %q is none of hmacsha1, hmacsha256, hmacmd5", errSign, value)
			}
		} // others tell about the SDK
	}
	if mode != "2" && mode != "3" {
		return s, fmt.Errorf("%w: securemode %q is neither 2 (over TLS) nor 3", errSign, mode)
	}
	if s.sum, err = hex.DecodeString(password); err != nil {
		return s, fmt.Errorf("%w: the password is not hex", errSign)
	}
	return s, nil
}

// methods are those of signmethod. MD5 and SHA-1 are what devices in the field use; in an HMAC they hold.
var methods = map[string]func() hash.Hash{"hmacmd5": md5.New, "hmacsha1": sha1.New, "hmacsha256": sha256.New}

// by reports whether the holder of a secret has made the signature. It takes the same time whatever differs.
func (s *signature) by(secret []byte) bool {
	mac := hmac.New(s.method, secret)
	for _, part := range []string{"clientId", s.clientID, "deviceName", s.deviceName, "productKey", s.productKey} {
		_, _ = mac.Write([]byte(part)) // a hash never fails
	}
	if s.timestamp != "" {
		_, _ = mac.Write([]byte("timestamp" + s.timestamp))
	}
	return hmac.Equal(mac.Sum(nil), s.sum)
}

// validName reports whether name has the form of a device name: 4 to 32 of A-Z a-z 0-9 - _ @ . :
func validName(name string) bool {
	return len(name) >= 4 && len(name) <= 32 && consistsOf(name, "-_@.:")
}

// validKey reports whether key has the form of a product key.
func validKey(key string) bool { return len(key) >= 1 && len(key) <= 32 && consistsOf(key, "") }

func consistsOf(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(more, c) >= 0 {
			continue
		}
		return false
	}
	return true
}
