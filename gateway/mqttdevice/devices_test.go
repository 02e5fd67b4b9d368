package mqttdevice

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func openDevices(t *testing.T, kv session.KV) *Devices {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	require.NoError(t, err)
	d, err := OpenDevices(t.Context(), kv, box, nil)
	require.NoError(t, err)
	return d
}

// TestDevicesAtOnce: of two who register a device, or change it, at the same time one is the later one.
func TestDevicesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		d := openDevices(t, kv)
		defer d.Close()
		kv.Delay(time.Second)
		var wg sync.WaitGroup
		var errs [2]error
		for i := range errs {
			wg.Go(func() { _, errs[i] = d.Register(t.Context(), "p1", "device1", "") })
		}
		wg.Wait()
		require.ErrorIs(t, errors.Join(errs[:]...), ErrRegistered, "both got a secret")
		require.Contains(t, errs, nil)

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wg.Go(func() { require.NoError(t, d.Disable(t.Context(), "p1", "device1", true)) })
		synctest.Wait()
		require.ErrorIs(t, d.Disable(ctx, "p1", "device1", false), context.DeadlineExceeded)
		wg.Wait()
		require.NoError(t, d.Delete(t.Context(), "p1", "device1"))
		require.ErrorIs(t, d.Disable(t.Context(), "p1", "device1", false), ErrNotRegistered)
	})
}

// lateAnswers is a store whose answer to the deletion of a registration does not come before the watch has told of it and the
// caller has gone.
type lateAnswers struct{ *memkv.KV }

func (s lateAnswers) Delete(ctx context.Context, key string) error {
	if err := s.KV.Delete(ctx, key); err != nil || strings.HasSuffix(key, lastSuffix) {
		return err
	}
	synctest.Wait()
	return context.Canceled
}

func TestDeviceDeletedWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		d := openDevices(t, lateAnswers{kv})
		defer d.Close()
		_, err := d.Register(t.Context(), "p1", "device1", "")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, d.Delete(t.Context(), "p1", "device1"), "the watch has said so")
		require.Empty(t, kv.Keys())
		_, there := d.Lookup("p1", "device1")
		require.False(t, there, "deleted in the store, and lets the device in")
	})
}

// TestDeviceNotDeleted: a deletion that fails changes nothing; the device is where it was.
func TestDeviceNotDeleted(t *testing.T) {
	kv, away := memkv.New(), errors.New("away")
	d := openDevices(t, kv)
	defer d.Close()
	_, err := d.Register(t.Context(), "p1", "device1", "")
	require.NoError(t, err)
	d.note(PresenceEvent{ProductKey: "p1", DeviceName: "device1", Session: "00c0ffee00c0ffee", Online: true, At: time.Now()})
	before, _ := d.Lookup("p1", "device1")
	require.True(t, before.Online())
	kv.Fail(away)
	require.ErrorIs(t, d.Delete(t.Context(), "p1", "device1"), away)
	after, there := d.Lookup("p1", "device1")
	require.True(t, there)
	require.Equal(t, before, after)
}
