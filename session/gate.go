package session

import (
	"cmp"
	"errors"
	"log/slog"

	"github.com/tboxgate/tboxgate/codec"
)

// The reasons of a Refusal.
const (
	RefusedEmpty            = "emptyIdentifier"  // the frame's identifier is only padding
	RefusedNotRegistered    = "notRegistered"    // the VIN is in no product
	RefusedDisabled         = "disabled"         // the device is disabled
	RefusedProduct          = "productUnknown"   // the VIN is in a product that is configured no more, or not for vehicles
	RefusedFull             = "registryFull"     // the VIN could not register itself, there are too many devices
	RefusedPlatformUnknown  = "platformUnknown"  // no platform has this code
	RefusedPlatformPassword = "platformPassword" // user name or password is wrong
	RefusedSealKey          = "sealKey"          // what it logs in with was sealed with another seal key
)

// Refusal says why a login is refused. Refusals are shared: do not change them.
type Refusal struct {
	Reason string // one of the Refused constants: for logs and metric labels
}

// String returns the reason.
func (r *Refusal) String() string { return r.Reason }

// Flag is the flag of the answer to the refused login: in the 2025 edition 0x04 for a VIN that is not
// registered, or in no product that vehicles may log in to, else 0x02.
func (r *Refusal) Flag(edition codec.Edition) codec.Flag {
	if edition == codec.Edition2025 && (r.Reason == RefusedNotRegistered || r.Reason == RefusedProduct) {
		return codec.FlagVINUnknown
	}
	return codec.FlagError
}

// Refusals are made once: a flood of logins must not become a flood of garbage.
var (
	refusedEmpty            = &Refusal{RefusedEmpty}
	refusedNotRegistered    = &Refusal{RefusedNotRegistered}
	refusedDisabled         = &Refusal{RefusedDisabled}
	refusedFull             = &Refusal{RefusedFull}
	refusedProduct          = &Refusal{RefusedProduct}
	refusedPlatformUnknown  = &Refusal{RefusedPlatformUnknown}
	refusedPlatformPassword = &Refusal{RefusedPlatformPassword}
	refusedSealKey          = &Refusal{RefusedSealKey}
)

// Gate holds the login rules. Its methods look at memory only, never block, and may run on an event
// loop. Fill it in and then leave it unchanged.
type Gate struct {
	Registry  *Registry
	Platforms *Platforms

	// Products are the keys of the products whose vehicles may log in; nil for all.
	Products map[string]bool
	// OpenProduct is the product in which the first login of an unknown VIN registers it; "" for
	// none: then only registered VINs may log in.
	OpenProduct string
	// OpenLimit is the number of devices from which on OpenProduct takes no more, so that a flood
	// of invented VINs cannot fill the memory; 1,000,000 if 0.
	OpenLimit int
	// OpenPlatforms lets platforms log in whose code is not known, with any credentials. Those of
	// known ones are checked all the same.
	OpenPlatforms bool

	// Logger is told of VINs that register themselves (debug); nil for none.
	Logger *slog.Logger
}

// Vehicle decides on the login of a vehicle: over its own link (platform is ""), or relayed by the
// platform with the given code, which by then has logged in itself. It returns the vehicle's
// product, or a refusal.
func (g *Gate) Vehicle(vin codec.VIN, platform string) (productKey string, refusal *Refusal) {
	if vin.IsZero() {
		return "", refusedEmpty
	}
	rec, known := g.Registry.find(vin)
	switch {
	case known && rec.disabled:
		return "", refusedDisabled
	case known:
		productKey = g.Registry.names.text(rec.product)
		if g.Products != nil && !g.Products[productKey] {
			return "", refusedProduct
		}
		return productKey, nil
	case g.OpenProduct == "":
		return "", refusedNotRegistered
	case g.Registry.Len() >= cmp.Or(g.OpenLimit, 1_000_000):
		return "", refusedFull
	}
	g.Registry.RegisterAsync(g.OpenProduct, vin)
	if g.Logger != nil {
		g.Logger.Debug("vehicle registered by its first login", "vin", vin.String(), "platform", platform, "productKey", g.OpenProduct)
	}
	return g.OpenProduct, nil
}

// Platform decides on a platform login (0x05): code is the identifier of the frame's header, user
// and password are the fields of its data unit, padded or not.
func (g *Gate) Platform(code, user, password []byte) *Refusal {
	if codec.MakeVIN(code).IsZero() {
		return refusedEmpty
	}
	err := g.Platforms.Verify(code, user, password)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrPlatformSealed):
		return refusedSealKey
	case !errors.Is(err, ErrPlatformUnknown):
		return refusedPlatformPassword
	case g.OpenPlatforms:
		return nil
	}
	return refusedPlatformUnknown
}
