package mqttdevice_test

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

// TestLog: lines about a device name its session; those that anybody can cause go to the logger that may be limited, and one about
// a secret that nobody can read says what to do.
func TestLog(t *testing.T) {
	var log, warn buffer
	kv := memkv.New()
	b := newBench(t, kv, "n1", func(o *mqttdevice.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Warn = slog.New(slog.NewTextHandler(&warn, nil))
	})
	b.register(t, "D001", "D002")
	d := b.connect(t, "D001")
	b.eventually(t, &b.presence, "D001 online login")
	v, _ := b.devices.Lookup(product, "D001")
	require.Regexp(t, `^[0-9a-f]{16}$`, v.Session)
	about := ` productKey=` + product + ` deviceName=D001 session=` + v.Session + ` `
	require.Equal(t, byte(0x80), d.subscribe(t, "/"+product+"/D002/user/get", 1))
	require.Contains(t, log.String(), `msg="an MQTT device may not use a topic"`+about)
	require.Contains(t, log.String(), `msg="MQTT device online"`+about)
	b.mu.Lock()
	b.storeErr = errors.New("full")
	b.mu.Unlock()
	d.Publish("/"+product+"/D001/user/update", 1, false, "x")
	d.isLost(t)
	require.Contains(t, warn.String(), `level=ERROR msg="a message of an MQTT device is not stored and not acknowledged"`+about)

	b.secrets["D003"] = "0123456789abcdef"
	_, err := b.dial(t, "D003", func(*paho.ClientOptions) {})
	require.Error(t, err)
	require.Regexp(t, `level=WARN msg="MQTT device refused" productKey=`+product+` deviceName=D003 remote=\S+ reason=notRegistered\n`, warn.String())

	box, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	require.NoError(t, err)
	foreign, err := mqttdevice.OpenDevices(t.Context(), kv, box, nil)
	require.NoError(t, err)
	defer foreign.Close()
	c := newBench(t, memkv.New(), "n2", func(o *mqttdevice.Options) {
		o.Devices, o.Warn = foreign, slog.New(slog.NewTextHandler(&warn, nil))
	})
	c.secrets = b.secrets
	_, err = c.dial(t, "D002", func(*paho.ClientOptions) {})
	require.ErrorContains(t, err, "not Authorized")
	require.Regexp(t, `level=ERROR msg="an MQTT device cannot sign in: its secret was sealed with another seal key" productKey=`+
		product+` deviceName=D002 remote=\S+ reason=sealKey remedy="put that key back .*, or delete the device and create it again"\n`, warn.String())
	require.EqualValues(t, 1, c.Stats().Refused["sealKey"])
}

// buffer is written by connections while the test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
