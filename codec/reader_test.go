package codec

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// readAll collects what a Reader yields up to its end: frames and, in their place, errors.
func readAll(t *testing.T, r *Reader) (frames [][]byte, damage []FrameError, end error) {
	t.Helper()
	for {
		f, err := r.ReadFrame()
		var fe *FrameError
		switch {
		case err == nil:
			frames = append(frames, append([]byte(nil), f...))
		case errors.As(err, &fe):
			damage = append(damage, *fe)
		default:
			return frames, damage, err
		}
	}
}

func TestReader(t *testing.T) {
	good := goodSamples(t)
	stream := concat(good...)
	for name, src := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves":       iotest.HalfReader(bytes.NewReader(stream)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(src, 0)
			frames, damage, end := readAll(t, r)
			require.ErrorIs(t, end, io.EOF)
			require.Empty(t, damage)
			require.Equal(t, good, frames)
			require.Equal(t, int64(len(stream)), r.Offset())
			_, err := r.ReadFrame()
			require.ErrorIs(t, err, io.EOF, "the end stays")
		})
	}
}

func TestReaderLargestFrame(t *testing.T) {
	h := Header{Edition2025, CommandRealtime, FlagCommand, [17]byte{}, 1}
	large, err := AppendFrame(nil, h, bytes.Repeat([]byte("$"), MaxUnitSize))
	require.NoError(t, err)
	small := benchFrame(t, "heartbeat.bin")
	frames, damage, end := readAll(t, NewReader(bytes.NewReader(concat(small, large, small, large)), 0))
	require.ErrorIs(t, end, io.EOF)
	require.Empty(t, damage)
	require.Equal(t, [][]byte{small, large, small, large}, frames)
}

func TestReaderDamage(t *testing.T) {
	realtime, login, beat := benchFrame(t, "realtime.bin"), benchFrame(t, "login.bin"), benchFrame(t, "heartbeat.bin")
	broken := errors.New("line cut")
	tests := []struct {
		name   string
		src    io.Reader
		max    int
		frames [][]byte
		damage []FrameError
		end    error
	}{
		{name: "empty", src: bytes.NewReader(nil), end: io.EOF},
		{name: "garbage and a bad frame", src: bytes.NewReader(concat([]byte("xyz"), login, spoil(realtime, 40), beat)),
			frames: [][]byte{login, beat}, damage: []FrameError{{Kind: ErrStart, Skipped: 3}, {Kind: ErrCheck, Offset: 58, Skipped: 334}}, end: io.EOF},
		{name: "cut at the end", src: bytes.NewReader(concat(login, realtime[:200])),
			frames: [][]byte{login}, damage: []FrameError{{Kind: ErrShort, Offset: 55, Skipped: 200, Have: 200, Want: 334}}, end: io.EOF},
		{name: "cut in the header", src: bytes.NewReader(concat(login, realtime[:9])),
			frames: [][]byte{login}, damage: []FrameError{{Kind: ErrShort, Offset: 55, Skipped: 9, Have: 9, Want: 25}}, end: io.EOF},
		{name: "a wrong length hides frames at the end", src: bytes.NewReader(concat(lengthen(beat, 5000), realtime, login)),
			frames: [][]byte{realtime, login}, damage: []FrameError{{Kind: ErrShort, Skipped: 25, Have: 414, Want: 5025}}, end: io.EOF},
		{name: "above the limit", src: bytes.NewReader(concat(realtime, beat)), max: 100,
			frames: [][]byte{beat}, damage: []FrameError{{Kind: ErrLength, Skipped: 334}}, end: io.EOF},
		{name: "a broken source", src: io.MultiReader(bytes.NewReader(concat(login, realtime[:50])), iotest.ErrReader(broken)),
			frames: [][]byte{login}, end: broken},
		{name: "a source that yields nothing", src: stuckReader{}, end: io.ErrNoProgress},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			frames, damage, end := readAll(t, NewReader(c.src, c.max))
			require.ErrorIs(t, end, c.end)
			require.Equal(t, c.frames, frames)
			require.Equal(t, c.damage, damage)
		})
	}
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

func TestReaderErrorText(t *testing.T) {
	_, err := NewReader(bytes.NewReader(benchFrame(t, "realtime.bin")[:200]), 0).ReadFrame()
	require.EqualError(t, err, "codec: frame cut short at offset 0: 200 bytes, 334 needed; 200 bytes skipped")
	_, err = NewReader(bytes.NewReader([]byte("\r\n")), 0).ReadFrame()
	require.EqualError(t, err, "codec: no start mark at offset 0; 2 bytes skipped")
}
