//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/load"
)

// TestRun is the program with a server that answers success to everything.
func TestRun(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				in := codec.NewReader(c, 0)
				for f, err := in.ReadFrame(); err == nil; f, err = in.ReadFrame() {
					_, _ = c.Write(codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes()))
				}
				_ = c.Close()
			}()
		}
	}()
	args := []string{"-addr", l.Addr().String(), "-frame", filepath.Join("..", "..", "..", "..", "codec", "testdata", "bench", "realtime.bin"),
		"-c", "2", "-warm", "0s", "-d", "50ms", "-runs", "2", "-bcc"}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), append(args, "-label", "x/P"), &out))
	require.Regexp(t, `^x/P\tframes/s median=[1-9].* wrong=0 refused=0 closed=0 of 2\n$`, out.String())

	out.Reset()
	require.NoError(t, run(t.Context(), append(args, "-json"), &out))
	var r load.Result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Len(t, r.Rates, 2)
	require.Positive(t, r.Rate)
}

func TestArguments(t *testing.T) {
	for text, args := range map[string][]string{
		"-mode":       {"-mode", "probe"},
		"-addr":       {"-addr", "here"},
		"-platform":   {"-platform", "user"},
		"no such":     {"-frame", "nowhere.bin"},
		"127.x.x.x":   {"-mode", "idle", "-addr", "192.0.2.1:1"},
		"not defined": {"-fast"},
	} {
		require.ErrorContains(t, run(t.Context(), args, &bytes.Buffer{}), text)
	}
}
