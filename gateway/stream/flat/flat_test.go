package flat_test

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream/flat"
)

// lines returns frames of codec/testdata as the gateway stores them.
func lines(t testing.TB) (all [][]byte) {
	t.Helper()
	for _, name := range []string{"2016", "2025"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "codec", "testdata", "frames", name+".jsonl"))
		require.NoError(t, err)
		for _, part := range strings.Split(string(text), `{"hex": "`)[1:] {
			digits, _, _ := strings.Cut(part, `"`)
			b, err := hex.DecodeString(digits)
			require.NoError(t, err)
			f, err := codec.ParseFrame(b)
			if err != nil {
				continue
			}
			var m codec.Message
			m.Decode(f)
			j := m.AppendJSON(nil, codec.JSONOptions{Mask: true})
			all = append(all, fmt.Appendf(nil, `%s,"receivedAt":"2026-03-04T05:06:07.089Z","node":"gw1","session":"00c0ffee00c0ffee","remote":"192.0.2.7:1","duplicate":true}`, j[:len(j)-1]))
		}
	}
	require.Greater(t, len(all), 50)
	return all
}

// splitLine is the frame of the real split pack: its values are known.
func splitLine(t testing.TB) []byte {
	for _, l := range lines(t) {
		if bytes.Contains(l, []byte(`"firstCell":1,`)) && bytes.Contains(l, []byte("LTEST911888860607")) {
			return l
		}
	}
	t.Fatal("no such frame")
	return nil
}

func TestFromJSON(t *testing.T) {
	r, err := flat.FromJSON(splitLine(t))
	require.NoError(t, err)
	require.Equal(t, []any{"LTEST911888860607", int32(2016), "realtime", "command", "gw1", "00c0ffee00c0ffee", "192.0.2.7:1", true, false},
		[]any{r.VIN, r.Edition, r.Command, r.Flag, r.Node, r.Session, r.Remote, r.Duplicate, r.Masked})
	require.Equal(t, "2026-03-04T05:06:07.089Z", r.ReceivedAt.UTC().Format(time.RFC3339Nano))
	require.Equal(t, "2017-09-15T11:45:49Z", r.CollectedAt.UTC().Format(time.RFC3339Nano))
	require.Equal(t, []float64{7408.5, 486.0, -127.3, 86, 117.439078, 33.086520, 3.371, 35, 30},
		[]float64{*r.Mileage, *r.TotalVoltage, *r.TotalCurrent, *r.SOC, *r.Longitude, *r.Latitude, *r.MinCellVoltage, *r.MaxTemperature, *r.MinTemperature})
	require.True(t, *r.PositionValid)
	require.Nil(t, r.MaxCellVoltage, "marked as invalid")
	require.Nil(t, r.CrankshaftSpeed)
	require.Nil(t, r.Platform)
	_, err = flat.FromJSON([]byte("{"))
	require.Error(t, err)
}

func TestTables(t *testing.T) {
	all := lines(t)
	var asCSV, asParquet bytes.Buffer
	writers := []flat.Writer{flat.NewCSV(&asCSV), flat.NewParquet(&asParquet)}
	var want []flat.Row
	for _, l := range all {
		r, err := flat.FromJSON(l)
		require.NoError(t, err, "%s", l)
		want = append(want, r)
		for _, w := range writers {
			require.NoError(t, w.Write(r))
		}
	}
	for _, w := range writers {
		require.NoError(t, w.Close())
	}

	rows, err := parquet.Read[flat.Row](bytes.NewReader(asParquet.Bytes()), int64(asParquet.Len()))
	require.NoError(t, err)
	require.Len(t, rows, len(all))
	table, err := csv.NewReader(&asCSV).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, len(all)+1)
	at := map[string]int{}
	for i, column := range flat.Columns() {
		require.Equal(t, column.Name, table[0][i])
		require.NotEmpty(t, column.Doc)
		at[column.Name] = i
	}
	for i, r := range rows {
		require.Equal(t, string(all[i]), r.JSON)
		require.Equal(t, string(all[i]), table[i+1][at["json"]])
		require.True(t, want[i].ReceivedAt.Equal(*r.ReceivedAt))
		if want[i].CollectedAt == nil {
			require.Nil(t, r.CollectedAt)
			require.Empty(t, table[i+1][at["collected_at"]])
		} else {
			require.True(t, want[i].CollectedAt.Equal(*r.CollectedAt))
			require.Equal(t, want[i].CollectedAt.UTC().Format("2006-01-02T15:04:05.000Z"), table[i+1][at["collected_at"]])
		}
		r.ReceivedAt, r.CollectedAt = want[i].ReceivedAt, want[i].CollectedAt
		require.Equal(t, want[i], r)
	}
	n := 0
	for _, r := range table[1:] {
		if strings.Contains(r[at["json"]], `"firstCell":1,`) && r[at["vin"]] == "LTEST911888860607" {
			n++
			require.Equal(t, []string{"7408.5", "-127.3", "117.439078", "", "true", "2016"}, []string{r[at["mileage"]], r[at["total_current"]],
				r[at["longitude"]], r[at["max_cell_voltage"]], r[at["position_valid"]], r[at["edition"]]})
		}
	}
	require.Equal(t, 1, n)
}

// TestParquetInBoundedMemory: what was written leaves memory.
func TestParquetInBoundedMemory(t *testing.T) {
	r, err := flat.FromJSON(splitLine(t))
	require.NoError(t, err)
	var n counter
	w := flat.NewParquet(&n)
	random := rand.NewChaCha8([32]byte{1})
	const rows, size = 100_000, 1500
	text := make([]byte, size)
	for range rows {
		_, _ = random.Read(text)
		r.JSON = string(text) // of which nothing can be compressed away
		require.NoError(t, w.Write(r))
	}
	var s runtime.MemStats
	runtime.GC()
	runtime.GC() // pools let go of their buffers at the second
	runtime.ReadMemStats(&s)
	require.Less(t, s.HeapAlloc, uint64(rows*size*2/3))
	require.NoError(t, w.Close())
	require.Greater(t, n, counter(rows*size))
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

var _ io.Writer = (*counter)(nil)
