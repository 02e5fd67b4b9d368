package openapi_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// withKeys gives the API these access keys, all with the test's secret.
func withKeys(keys ...openapi.Key) func(*openapi.Options) {
	return func(o *openapi.Options) {
		ring := keyring{testKey: {ID: testKey, Secret: testSecret}}
		for _, k := range keys {
			k.Secret = testSecret
			ring[k.ID] = k
		}
		o.Keys = ring
	}
}

// call3 makes a call signed by V3 with everything in the query.
func (a *api) call3(keyID, token, action string, params map[string]string) answer {
	a.t.Helper()
	a.nonce++
	r := httptest.NewRequest(http.MethodPost, "http://gateway/?"+encode(params), nil)
	hash := signature.BodyHash(nil)
	for name, value := range map[string]string{
		"x-acs-action": action, "x-acs-version": "2018-01-20", "x-acs-date": now.Format(signature.TimeFormat),
		"x-acs-signature-nonce": fmt.Sprint("v3-", a.nonce), "x-acs-content-sha256": hash, "x-acs-security-token": token,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	signed := []string{"host"}
	for name := range r.Header {
		signed = append(signed, strings.ToLower(name))
	}
	slices.Sort(signed)
	canonical := signature.Request3{
		Method: http.MethodPost, Path: "/", Query: params, SignedHeaders: signed, BodyHash: hash,
		Header: func(name string) string {
			if name == "host" {
				return r.Host
			}
			return r.Header.Get(name)
		},
	}.CanonicalRequest()
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+keyID+",SignedHeaders="+strings.Join(signed, ";")+",Signature="+signature.Sign3(testSecret, canonical))
	return a.do(r)
}

// A key does what it is made for, and nothing else.
func TestLimitedKeys(t *testing.T) {
	const denied = "iot.common.RamActionPermissionDeny"
	a := newAPI(t, withKeys(
		openapi.Key{ID: "asks", Grant: openapi.Grant{Allow: []openapi.Right{openapi.RightQuery}}},
		openapi.Key{ID: "reads", Grant: openapi.Grant{Allow: []openapi.Right{openapi.RightRead}}},
		openapi.Key{ID: "here", Grant: openapi.Grant{Products: []string{testProduct}}},
		openapi.Key{ID: "there", Grant: openapi.Grant{Products: []string{"otherProduct"}}},
	))
	a.commands.results = map[int64]command.Result{
		1: {MessageID: 1, ProductKey: testProduct, State: command.StateSent, AccessKeyID: "asks"},
		2: {MessageID: 2, ProductKey: testProduct, State: command.StateSent, AccessKeyID: testKey},
	}
	query, set, control := `{"commandType":128}`, `{"commandType":129}`, `{"commandType":130}`
	result := func(id string) map[string]string {
		return map[string]string{"Action": "GetAsyncRRpcResult", "MessageId": id, "ExtInfo": "-", "MessageContent": "-"}
	}
	for _, c := range []struct {
		key    string
		change map[string]string
		code   string
		text   string
	}{
		{testKey, map[string]string{"ExtInfo": control}, "", ""},
		{"asks", map[string]string{"ExtInfo": query}, "", ""},
		{"asks", map[string]string{"ExtInfo": set}, denied, "The access key asks may not do this (set); it may: query."},
		{"asks", map[string]string{"ExtInfo": control}, denied, "The access key asks may not do this (control); it may: query."},
		{"asks", result("1"), "", ""}, // its own
		{"asks", result("2"), denied, "The access key asks may not do this (read); it may: query."},
		{"asks", result("3"), denied, "The access key asks may not do this (read); it may: query."}, // whether there is one is not told
		{"reads", map[string]string{"ExtInfo": query}, denied, "The access key reads may not do this (query); it may: read."},
		{"reads", result("2"), "", ""},
		{"here", map[string]string{"ExtInfo": control}, "", ""},
		{"here", result("2"), "", ""},
		{"there", map[string]string{"ExtInfo": query}, denied, "The access key there may not work with product " + testProduct + "."},
		{"there", result("2"), denied, "The access key there may not work with product " + testProduct + "."},
		{"there", map[string]string{"ProductKey": "nosuch"}, denied, "The access key there may not work with product nosuch."},
	} {
		change := maps.Clone(c.change)
		change["AccessKeyId"] = c.key
		before := a.commands.sent
		got := a.call(change)
		require.Equal(t, 200, got.status, got.body)
		if c.code == "" {
			require.Equal(t, true, got.json["Success"], "%v: %s", change, got.body)
			continue
		}
		require.Equal(t, c.code, got.json["Code"], "%v: %s", change, got.body)
		require.Equal(t, c.text, got.json["ErrorMessage"])
		require.Equal(t, before, a.commands.sent, "nothing is sent")
	}
}

