package openapi

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"
)

// sharedTimeout is how long a call waits for the nonces that gateways share.
const sharedTimeout = 5 * time.Second

// useEverywhere marks a nonce, fresh at this gateway, as used at all that share them. When that cannot be done the call is refused: a
// recorded call could otherwise be made again at another gateway while their store is away, and such calls open doors.
func (h *Handler) useEverywhere(ctx context.Context, keyID, nonce string) *frontError {
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	hash := hashNonce(keyID, nonce)
	err := h.o.SharedNonces.Create(ctx, hex.EncodeToString(hash[:]), nil)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errNonceUsed
	case err != nil:
		h.o.Logger.Warn("a call is refused: it cannot be told whether it was made at another gateway", "accessKeyId", keyID, "error", err)
		return errServiceUnavailable
	}
	return nil
}

// acts reports whether an operation does more than tell. Its call costs a write to the nonces that gateways share, before
// anything else: a call that was refused, such as for a vehicle that was offline, may not be made again either.
func acts(action string) bool {
	switch action {
	case "AsyncRRpc", "RRpc", "BatchImportVehicleDevice", "DeleteDevice":
		return true
	}
	return false
}
