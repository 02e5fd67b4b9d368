//go:build linux

package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func frame(t *testing.T, unit int) []byte {
	t.Helper()
	f, err := codec.AppendFrame(nil, codec.Header{
		Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte("LTEST000000000001")), Encryption: codec.EncryptionNone,
	}, make([]byte, unit))
	require.NoError(t, err)
	return f
}

func TestAnswers(t *testing.T) {
	whole := frame(t, 300)
	in := append(append(append([]byte(nil), whole...), frame(t, 0)...), whole[:100]...)
	out, n := answers(nil, in, true)
	require.Equal(t, len(in)-100, n, "the frame that is not whole stays")
	for range 2 {
		f, m, err := codec.Next(out, codec.MaxUnitSize)
		require.NoError(t, err)
		require.Equal(t, codec.FlagSuccess, f.Flag())
		require.Equal(t, codec.CommandRealtime, f.Command())
		require.Equal(t, "LTEST000000000001", f.VIN().String())
		require.Empty(t, f.Unit())
		out = out[m:]
	}
	require.Empty(t, out)
}

func TestNoFrame(t *testing.T) {
	_, n := answers(nil, make([]byte, 25), false)
	require.Equal(t, -1, n)
	bad := frame(t, 10)
	bad[len(bad)-1] ^= 1
	_, n = answers(nil, bad, false)
	require.Equal(t, len(bad), n, "the check byte is looked at only when asked")
	_, n = answers(nil, bad, true)
	require.Equal(t, -1, n)
}

// TestServer talks to the running loop: one frame in two pieces, one answer.
func TestServer(t *testing.T) {
	r, w := io.Pipe()
	s := &stoppable{server: server{stdout: w}, booted: make(chan gnet.Engine, 1)}
	ended := make(chan error, 1)
	go func() { ended <- gnet.Run(s, "tcp4://127.0.0.1:0") }()
	line := make([]byte, 100)
	n, err := r.Read(line)
	require.NoError(t, err)
	addr, ok := strings.CutPrefix(strings.TrimSpace(string(line[:n])), "floor listens on ")
	require.True(t, ok, "%q", line[:n])

	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	f := frame(t, 200)
	_, err = c.Write(f[:60])
	require.NoError(t, err)
	time.Sleep(10 * time.Millisecond)
	_, err = c.Write(f[60:])
	require.NoError(t, err)
	answer := make([]byte, codec.MinFrameSize)
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
	_, err = codec.ParseFrame(answer)
	require.NoError(t, err)
	require.NoError(t, c.Close())

	require.NoError(t, (<-s.booted).Stop(t.Context()))
	require.NoError(t, <-ended)
}

// stoppable hands the engine out, so that the test can end it.
type stoppable struct {
	server
	booted chan gnet.Engine
}

func (s *stoppable) OnBoot(e gnet.Engine) gnet.Action {
	defer func() { s.booted <- e }()
	return s.server.OnBoot(e)
}
