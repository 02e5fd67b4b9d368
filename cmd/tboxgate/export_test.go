package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/admin"
)

// storedLine is a frame as a gateway tells it.
const storedLine = `{"v":1,"edition":2016,"command":"realtime","flag":"command","vin":"LTEST000000000001","encryption":"none",` +
	`"time":"2026-03-04T13:06:07+08:00","info":[{"type":"engine","state":1,"crankshaftSpeed":3000,"fuelConsumption":5.00}],` +
	`"receivedAt":"2026-03-04T05:06:07.089Z","node":"gw1","session":"00c0ffee00c0ffee","remote":"192.0.2.7:50123"}` + "\n"

// halfStore tells some frames of its store, says so, and goes on as end says.
func halfStore(t *testing.T, frames int, end func(w http.ResponseWriter, r *http.Request)) (url string, told <-chan struct{}) {
	t.Helper()
	done := make(chan struct{}, 16)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(admin.Status{ProductKey: "gbt32960"})
	})
	mux.HandleFunc("GET /v1/frames", func(w http.ResponseWriter, r *http.Request) {
		for range frames {
			_, _ = io.WriteString(w, storedLine)
		}
		_ = http.NewResponseController(w).Flush()
		done <- struct{}{}
		end(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, done
}

// TestExportInterrupted: a file of an export is whole, or is what it was before. Done again it is whole.
func TestExportInterrupted(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hanging, told := halfStore(t, 3, hang)
	broken, _ := halfStore(t, 3, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	whole, _ := halfStore(t, 3, func(http.ResponseWriter, *http.Request) {})
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "out")
		require.NoError(t, os.WriteFile(file, []byte("of yesterday"), 0o600))
		args := func(url string) []string {
			return []string{"export", "--addr", url, "--token", "t", "--format", format, "--output", file}
		}
		untouched := func() {
			t.Helper()
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "something is left behind")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, "of yesterday", string(text))
		}
		p := start(t, args(hanging)...)
		<-told
		require.Eventually(t, func() bool { // it is at work
			entries, err := os.ReadDir(dir)
			return err == nil && len(entries) == 2
		}, patience, 5*time.Millisecond)
		require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
		require.Equal(t, 1, p.exit(t))
		require.Regexp(t, `^tboxgate: export: interrupted after \d frames \(signal: interrupt\)\n$`, p.stderr.String())
		untouched()

		code, _, stderr := tboxgate(t, "", args(broken)...) // the gateway dies in the middle
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "unexpected EOF")
		untouched()

		code, _, stderr = tboxgate(t, "", args(whole)...)
		require.Zero(t, code, stderr)
		require.Equal(t, "3 frames exported, 0 left out\n", stderr)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Greater(t, len(text), 100)
		require.NotEqual(t, "of yesterday", string(text))
	}
}

// TestExportToStandardOutput: what stands there is not whole when the command says so, by its status too.
func TestExportToStandardOutput(t *testing.T) {
	endless, _ := halfStore(t, 3, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(storedLine), 100)); err != nil {
				return
			}
		}
	})
	whole, _ := halfStore(t, 3, func(http.ResponseWriter, *http.Request) {})
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		// A reader that has had enough, such as head: the system ends the command.
		cmd := exec.Command(os.Args[0], "export", "--addr", endless, "--token", "t", "--format", format)
		cmd.Env = append(os.Environ(), runMain+"=1")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = io.ReadFull(out, make([]byte, 1000))
		require.NoError(t, err)
		require.NoError(t, out.Close())
		require.Error(t, cmd.Wait())

		// A full disk.
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		cmd = exec.Command(os.Args[0], "export", "--addr", whole, "--token", "t", "--format", format)
		cmd.Env = append(os.Environ(), runMain+"=1")
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &stderr
		require.Error(t, cmd.Run())
		require.Equal(t, 1, cmd.ProcessState.ExitCode())
		require.Contains(t, stderr.String(), "no space left on device")
		require.NotContains(t, stderr.String(), "exported")
		require.NoError(t, full.Close())
	}
}
