package openapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// gateways are two with the same access keys, which tell each other which calls were made.
func gateways(t *testing.T) (one, two *api, shared *memkv.KV) {
	shared = memkv.New()
	common := func(o *openapi.Options) { o.SharedNonces = shared }
	one, two = newAPI(t, common), newAPI(t, common)
	two.nonce = 1000 // nonces of its own
	return one, two, shared
}

// signedOnce is a signed call that can be sent again and again.
func (a *api) signedOnce(change map[string]string) func(to *api) answer {
	query := encode(a.params(http.MethodGet, change))
	return func(to *api) answer { return to.do(httptest.NewRequest(http.MethodGet, "/?"+query, nil)) }
}

// TestCallAtAnotherGateway: a call that does something is made once, at whichever gateway it comes first, and even if it was refused
// there. A call that only tells may be repeated at another one.
func TestCallAtAnotherGateway(t *testing.T) {
	one, two, shared := gateways(t)
	for action, params := range map[string]map[string]string{
		"AsyncRRpc":                {},
		"RRpc":                     {"RequestBase64Byte": "GgsXCx4AAQI=", "Timeout": "1000"},
		"BatchImportVehicleDevice": {"DeviceList.1.DeviceName": "LTEST000000000009"},
		"DeleteDevice":             {},
	} {
		params["Action"] = action
		one.commands.sendErr = command.ErrOffline
		call := one.signedOnce(params)
		require.NotEqual(t, "SignatureNonceUsed", code(call(one)), action)
		require.Equal(t, "SignatureNonceUsed", code(call(two)), action)
		require.Equal(t, "SignatureNonceUsed", code(call(one)), action)
	}
	require.Zero(t, two.commands.sent)
	require.Len(t, shared.Keys(), 4)
	require.NotContains(t, shared.Keys()[0], "nonce", "hashes")

	require.Empty(t, code(two.call(nil)), "another call")
	require.Equal(t, 1, two.commands.sent)
	read := one.signedOnce(map[string]string{"Action": "GetDeviceStatus"})
	require.Empty(t, code(read(one)))
	require.Empty(t, code(read(two)))
	require.Equal(t, "SignatureNonceUsed", code(read(two)))
	require.Equal(t, "SignatureDoesNotMatch", code(one.call(map[string]string{"secret": "wrong"})))
	require.Len(t, shared.Keys(), 5)
}

// TestSharedNoncesAway: while nobody can tell whether a call was made at another gateway it is refused, and nothing is sent.
func TestSharedNoncesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _, shared := gateways(t)
		refused := func() {
			t.Helper()
			got := one.call(nil)
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.Equal(t, "ServiceUnavailable", code(got))
			require.Zero(t, one.commands.sent)
		}
		shared.Fail(errors.New("away"))
		refused()
		require.Empty(t, code(one.call(map[string]string{"Action": "GetDeviceStatus"})))
		shared.Fail(nil)
		shared.Delay(time.Hour)
		refused()
		shared.Delay(0)
		require.Empty(t, code(one.call(nil)))
		require.Equal(t, 1, one.commands.sent)
	})
}
