package fuzz

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// pieces yields the sizes in which a stream arrives: cuts names them, over and over.
func pieces(cuts []byte) func() int {
	i := 0
	return func() int {
		if len(cuts) == 0 {
			return 1 << 20
		}
		n := 1 + int(cuts[i%len(cuts)])
		i++
		return n
	}
}

// found is a frame and where it was in the stream.
type found struct {
	at    int
	bytes string
}

// framed feeds a stream to Next in pieces and returns the frames, the number of bytes skipped and
// the number of bytes left over. It checks on the way what holds for any stream.
func framed(t *testing.T, stream []byte, maxUnit int, next func() int) (all []found, skipped, left int) {
	t.Helper()
	at, have, calls, arrivals := 0, 0, 0, 0
	for have < len(stream) {
		have = min(len(stream), have+next())
		arrivals++
		for {
			calls++
			f, n, err := codec.Next(stream[at:have:have], maxUnit)
			if n < 0 || n > have-at || n == 0 && (err != nil || f != nil) || (err == nil) != (len(f) == n) || err != nil && f != nil {
				t.Fatalf("Next of %x: frame %x, n %d, error %v", stream[at:have], f, n, err)
			}
			if n == 0 {
				break
			}
			if err == nil {
				if _, err := codec.ParseFrame(stream[at : at+n]); err != nil || !bytes.Equal(f, stream[at:at+n]) {
					t.Fatalf("Next of %x: frame %x: %v", stream[at:have], f, err)
				}
				all = append(all, found{at, string(f)})
			} else {
				var fe *codec.FrameError
				require.True(t, errors.As(err, &fe))
				skipped += n
			}
			at += n
		}
		// What is kept waits for a frame that is longer, and not too long.
		if need := codec.Enough(stream[at:have], maxUnit); at < have && (need <= have-at || need > codec.MaxFrameSize) {
			t.Fatalf("Next of %x waits for %d bytes", stream[at:have], need)
		}
	}
	// Every call consumes at least a byte or ends an arrival.
	require.LessOrEqual(t, calls, len(stream)+arrivals)
	return all, skipped, len(stream) - at
}

// FuzzFramerSplits feeds any bytes in any pieces, and a stream of good frames made of them.
func FuzzFramerSplits(f *testing.F) {
	all := frames(f)
	f.Add(bytes.Join(all[:4], nil), []byte{0}, uint16(0))
	f.Add(bytes.Join(all[4:9], []byte("##")), []byte{24, 1, 0, 200}, uint16(0))
	f.Add(bytes.Join(all[70:75], []byte("$$\x02\xfe")), []byte{23}, uint16(500))
	f.Add(bytes.Join(all[:9], []byte("#")), []byte{40, 2}, uint16(0))
	for _, b := range all {
		broken := bytes.Clone(b)
		broken[len(b)/2] ^= 0x20
		f.Add(bytes.Join([][]byte{b, broken, b, b[7:], b}, nil), []byte{byte(len(b)), 3}, uint16(0))
		longer := bytes.Clone(b)
		longer[22]++
		f.Add(bytes.Join([][]byte{longer, b, b, b[:len(b)/2]}, nil), []byte{255}, uint16(0))
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte, maxUnit uint16) {
		framed(t, stream, int(maxUnit), pieces(cuts))

		// Now the bytes as data units of good frames. The largest limit must let them through.
		var good []byte
		var want []found
		size := pieces(cuts)
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), size())
			flag := byte(n)
			if flag == '#' || flag == '$' { // with a command and an identifier alike: start characters before a frame
				flag = byte(codec.FlagCommand)
			}
			frame := Build(n%2 == 1, rest[0], flag, rest[n-1], string(rest[:min(n, 17)]), rest[:n])
			want = append(want, found{len(good), string(frame)})
			good = append(good, frame...)
			rest = rest[n:]
		}
		for _, next := range []func() int{pieces(nil), pieces(cuts), pieces([]byte{0})} {
			got, skipped, left := framed(t, good, 0, next)
			require.Equal(t, want, got)
			require.Zero(t, skipped)
			require.Zero(t, left)
		}
		r := codec.NewReader(bytes.NewReader(good), 0)
		for _, w := range want {
			frame, err := r.ReadFrame()
			require.NoError(t, err)
			require.Equal(t, w.bytes, string(frame))
		}
		_, err := r.ReadFrame()
		require.ErrorIs(t, err, io.EOF)
	})
}

// FuzzReader reads any bytes to their end: every byte is in a frame or in an error.
func FuzzReader(f *testing.F) {
	for _, b := range frames(f) {
		f.Add(append(bytes.Clone(b), b[:len(b)-1]...))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := codec.NewReader(bytes.NewReader(stream), 0)
		at := int64(0)
		for range len(stream) + 1 {
			frame, err := r.ReadFrame()
			var fe *codec.FrameError
			switch {
			case err == nil:
				require.Equal(t, stream[at:at+int64(len(frame))], []byte(frame))
				at += int64(len(frame))
			case errors.As(err, &fe):
				require.Equal(t, at, fe.Offset)
				require.Positive(t, fe.Skipped)
				at += int64(fe.Skipped)
			default:
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, int64(len(stream)), at)
				return
			}
			require.Equal(t, at, r.Offset())
		}
		t.Fatal("no end")
	})
}
