// Package seal keeps secrets at rest: what must be read again (an access key's secret) is encrypted
// with AES-256-GCM, what must only be compared (a platform's password) is a keyed hash. Both keys
// come from one 32-byte key that lives beside the data or in the environment, see [LoadKey].
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// KeySize is the size of the key in bytes.
const KeySize = 32

// MACSize is the size of what Box.MAC appends, in bytes.
const MACSize = sha256.Size

// version is the first byte of everything sealed, so that the form can change one day.
const version = 1

// ErrOpen is the kind of error that Box.Open returns: the text was sealed with another key or for
// another context, or was changed.
var ErrOpen = errors.New("seal: cannot open the sealed value: another key or context, or it is damaged")

// Box seals and opens. It is safe for concurrent use. Printed in any way it shows nothing.
type Box struct {
	aead cipher.AEAD
	macs sync.Pool // of *macState
}

// macState is a hash and the memory that its methods, called through an interface, would otherwise
// have the caller's moved to the heap for.
type macState struct {
	hash  hash.Hash
	chunk [64]byte
	sum   [MACSize]byte
}

// New returns a box for a key of KeySize random bytes. The slice is not kept. The error is ErrKey.
func New(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(key), KeySize)
	}
	// One key each for the two uses, so that neither can help against the other.
	sealKey, err := hkdf.Expand(sha256.New, key, "tboxgate/seal/aes-256-gcm", KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive the sealing key: %w", err)
	}
	macKey, err := hkdf.Expand(sha256.New, key, "tboxgate/seal/hmac-sha256", KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive the hashing key: %w", err)
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Box{
		aead: aead,
		macs: sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, macKey)} }},
	}, nil
}

// Seal encrypts plain with a fresh random nonce. context says what the value is for ("accessKey
// ID"); the same must be given to Open, so that a sealed value cannot be moved elsewhere. The result
// is 29 bytes longer than plain: version, nonce, ciphertext, tag.
func (b *Box) Seal(plain []byte, context string) []byte {
	dst := make([]byte, 1, 1+len(plain)+b.aead.Overhead())
	dst[0] = version
	return b.aead.Seal(dst, nil, plain, []byte(context))
}

// Open is the inverse of [Box.Seal]. The error is ErrOpen and says nothing about the content.
func (b *Box) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < 1+b.aead.Overhead() || sealed[0] != version {
		return nil, ErrOpen
	}
	plain, err := b.aead.Open(nil, nil, sealed[1:], []byte(context))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// MAC appends the HMAC-SHA256 of salt and parts under the box's key to dst, MACSize bytes. Each of
// them counts with its length: ("ab", "c") and ("a", "bc") differ. It does not allocate when dst has
// room. Compare the result with crypto/subtle or hmac.Equal.
func (b *Box) MAC(dst, salt []byte, parts ...[]byte) []byte {
	m := b.macs.Get().(*macState)
	m.hash.Reset()
	m.write(salt)
	for _, part := range parts {
		m.write(part)
	}
	dst = append(dst, m.hash.Sum(m.sum[:0])...)
	m.hash.Reset()
	clear(m.chunk[:]) // it held a secret
	b.macs.Put(m)
	return dst
}

// write hashes the length of part, 4 bytes, and part. A hash never fails.
func (m *macState) write(part []byte) {
	binary.BigEndian.PutUint32(m.chunk[:4], uint32(len(part)))
	m.hash.Write(m.chunk[:4])
	for len(part) > 0 {
		n := copy(m.chunk[:], part)
		m.hash.Write(m.chunk[:n])
		part = part[n:]
	}
}

// String hides the key.
func (b *Box) String() string { return "seal.Box(hidden)" }

// Format hides the key whatever the verb.
func (b *Box) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, b.String()) }
