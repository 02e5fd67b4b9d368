package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// KeyFile is the name of the key's file in the data directory.
const KeyFile = "seal.key"

// KeyEnv is the environment variable whose value can take the place of the file.
const KeyEnv = "TBOXGATE_SEAL_KEY"

// ErrKey is the kind of error for a key that cannot be used: wrong length or form, or a file that
// others may read.
var ErrKey = errors.New("seal: bad key")

// LoadKey returns the box of a data directory. A value that is not empty, that of the environment
// variable KeyEnv, is the key. Otherwise the key is in the file KeyFile in dir, which only its owner
// may read (mode 0600 or less); where there is none a random key is made and written, complete or
// not at all. Whoever loses the key loses the secrets sealed with it.
//
// Key texts are 64 hex digits or base64 of 32 bytes. Errors about the key itself are ErrKey and
// never quote it.
func LoadKey(dir, value string) (*Box, error) {
	if strings.TrimSpace(value) != "" {
		key, err := parseKey(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", KeyEnv, err)
		}
		return New(key)
	}
	path := filepath.Join(dir, KeyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(dir, path); err != nil {
			return nil, fmt.Errorf("seal: make the key file %s: %w", path, err)
		}
		key, err = readKey(path) // another process may have been first: its key holds
	}
	if err != nil {
		return nil, err
	}
	return New(key)
}

// parseKey reads a key: 64 hex digits or base64 (standard or URL alphabet, with or without padding)
// of 32 bytes; white space around it is ignored. The error is ErrKey and does not quote the text.
func parseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(KeySize) {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %d characters that are neither hex nor base64; want 64 hex digits or base64 of %d bytes", ErrKey, len(text), KeySize)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: %d bytes, want %d (64 hex digits or 44 characters of base64)", ErrKey, len(key), KeySize)
	}
	return key, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	// Windows has no such bits: there the directory's access list protects the file.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: others than its owner may use %s (mode %04o): chmod 600 it, and replace the secrets if others could read it", ErrKey, path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	key, err := parseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// makeKey writes a new key to path, which appears complete and durable or not at all. It is no
// error when another process made the file meanwhile.
func makeKey(dir, path string) (err error) {
	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, KeyFile+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces a key that is already there.
	if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
