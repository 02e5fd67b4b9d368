package codec

import (
	"errors"
	"fmt"
)

// VINSize is the width of the identifier field in a frame's header, in bytes.
const VINSize = 17

// ErrVIN is the kind of error that ParseVIN returns.
var ErrVIN = errors.New("codec: bad VIN")

// VIN is the 17-byte identifier of a frame's header: a vehicle's VIN (GB 16735), a platform's
// unique code, or whatever id a fleet chose. It is normalised: trailing 0x00 and spaces are 0x00,
// so that equal vehicles compare equal and VIN can be a map key. Case and alphabet are kept as
// they are. The bytes to answer with are those of [Frame.RawVIN].
type VIN [VINSize]byte

// MakeVIN normalises the identifier bytes of a frame. Of more than 17 bytes it takes the first 17,
// fewer are padded.
func MakeVIN(raw []byte) VIN {
	var v VIN
	copy(v[:], raw)
	for i := VINSize - 1; i >= 0 && (v[i] == 0 || v[i] == ' '); i-- {
		v[i] = 0
	}
	return v
}

// ParseVIN returns the VIN with the text s: 1 to 17 bytes that are not all padding. The error is
// ErrVIN.
func ParseVIN(s string) (VIN, error) {
	if len(s) == 0 || len(s) > VINSize {
		return VIN{}, fmt.Errorf("%w: %q has %d bytes, want 1 to %d", ErrVIN, s, len(s), VINSize)
	}
	v := MakeVIN([]byte(s))
	if v.IsZero() {
		return VIN{}, fmt.Errorf("%w: %q is only padding", ErrVIN, s)
	}
	return v, nil
}

// String returns the identifier without its padding.
func (v VIN) String() string {
	n := VINSize
	for n > 0 && v[n-1] == 0 {
		n--
	}
	return string(v[:n])
}

// IsZero reports whether the identifier is empty: only padding.
func (v VIN) IsZero() bool { return v == VIN{} }