// The settings of a product forbid commands whatever the key may do.
func TestCommandsOfAProduct(t *testing.T) {
	a := newAPI(t, func(o *openapi.Options) {
		o.Products = openapi.NewProducts(openapi.Product{Key: testProduct, Commands: []codec.Command{codec.CommandParamQuery}})
	})
	require.Equal(t, true, a.call(nil).json["Success"])
	got := a.call(map[string]string{"ExtInfo": `{"commandType":130}`})
	require.Equal(t, "iot.common.AuthActionPermissionDeny", got.json["Code"])
	require.Equal(t, "Commands of this kind (control) may not be sent to devices of product "+testProduct+".", got.json["ErrorMessage"])
	require.Equal(t, 1, a.commands.sent)
}

// Security tokens go with temporary keys, under both signatures.
func TestSecurityTokens(t *testing.T) {
	a := newAPI(t, withKeys(
		openapi.Key{ID: "STS.1", SecurityToken: "token-1", ExpiresAt: now.Add(time.Minute)},
		openapi.Key{ID: "STS.2", SecurityToken: "token-2", ExpiresAt: now},
		openapi.Key{ID: "old", ExpiresAt: now.Add(-time.Second)},
	))
	for _, c := range []struct{ key, token, code string }{
		{"STS.1", "token-1", ""},
		{"STS.1", "token-2", "InvalidSecurityToken.MismatchWithAccessKey"},
		{"STS.1", "", "MissingSecurityToken"},
		{"STS.2", "token-2", "InvalidSecurityToken.Expired"},
		{"old", "", "InvalidAccessKeyId.Inactive"},
		{testKey, "token-1", "InvalidSecurityToken.NotSupported"},
		{testKey, "", ""},
	} {
		params := map[string]string{"DeviceName": testVIN, "ExtInfo": `{"commandType":128}`, "MessageContent": "AQI=", "ProductKey": testProduct}
		one := a.call(map[string]string{"AccessKeyId": c.key, "SecurityToken": c.token})
		three := a.call3(c.key, c.token, "AsyncRRpc", params)
		for _, got := range []answer{one, three} {
			if c.code == "" {
				require.Equal(t, true, got.json["Success"], "%v: %s", c, got.body)
				continue
			}
			require.Equal(t, c.code, got.json["Code"], "%v: %s", c, got.body)
			require.Equal(t, 400, got.status)
		}
	}
	require.Equal(t, 4, a.commands.sent)
}

// Where the action may stand: under V3 in the header or, signed as well, in the parameters; under signature 1 in the
// parameters alone.
func TestPlaceOfTheAction(t *testing.T) {
	a, _ := fleetAPI(t)
	params := map[string]string{"ProductKey": testProduct, "DeviceName": "V1"}
	require.Equal(t, true, a.call3(testKey, "", "GetDeviceStatus", params).json["Success"])
	params["Action"], params["Version"] = "GetDeviceStatus", "2018-01-20"
	require.Equal(t, true, a.call3(testKey, "", "", params).json["Success"])
	params["Version"] = "2017-01-01"
	require.Equal(t, true, a.call3(testKey, "", "", params).json["Success"], "the header goes before")
	r := a.request("-", "DeviceName=V1")
	r.Header.Set("x-acs-action", "GetDeviceStatus")
	require.Equal(t, "MissingAction", code(a.do(r)))
}

func TestMakeGrant(t *testing.T) {
	g, err := openapi.MakeGrant([]string{"a", "b", "a"}, []string{"read", "query", "read"})
	require.NoError(t, err)
	require.Equal(t, openapi.Grant{Products: []string{"a", "b"}, Allow: []openapi.Right{"query", "read"}}, g)
	g, err = openapi.MakeGrant(nil, nil)
	require.NoError(t, err)
	require.Zero(t, g)
	_, err = openapi.MakeGrant(nil, []string{"reboot"})
	require.ErrorIs(t, err, openapi.ErrKeyGrant)
	require.ErrorContains(t, err, `"reboot" is not one of query, set, control, publish, read, import`)
	_, err = openapi.MakeGrant([]string{"a.b"}, nil)
	require.ErrorIs(t, err, openapi.ErrKeyGrant)
}

