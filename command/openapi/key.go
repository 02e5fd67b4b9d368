package openapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/session"
)

// Errors of KeyStore, to be tested with errors.Is.
var (
	ErrKeyFormat   = errors.New("an access key id has 1 to 64 of A-Z a-z 0-9 . - _, a secret 8 to 128 printable characters without spaces")
	ErrKeyGrant    = errors.New("the access key's limits are not valid")
	ErrKeyExists   = errors.New("the access key exists already")
	ErrKeyNotFound = errors.New("no such access key")
	ErrKeyStatic   = errors.New("the access key is given by a flag, the environment or the configuration, not stored")
)

// KeyError says which access key an error is about.
type KeyError struct {
	ID  string
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("access key %q: %v", e.ID, e.Err) }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// Key is an access key as the verifier needs it. It prints without its secrets.
type Key struct {
	ID     string
	Secret string
	// SecurityToken makes it a temporary key as Alibaba Cloud's STS gives them: calls must carry the token as well. "" for a
	// key without one, whose calls may not.
	SecurityToken string
	ExpiresAt     time.Time // zero: never
	Disabled      bool
	Grant         Grant
}

// String hides the secret.
func (k Key) String() string { return "Key(" + k.ID + ")" }

// GoString hides the secret.
func (k Key) GoString() string { return k.String() }

// LogValue hides the secret.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// KeyInfo describes an access key without its secrets.
type KeyInfo struct {
	ID        string            `json:"id"`
	CreatedAt session.Timestamp `json:"createdAt,omitzero"` // zero for a static key
	ExpiresAt session.Timestamp `json:"expiresAt,omitzero"`
	Products  []string          `json:"products,omitempty"`
	Allow     []Right           `json:"allow,omitempty"`
	Temporary bool              `json:"temporary,omitempty"` // it has a security token
	Disabled  bool              `json:"disabled,omitempty"`
	Static    bool              `json:"static,omitempty"` // from a flag, the environment or the configuration: cannot be changed
	// Unreadable: the secret was sealed with another seal key. The access key does not work; delete it and create it again.
	Unreadable bool `json:"unreadable,omitempty"`
}

// storedKey is the JSON of a bucket entry. The secret must be readable again: an HMAC cannot be verified by a hash.
type storedKey struct {
	ID            string            `json:"id"`
	Secret        []byte            `json:"secret"`                  // sealed
	SecurityToken []byte            `json:"securityToken,omitempty"` // sealed; of a temporary key
	CreatedAt     session.Timestamp `json:"createdAt"`
	ExpiresAt     session.Timestamp `json:"expiresAt,omitzero"`
	Products      []string          `json:"products,omitempty"` // those it may work with; none: all
	Allow         []Right           `json:"allow,omitempty"`    // what it may do; none: everything
	Disabled      bool              `json:"disabled,omitempty"`
	Revision      int               `json:"revision,omitempty"` // counts changes, so that an old entry is not taken for a new one
}

// keyEntry is a key in memory.
type keyEntry struct {
	key    Key
	info   KeyInfo
	stored storedKey
}

func newStaticEntry(k Key) keyEntry {
	e := keyEntry{key: k}
	e.info = KeyInfo{ID: k.ID, Products: k.Grant.Products, Allow: k.Grant.Allow, Static: true}
	return e
}

// newStoredEntry opens what the bucket holds. Entries whose secrets cannot be opened are Unreadable.
func newStoredEntry(s storedKey, box Sealer) (keyEntry, error) {
	e := keyEntry{stored: s}
	e.key = Key{ID: s.ID, ExpiresAt: s.ExpiresAt.Time, Disabled: s.Disabled, Grant: Grant{s.Products, s.Allow}}
	e.info = KeyInfo{
		ID: s.ID, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, Products: s.Products, Allow: s.Allow, Disabled: s.Disabled,
		Temporary: len(s.SecurityToken) > 0,
	}
	secret, err := box.Open(s.Secret, sealContext(s.ID))
	if err == nil && e.info.Temporary {
		var token []byte
		token, err = box.Open(s.SecurityToken, tokenContext(s.ID))
		e.key.SecurityToken = string(token)
	}
	e.key.Secret = string(secret)
	if err != nil {
		e.info.Unreadable = true
	}
	return e, err
}

func sealContext(id string) string  { return "accessKey/" + id }
func tokenContext(id string) string { return "securityToken/" + id }

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func validKeyID(id string) bool {
	if len(id) < 1 || len(id) > 64 || id[0] == '.' || id[len(id)-1] == '.' || strings.Contains(id, "..") {
		return false
	}
	return strings.Trim(id, alphanumeric+"-_.") == ""
}

func validSecret(secret string) bool {
	if len(secret) < 8 || len(secret) > 128 {
		return false
	}
	for i := 0; i < len(secret); i++ {
		if secret[i] <= ' ' || secret[i] > '~' {
			return false
		}
	}
	return true
}

// randomText returns n random letters and digits.
func randomText(n int) string {
	text := make([]byte, n)
	for i := range text {
		k, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphanumeric)))) // never fails: crypto/rand ends the process instead
		text[i] = alphanumeric[k.Int64()]
	}
	return string(text)
}
