package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
)

func TestGateVehicle(t *testing.T) {
	kv := memkv.New()
	r := openRegistry(t, kv, RegistryOptions{})
	defer closeRegistry(t, r)
	mustRegister(t, r, "KNOWN", "DISABLED")
	require.NoError(t, r.Disable(t.Context(), "p", vin(t, "DISABLED"), true))
	var log bytes.Buffer
	closed := &Gate{Registry: r}
	open := &Gate{Registry: r, OpenProduct: "dev", OpenLimit: 3, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	some := &Gate{Registry: r, Products: map[string]bool{"dev": true}, OpenProduct: "dev"}
	for _, c := range []struct {
		name     string
		gate     *Gate
		vin      string
		platform string
		product  string
		refused  string
	}{
		{"registered", closed, "KNOWN", "", "p", ""},
		{"registered, relayed", closed, "KNOWN", "P1", "p", ""},
		{"disabled", closed, "DISABLED", "", "", RefusedDisabled},
		{"not registered", closed, "NEW1", "", "", RefusedNotRegistered},
		{"not registered, relayed", closed, "NEW1", "P1", "", RefusedNotRegistered},
		{"empty", closed, "", "", "", RefusedEmpty},
		{"open: registered keeps its product", open, "KNOWN", "", "p", ""},
		{"open: disabled all the same", open, "DISABLED", "", "", RefusedDisabled},
		{"open: empty all the same", open, "", "", "", RefusedEmpty},
		{"open: registers", open, "NEW1", "P1", "dev", ""},
		{"open: again", open, "NEW1", "", "dev", ""},
		{"open: full", open, "NEW2", "", "", RefusedFull},
		{"closed: registered by the open one", closed, "NEW1", "", "dev", ""},
		{"of a product that is not served", some, "KNOWN", "", "", RefusedProduct},
		{"of one that is", some, "NEW1", "", "dev", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			product, refusal := c.gate.Vehicle(codec.MakeVIN([]byte(c.vin)), c.platform)
			require.Equal(t, c.product, product)
			if c.refused == "" {
				require.Nil(t, refusal)
				return
			}
			require.NotNil(t, refusal)
			require.Equal(t, c.refused, refusal.Reason)
		})
	}
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("vin=NEW1 platform=P1 productKey=dev")))
	d, known := r.Lookup(vin(t, "NEW1"))
	require.True(t, known)
	require.Equal(t, "dev", d.ProductKey)
	result, err := r.Register(t.Context(), "dev", []string{"NEW1"})
	require.NoError(t, err)
	require.Equal(t, AlreadyRegistered, result.Items[0].Status)
	require.Contains(t, kv.Keys(), "dev.NEW1", "written in the background; Register has waited for it")
}

// The store being away keeps nobody from logging in.
func TestGateOpenNeverBlocks(t *testing.T) {
	kv := memkv.New()
	r := openRegistry(t, kv, RegistryOptions{})
	kv.Fail(errors.New("away"))
	gate := &Gate{Registry: r, OpenProduct: "dev"}
	for i := range 1000 {
		product, refusal := gate.Vehicle(vin(t, fmt.Sprint("V", i)), "")
		require.Nil(t, refusal)
		require.Equal(t, "dev", product)
	}
	require.Equal(t, 1000, r.Len())
	require.Equal(t, 1000, r.Backlog())
	kv.Fail(nil)
	require.NoError(t, r.Close(context.Background()))
	require.Len(t, kv.Keys(), 1000)
}

func TestGatePlatform(t *testing.T) {
	kv := memkv.New()
	p := openPlatforms(t, kv)
	defer p.Close()
	require.NoError(t, p.Create(t.Context(), "P1", "user", "password", false))
	foreign, err := OpenPlatforms(t.Context(), kv, testBox(t, 2), PlatformsOptions{})
	require.NoError(t, err)
	defer foreign.Close()
	closed, open := &Gate{Platforms: p}, &Gate{Platforms: p, OpenPlatforms: true}
	for _, c := range []struct {
		name                 string
		gate                 *Gate
		code, user, password string
		refused              string
	}{
		{"right", closed, "P1", "user", "password", ""},
		{"wrong password", closed, "P1", "user", "passw0rd", RefusedPlatformPassword},
		{"sealed with another key", &Gate{Platforms: foreign, OpenPlatforms: true}, "P1", "user", "password", RefusedSealKey},
		{"unknown", closed, "P2", "user", "password", RefusedPlatformUnknown},
		{"empty", closed, "", "user", "password", RefusedEmpty},
		{"open: right", open, "P1", "user", "password", ""},
		{"open: wrong password of a known one", open, "P1", "user", "passw0rd", RefusedPlatformPassword},
		{"open: unknown", open, "P2", "", "", ""},
		{"open: empty", open, "", "", "", RefusedEmpty},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusal := c.gate.Platform(padded(c.code, 17), padded(c.user, 12), padded(c.password, 20))
			if c.refused == "" {
				require.Nil(t, refusal)
				return
			}
			require.NotNil(t, refusal)
			require.Equal(t, c.refused, refusal.Reason)
		})
	}
}

func TestRefusalFlag(t *testing.T) {
	for _, reason := range []string{
		RefusedEmpty, RefusedNotRegistered, RefusedDisabled, RefusedFull, RefusedPlatformUnknown, RefusedPlatformPassword,
	} {
		r := &Refusal{Reason: reason}
		require.Equal(t, codec.FlagError, r.Flag(codec.Edition2016), reason)
		want := codec.FlagError
		if reason == RefusedNotRegistered {
			want = codec.FlagVINUnknown
		}
		require.Equal(t, want, r.Flag(codec.Edition2025), reason)
		require.Equal(t, reason, r.String())
	}
}
