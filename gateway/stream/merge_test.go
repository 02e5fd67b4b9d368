package stream_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// The real split pack of codec/testdata (288 cells in two frames of 2017-09-15 19:45:49; the frame with the
// cells from 201 came first).
const splitVIN = "LTEST911888860607"

func splitFrames(t testing.TB) (from201, from1 codec.Frame) {
	t.Helper()
	var both []codec.Frame
	for _, f := range samples(t) {
		at, ok := f.Time()
		if ok && f.VIN().String() == splitVIN && f.Command() == codec.CommandRealtime &&
			at.Equal(time.Date(2017, 9, 15, 19, 45, 49, 0, codec.Beijing)) {
			both = append(both, f)
		}
	}
	require.Len(t, both, 2)
	return both[0], both[1]
}

// sequence gives frames as records of the payload named.
func sequence(t testing.TB, payload string, frames ...codec.Frame) iter.Seq2[*stream.Record, error] {
	return func(yield func(*stream.Record, error) bool) {
		for i, f := range frames {
			subject := stream.FrameSubject(f.VIN().String(), f.Command().Name(f.Edition()))
			body := []byte(f)
			if payload == "json" {
				body = asJSON(f, false, "")
			}
			got, err := stream.Parse(subject, envelopeHeaders, body)
			require.NoError(t, err)
			got[0].Sequence = uint64(i + 1)
			if !yield(&got[0], nil) {
				return
			}
		}
	}
}

type mergedJSON struct {
	Merged   int
	Time     time.Time
	Problems json.RawMessage
	Info     []struct {
		Type                           string
		MaxVoltageCell, MinVoltageCell int
		MaxCellVoltage, MinCellVoltage *float64
		MaxTemperature, MinTemperature *float64
		Invalid                        []string
		Subsystems                     []struct {
			Number, CellCount, FirstCell int
			CellVoltages                 []*float64
			Temperatures                 []int
		}
	}
}

func TestMergeRealSplitPack(t *testing.T) {
	from201, from1 := splitFrames(t)
	for _, payload := range []string{"raw", "json"} {
		for _, frames := range [][]codec.Frame{{from201, from1}, {from1, from201}} {
			var got []*stream.Record
			for r, err := range stream.Merge(sequence(t, payload, frames...)) {
				require.NoError(t, err)
				got = append(got, r)
			}
			require.Len(t, got, 1)
			r := got[0]
			at, ok := r.CollectedAt()
			require.True(t, ok)
			require.Equal(t, "2017-09-15T19:45:49+08:00", at.Format(time.RFC3339))
			_, err := r.AppendFrame(nil)
			require.ErrorIs(t, err, stream.ErrMerged)

			var m mergedJSON
			require.NoError(t, json.Unmarshal(r.AppendJSON(nil, nil), &m), string(r.Body))
			require.Equal(t, 2, m.Merged)
			require.Empty(t, m.Problems)
			require.Contains(t, string(r.Body), ","+envelope+`,"merged":2}`)
			var types []string
			for _, item := range m.Info {
				types = append(types, item.Type)
				switch item.Type {
				case "storageVoltages":
					require.Len(t, item.Subsystems, 1)
					s := item.Subsystems[0]
					require.Equal(t, []int{288, 1, 288}, []int{s.CellCount, s.FirstCell, len(s.CellVoltages)})
					require.Equal(t, []float64{3.374, 3.379, 3.378, 3.375}, []float64{*s.CellVoltages[0], *s.CellVoltages[199], *s.CellVoltages[200], *s.CellVoltages[201]})
				case "extremes": // the highest cell is in one frame, the lowest in the other
					require.Equal(t, []int{76, 7}, []int{item.MaxVoltageCell, item.MinVoltageCell})
					require.Equal(t, []float64{3.381, 3.371, 35, 30}, []float64{*item.MaxCellVoltage, *item.MinCellVoltage, *item.MaxTemperature, *item.MinTemperature})
					require.Empty(t, item.Invalid)
				case "storageTemperatures":
					require.Len(t, item.Subsystems[0].Temperatures, 72)
				}
			}
			slices.Sort(types)
			require.Equal(t, []string{"alarms", "extremes", "position", "storageTemperatures", "storageVoltages", "vehicle"}, types, "what both frames hold is there once")
		}
	}
}

func TestMergePassesEverythingElse(t *testing.T) {
	from201, from1 := splitFrames(t)
	vin := from1.VIN()
	later := report(t, vin, codec.CommandRealtime, time.Date(2017, 9, 15, 19, 45, 59, 0, codec.Beijing), 1)
	other := report(t, vinOf(t, 1), codec.CommandRealtime, time.Now(), 2)
	for _, tt := range []struct {
		frames []codec.Frame
		want   []string
	}{
		{[]codec.Frame{later, other}, []string{"1", "2"}},
		{[]codec.Frame{from1, other, later}, []string{"2", "1", "3"}}, // the pack waits for the vehicle's next report
		{[]codec.Frame{from1, other}, []string{"2", "1"}},             // or for the end
		{[]codec.Frame{from1, from1, from201}, []string{"2", "1+"}},   // a repetition is no part
		{[]codec.Frame{from1, other, from201, later}, []string{"2", "1+", "4"}},
		{[]codec.Frame{from201, from1, from1}, []string{"2+", "3"}}, // after a whole pack another one may begin
	} {
		var got []string
		for r, err := range stream.Merge(sequence(t, "json", tt.frames...)) {
			require.NoError(t, err)
			text := fmt.Sprint(r.Sequence)
			if _, err := r.AppendFrame(nil); err != nil {
				text += "+"
			}
			got = append(got, text)
		}
		require.Equal(t, tt.want, got)
	}
	for range stream.Merge(sequence(t, "json", from1, from201, later)) { // a loop that ends early
		break
	}
}
