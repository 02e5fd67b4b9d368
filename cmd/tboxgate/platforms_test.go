package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// platformLink connects, logs the platform in and returns the link with the flag of the answer.
func platformLink(t *testing.T, address, code, user, password string) (net.Conn, *codec.Reader, codec.Flag) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	unit := append(codec.AppendTime(nil, time.Now()), 0, 1)
	unit = append(unit, make([]byte, 33)...)
	copy(unit[8:], user)
	copy(unit[20:], password)
	unit[40] = 1
	h := codec.Header{Edition: codec.Edition2016, Command: codec.CommandPlatformLogin, Flag: codec.FlagCommand, Encryption: codec.EncryptionNone}
	copy(h.VIN[:], code)
	frame, err := codec.AppendFrame(nil, h, unit)
	require.NoError(t, err)
	_, err = c.Write(frame)
	require.NoError(t, err)
	r := codec.NewReader(c, 0)
	f, err := r.ReadFrame()
	require.NoError(t, err)
	require.Equal(t, codec.CommandPlatformLogin, f.Command())
	return c, r, f.Flag()
}

// TestPlatformsDelete: deleting a platform, or giving it another password, cuts its connections. Under another seal key it is
// refused, and the log says why.
func TestPlatformsDelete(t *testing.T) {
	dir := dataDir(t)
	g := serve(t, dir)
	create := func(code, password string, more ...string) {
		ok(t, append([]string{"platforms", "create", "--data-dir", dir, "--code", code, "--user", "user", "--password", password}, more...)...)
	}
	ended := func(c net.Conn, r *codec.Reader) {
		t.Helper()
		_, err := r.ReadFrame()
		require.EqualError(t, err, "EOF")
		require.NoError(t, c.Close())
	}
	address := g.Addresses.Vehicles[0]
	create("PLATFORM1", "first")
	create("PLATFORM2", "secret")
	c, one, flag := platformLink(t, address, "PLATFORM1", "user", "first")
	require.Equal(t, codec.FlagSuccess, flag)
	create("PLATFORM1", "second", "--replace")
	ended(c, one)
	c, one, flag = platformLink(t, address, "PLATFORM1", "user", "second")
	require.Equal(t, codec.FlagSuccess, flag)
	ok(t, "platforms", "delete", "--data-dir", dir, "PLATFORM1")
	ended(c, one)
	c, one, flag = platformLink(t, address, "PLATFORM1", "user", "second")
	require.Equal(t, codec.FlagError, flag)
	ended(c, one)
	require.Eventually(t, func() bool {
		return strings.Count(g.stderr.String(), `"msg":"connections of a platform closed: it was deleted, or its user name or password changed","platform":"PLATFORM1","connections":1}`) == 2
	}, patience, 20*time.Millisecond)

	accessKey, _, _ := strings.Cut(ok(t, "keys", "create", "--data-dir", dir, "--id", "testkey"), "\n")
	require.NotEmpty(t, accessKey)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, g.exit(t), g.stderr.String())
	t.Setenv("TBOXGATE_SEAL_KEY", strings.Repeat("ab", 32))
	g = serve(t, dir)
	c, one, flag = platformLink(t, g.Addresses.Vehicles[0], "PLATFORM2", "user", "secret")
	require.Equal(t, codec.FlagError, flag)
	ended(c, one)
	require.EventuallyWithT(t, func(t *assert.CollectT) { // the pipe from the process takes a moment
		log := g.stderr.String()
		assert.Regexp(t, `"level":"ERROR","msg":"an access key does not work: its secret was sealed with another seal key","accessKeyId":"testkey","remedy":"put`, log)
		assert.Regexp(t, `"level":"ERROR","msg":"the platform cannot log in: its password was sealed with another seal key","platform":"PLATFORM2","remedy":"put`, log)
		assert.Regexp(t, `"level":"ERROR","msg":"login refused: the platform's password was sealed with another seal key","remote":"[^"]+","platform":"PLATFORM2","kind":"platform","reason":"sealKey","remedy":"put`, log)
	}, patience, 20*time.Millisecond)
	require.Contains(t, ok(t, "keys", "list", "--data-dir", dir), "does not work: sealed with another seal key; put that key back and restart, or delete and create it again")
}
