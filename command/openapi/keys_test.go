package openapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func newBox(t *testing.T, fill byte) *seal.Box {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{fill}, 32))
	require.NoError(t, err)
	return box
}

func openKeys(t *testing.T, kv *memkv.KV, box *seal.Box, static ...openapi.Key) *openapi.KeyStore {
	t.Helper()
	keys, err := openapi.OpenKeys(context.Background(), kv, box, static, nil)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	return keys
}

func TestKeysLiveInTheBucket(t *testing.T) {
	ctx, kv, box := context.Background(), memkv.New(), newBox(t, 1)
	keys := openKeys(t, kv, box)
	made, err := keys.Create(ctx, openapi.NewKey{})
	require.NoError(t, err)
	require.Regexp(t, `^tbg[A-Za-z0-9]{20}$`, made.ID)
	require.Regexp(t, `^[A-Za-z0-9]{40}$`, made.Secret)
	given, err := keys.Create(ctx, openapi.NewKey{ID: "my-key", Secret: "my-secret-1"})
	require.NoError(t, err)
	require.Equal(t, openapi.Key{ID: "my-key", Secret: "my-secret-1"}, given)

	found, ok := keys.Lookup(made.ID)
	require.True(t, ok)
	require.Equal(t, made, found)
	for _, name := range kv.Keys() {
		value, err := kv.Get(ctx, name)
		require.NoError(t, err)
		require.NotContains(t, string(value), "my-secret-1", "sealed")
		require.NotContains(t, string(value), made.Secret)
	}

	second := openKeys(t, kv, box)
	found, ok = second.Lookup("my-key")
	require.True(t, ok, "another node, or after a restart")
	require.Equal(t, "my-secret-1", found.Secret)

	require.NoError(t, keys.Delete(ctx, "my-key"))
	_, ok = keys.Lookup("my-key")
	require.False(t, ok, "revoked at once")
	require.Eventually(t, func() bool { _, ok := second.Lookup("my-key"); return !ok }, time.Minute, time.Millisecond)

	list := second.List()
	require.Len(t, list, 1)
	require.Equal(t, made.ID, list[0].ID)
	require.WithinDuration(t, time.Now(), list[0].CreatedAt.Time, time.Minute)
	require.NotContains(t, fmt.Sprintf("%+v", list), made.Secret)
}

func TestStaticKeys(t *testing.T) {
	ctx, kv, box := context.Background(), memkv.New(), newBox(t, 1)
	first := openKeys(t, kv, box)
	_, err := first.Create(ctx, openapi.NewKey{ID: "testid", Secret: "stored-secret"})
	require.NoError(t, err)
	keys := openKeys(t, kv, box, openapi.Key{ID: "testid", Secret: "test:secret"}, openapi.Key{ID: "other", Secret: "12345678"})
	found, ok := keys.Lookup("testid")
	require.True(t, ok)
	require.Equal(t, "test:secret", found.Secret, "a static key goes before a stored one")
	require.ErrorIs(t, keys.Delete(ctx, "testid"), openapi.ErrKeyStatic)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "other"})
	require.ErrorIs(t, err, openapi.ErrKeyExists)
	require.Equal(t, []openapi.KeyInfo{{ID: "other", Static: true}, {ID: "testid", Static: true}}, keys.List())
	require.Len(t, kv.Keys(), 1, "never stored")
}

func TestKeyErrors(t *testing.T) {
	ctx, kv, box := context.Background(), memkv.New(), newBox(t, 1)
	for _, static := range []openapi.Key{{}, {ID: "id"}, {Secret: "secret12"}, {ID: "id", Secret: "short"}, {ID: "i d", Secret: "secret12"},
		{ID: ".id", Secret: "secret12"}, {ID: "i..d", Secret: "secret12"}, {ID: "id", Secret: "secret 12"}} {
		_, err := openapi.OpenKeys(ctx, kv, box, []openapi.Key{static}, nil)
		require.ErrorIs(t, err, openapi.ErrKeyFormat, "%q", static)
		require.NotContains(t, err.Error(), "secret12")
	}
	_, err := openapi.OpenKeys(ctx, kv, box, []openapi.Key{{ID: "id", Secret: "12345678"}, {ID: "id", Secret: "87654321"}}, nil)
	require.ErrorIs(t, err, openapi.ErrKeyExists)

	keys := openKeys(t, kv, box)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "bad id"})
	require.ErrorIs(t, err, openapi.ErrKeyFormat)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "id", Secret: "short"})
	require.ErrorIs(t, err, openapi.ErrKeyFormat)
	require.ErrorIs(t, keys.Delete(ctx, "id"), openapi.ErrKeyNotFound)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "id"})
	require.NoError(t, err)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "id"})
	require.ErrorIs(t, err, openapi.ErrKeyExists)
	var keyErr *openapi.KeyError
	require.ErrorAs(t, err, &keyErr)
	require.Equal(t, "id", keyErr.ID)

	away := errors.New("store away")
	kv.Fail(away)
	_, err = keys.Create(ctx, openapi.NewKey{ID: "second"})
	require.ErrorIs(t, err, away)
	_, ok := keys.Lookup("second")
	require.False(t, ok)
	require.ErrorIs(t, keys.Delete(ctx, "id"), away)
	_, ok = keys.Lookup("id")
	require.False(t, ok, "revoked although the store is away")
	kv.Fail(nil)
	require.NoError(t, keys.Delete(ctx, "id"))
	require.Empty(t, kv.Keys())
}

func TestKeysUnderAnotherSealKey(t *testing.T) {
	ctx, kv := context.Background(), memkv.New()
	made, err := openKeys(t, kv, newBox(t, 1)).Create(ctx, openapi.NewKey{})
	require.NoError(t, err)
	require.NoError(t, kv.Put(ctx, "junk", []byte("{")))
	keys := openKeys(t, kv, newBox(t, 2))
	_, ok := keys.Lookup(made.ID)
	require.False(t, ok)
	list := keys.List()
	require.Len(t, list, 1)
	require.True(t, list[0].Unreadable)
	require.NoError(t, keys.Delete(ctx, made.ID))
}

func TestKeyHidesItsSecret(t *testing.T) {
	key := openapi.Key{ID: "testid", Secret: "testsecret"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", key)
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s", key, key, key, key), log.String()} {
		require.Contains(t, text, "testid")
		require.NotContains(t, text, "testsecret")
	}
}