// Limits, the security token and being disabled are kept; disabling works at once, also when the store is away.
func TestKeysAreLimitedAndDisabled(t *testing.T) {
	ctx, kv, box := context.Background(), memkv.New(), newBox(t, 1)
	keys := openKeys(t, kv, box)
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	grant := openapi.Grant{Products: []string{"p1"}, Allow: []openapi.Right{openapi.RightRead}}
	made, err := keys.Create(ctx, openapi.NewKey{Grant: grant, ExpiresAt: until, Temporary: true})
	require.NoError(t, err)
	require.Regexp(t, `^STS\.[A-Za-z0-9]{20}$`, made.ID)
	require.Len(t, made.SecurityToken, 64)
	for _, name := range kv.Keys() {
		value, err := kv.Get(ctx, name)
		require.NoError(t, err)
		require.NotContains(t, string(value), made.SecurityToken, "sealed")
	}
	second := openKeys(t, kv, box)
	found, ok := second.Lookup(made.ID)
	require.True(t, ok)
	require.True(t, until.Equal(found.ExpiresAt))
	found.ExpiresAt = made.ExpiresAt
	require.Equal(t, made, found)

	require.NoError(t, keys.SetDisabled(ctx, made.ID, true))
	found, _ = keys.Lookup(made.ID)
	require.True(t, found.Disabled)
	require.Eventually(t, func() bool { k, _ := second.Lookup(made.ID); return k.Disabled }, time.Minute, time.Millisecond)
	info := second.List()[0]
	require.True(t, info.Disabled && info.Temporary)
	require.Equal(t, grant, openapi.Grant{Products: info.Products, Allow: info.Allow})
	require.NoError(t, keys.SetDisabled(ctx, made.ID, false))
	found, _ = keys.Lookup(made.ID)
	require.False(t, found.Disabled)
	require.Eventually(t, func() bool { k, _ := second.Lookup(made.ID); return !k.Disabled }, time.Minute, time.Millisecond)

	away := errors.New("store away")
	kv.Fail(away)
	require.ErrorIs(t, keys.SetDisabled(ctx, made.ID, true), away)
	found, _ = keys.Lookup(made.ID)
	require.True(t, found.Disabled, "disabled although the store is away")
	kv.Fail(nil)
	require.NoError(t, keys.SetDisabled(ctx, made.ID, true))
	require.True(t, openKeys(t, kv, box).List()[0].Disabled)

	require.ErrorIs(t, keys.SetDisabled(ctx, "nobody", true), openapi.ErrKeyNotFound)
	static := openKeys(t, kv, box, openapi.Key{ID: "static", Secret: "12345678"})
	require.ErrorIs(t, static.SetDisabled(ctx, "static", true), openapi.ErrKeyStatic)
	_, err = keys.Create(ctx, openapi.NewKey{Temporary: true})
	require.ErrorIs(t, err, openapi.ErrKeyGrant)
	_, err = keys.Create(ctx, openapi.NewKey{ExpiresAt: time.Now().Add(-time.Second)})
	require.ErrorIs(t, err, openapi.ErrKeyGrant)
}

// tapped is a bucket whose watch a test can call.
type tapped struct {
	*memkv.KV
	watch func(key string, value []byte)
}

func (k *tapped) Watch(ctx context.Context, fn func(key string, value []byte)) error {
	k.watch = fn
	return k.KV.Watch(ctx, func(string, []byte) {})
}

// An entry as it was before a key was disabled, which the watch brings late or again, does not enable it.
func TestOldEntriesChangeNothing(t *testing.T) {
	ctx, kv := context.Background(), &tapped{KV: memkv.New()}
	keys, err := openapi.OpenKeys(ctx, kv, newBox(t, 1), nil, nil)
	require.NoError(t, err)
	defer keys.Close()
	_, err = keys.Create(ctx, openapi.NewKey{ID: "key"})
	require.NoError(t, err)
	before, err := kv.Get(ctx, "key")
	require.NoError(t, err)
	require.NoError(t, keys.SetDisabled(ctx, "key", true))
	kv.watch("key", before)
	found, ok := keys.Lookup("key")
	require.True(t, ok)
	require.True(t, found.Disabled)
	require.NoError(t, keys.Delete(ctx, "key"))
	kv.watch("key", before)
	_, ok = keys.Lookup("key")
	require.False(t, ok, "nor does it bring a deleted one back")
	kv.watch("key", nil)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "key"})
	require.NoError(t, err, "it may be made anew")
}
