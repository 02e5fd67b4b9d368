package last

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// Known is all that is known of a vehicle: its state, absent before its first report, and its last login and logout.
type Known struct {
	*State
	Login  json.RawMessage `json:"login,omitempty"`
	Logout json.RawMessage `json:"logout,omitempty"`
}

// Reader reads values of the bucket.
type Reader interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// Read returns what is known of a vehicle as one JSON object. errors.Is(err, fs.ErrNotExist) when nothing is.
func Read(ctx context.Context, kv Reader, vin codec.VIN) (json.RawMessage, error) {
	var known Known
	key := session.Token(vin.String())
	found := false
	for name, to := range map[string]any{"": &known.State, ".vehicleLogin": &known.Login, ".vehicleLogout": &known.Logout} {
		value, err := kv.Get(ctx, key+name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(value, to); err != nil {
			return nil, fmt.Errorf("last: key %s: %w", key+name, err)
		}
		found = true
	}
	if !found {
		return nil, fmt.Errorf("nothing was stored of vehicle %s: %w", vin, fs.ErrNotExist)
	}
	return json.Marshal(known)
}
