//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/program"
)

// TestRun is everything, shortly: the gateway, the vehicles, signed calls, the page. One core will do to see that it works.
func TestRun(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "..", "..")) // the root, where it is called
	out := filepath.Join(t.TempDir(), "page.md")
	begin, end := page.Marks("api")
	require.NoError(t, os.WriteFile(out, []byte(begin+end), 0o644))
	var log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-rounds", "1", "-warm", "0s", "-d", "200ms", "-vehicles", "50", "-temp", t.TempDir(), "-out", out}, &log))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Regexp(t, `\| idle vehicles \| [1-9]\d* \| 0 \| `, string(got))
	require.Regexp(t, `\| 10,000 frames/s \| [1-9]\d* \| [1-9]\d* \| `, string(got))
	require.Contains(t, log.String(), "round 1/1  idle vehicles     200 calls, ")
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-rounds", "51"}, {"-d", "1ms"}, {"-vehicles", "0"}, {"-fast"}} {
		require.Error(t, run(t.Context(), args, &bytes.Buffer{}))
	}
}

// TestSign: the vector is one of Alibaba's own SDK (access key testid, secret testsecret).
func TestSign(t *testing.T) {
	require.Equal(t, "yYV5hIqUT2RJXtPCnss+9fZ0Wdc=", sign("testsecret", map[string]string{
		"AccessKeyId": "testid", "Action": "AsyncRRpc", "DeviceName": "LTEST000000000001", "ExtInfo": `{"commandType":128}`, "Format": "JSON",
		"MessageContent": "AQI=", "ProductKey": "a1b2c3d4e5f", "RegionId": "cn-shanghai", "SignatureMethod": "HMAC-SHA1",
		"SignatureNonce": "0182f4c92fb6e1371b203fc97252d62b", "SignatureType": "", "SignatureVersion": "1.0",
		"Timestamp": "2026-11-23T03:32:02Z", "Version": "2018-01-20",
	}))
}

func TestQuantile(t *testing.T) {
	var list []time.Duration
	for i := range 1000 {
		list = append(list, time.Duration(1000-i))
	}
	require.Equal(t, time.Duration(501), quantile(list, .5))
	require.Equal(t, time.Duration(991), quantile(list, .99))
	require.Equal(t, time.Duration(1000), quantile(list, 1))
	require.Zero(t, quantile(nil, .5))
}

func TestVerdict(t *testing.T) {
	r := results{}
	for _, s := range scenarios() {
		r[s.name] = []result{{calls: 1, frame99: s.target - 1}, {calls: 1, frame99: s.target + time.Second}, {calls: 1, frame99: s.target}}
	}
	text := r.text(options{Options: program.Options{Rounds: 3}})
	require.Contains(t, text, "**missed**")
	for _, s := range scenarios() {
		r[s.name] = []result{{calls: 1, frame99: s.target - 1}}
	}
	require.NotContains(t, r.text(options{Options: program.Options{Rounds: 1}}), "missed")
}
