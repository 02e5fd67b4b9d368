package codec

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// step is one outcome of Next that is not "more bytes": n bytes consumed, as a frame or as damage.
type step struct {
	n   int
	err error
}

// drain calls Next until it wants more bytes and returns the steps, the frames and what is left.
func drain(b []byte, maxUnit int) (steps []step, frames [][]byte, rest []byte) {
	for {
		f, n, err := Next(b, maxUnit)
		if n == 0 {
			return steps, frames, b
		}
		if err == nil {
			frames = append(frames, f)
		}
		steps = append(steps, step{n, err})
		b = b[n:]
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// spoil returns b with one byte changed.
func spoil(b []byte, at int) []byte {
	b = append([]byte(nil), b...)
	b[at] ^= 0x40
	return b
}

// lengthen returns frame b with a length field that is off by d.
func lengthen(b []byte, d int) []byte {
	b = append([]byte(nil), b...)
	binary.BigEndian.PutUint16(b[offLength:], uint16(unitSize(b)+d))
	return b
}

func TestNextFindsItsWayBack(t *testing.T) {
	realtime, login := benchFrame(t, "realtime.bin"), benchFrame(t, "login.bin")
	beat, newer := benchFrame(t, "heartbeat.bin"), benchFrame(t, "realtime2025.bin")
	// A frame that holds another one in its data unit.
	nested, err := AppendFrame(nil, Header{Edition2016, 0xC1, FlagCommand, [17]byte{'X'}, 1}, concat([]byte("##"), login, []byte("$$")))
	require.NoError(t, err)
	// Read one byte off, encryption 0x01 and the first byte of the length make a length of 0x0100.
	short, err := AppendFrame(nil, Header{Edition2016, CommandRealtime, FlagCommand, [17]byte{'X'}, 1}, []byte{0x00})
	require.NoError(t, err)
	// A private command that is a start character. Read one byte off, 0x0301 bytes of unit are 0x0110, and their check byte is right.
	strange, err := AppendFrame(nil, Header{Edition2016, 0x23, FlagCommand, [17]byte{'X'}, 1}, append(make([]byte, 0x0301-1), 1))
	require.NoError(t, err)
	strange[offUnit] = 0x10
	strange[1+0x0110+HeaderSize] = Check(strange[1+offCommand : 1+0x0110+HeaderSize])
	strange[len(strange)-1] = Check(strange[offCommand : len(strange)-1])
	require.Equal(t, 1+0x0110+MinFrameSize, 1+Need(strange[1:]))
	shortBeat := []byte{0x23, 0x23, 0x07, 0xFE, 0x01, 0x00, 0x00, 0xF8} // seen on the wire: no VIN

	tests := []struct {
		name    string
		stream  []byte
		maxUnit int
		steps   []step
		frames  [][]byte
		rest    int
	}{
		{name: "nothing"},
		{name: "frames of both editions in one segment", stream: concat(login, realtime, newer, beat),
			steps: []step{{55, nil}, {334, nil}, {314, nil}, {25, nil}}, frames: [][]byte{login, realtime, newer, beat}},
		{name: "header not complete", stream: concat(login, realtime[:23]), steps: []step{{55, nil}}, frames: [][]byte{login}, rest: 23},
		{name: "unit not complete", stream: concat(login, realtime[:333]), steps: []step{{55, nil}}, frames: [][]byte{login}, rest: 333},
		{name: "a frame inside a frame", stream: concat(nested, beat),
			steps: []step{{len(nested), nil}, {25, nil}}, frames: [][]byte{nested, beat}},
		{name: "half a mark is kept", stream: concat(beat, []byte("#")), steps: []step{{25, nil}}, frames: [][]byte{beat}, rest: 1},
		{name: "garbage alone", stream: []byte("GET / HTTP/1.1\r\n"), steps: []step{{16, ErrStart}}},
		{name: "garbage before a frame", stream: concat([]byte("\x00\xff##\x00 #$"), login), steps: []step{{8, ErrStart}, {55, nil}}, frames: [][]byte{login}},
		{name: "garbage ends in half a mark", stream: []byte("GET $"), steps: []step{{4, ErrStart}}, rest: 1},
		{name: "garbage ends in a mark", stream: []byte("GET $$\x02"), steps: []step{{4, ErrStart}}, rest: 3},
		{name: "garbage runs into the mark", stream: concat([]byte("$#"), login), steps: []step{{2, ErrStart}, {55, nil}}, frames: [][]byte{login}},
		{name: "one start character too many", stream: concat([]byte("#"), login), // "###": the mark's second half begins the frame
			steps: []step{{1, ErrStart}, {55, nil}}, frames: [][]byte{login}},
		{name: "one start character too many, 2025", stream: concat([]byte("$"), newer, beat),
			steps: []step{{1, ErrStart}, {314, nil}, {25, nil}}, frames: [][]byte{newer, beat}},
		{name: "some start characters too many", stream: concat(bytes.Repeat([]byte("#"), 20), beat),
			steps: []step{{20, ErrStart}, {25, nil}}, frames: [][]byte{beat}},
		{name: "one start character too many, between frames", stream: concat(beat, []byte("#"), login, beat),
			steps: []step{{25, nil}, {1, ErrStart}, {55, nil}, {25, nil}}, frames: [][]byte{beat, login, beat}},
		{name: "one start character too many, the frame is not all there", stream: concat([]byte("#"), login[:54]), rest: 55},
		{name: "one start character too many, the frame is damaged", stream: concat([]byte("#"), spoil(login, 30)), rest: 56},
		{name: "one start character too many, what it announces is there and a mark follows",
			stream: concat([]byte("#"), short, bytes.Repeat([]byte{'x'}, 0x0100+MinFrameSize-1-len(short)), beat),
			steps:  []step{{1, ErrStart}, {len(short), nil}, {0x0100 + MinFrameSize - 1 - len(short), ErrStart}, {25, nil}}, frames: [][]byte{short, beat}},
		{name: "command 0x23", stream: concat(strange, beat), steps: []step{{len(strange), nil}, {25, nil}}, frames: [][]byte{strange, beat}},
		{name: "command 0x23, not all there", stream: strange[:len(strange)-1], rest: len(strange) - 1},
		{name: "no mark: command 0xFF", stream: concat([]byte("x##\xff"), login), steps: []step{{4, ErrStart}, {55, nil}}, frames: [][]byte{login}},
		{name: "no mark: encryption 0x06", stream: concat([]byte("x"), spoilTo(realtime, offEncryption, 6), login),
			steps: []step{{335, ErrStart}, {55, nil}}, frames: [][]byte{login}},
		{name: "no mark: length above the limit", stream: concat(lengthen(realtime, 65532-309), login), steps: []step{{334, ErrLength}, {55, nil}}, frames: [][]byte{login}},
		{name: "no mark: length above the caller's limit", stream: concat(realtime, login), maxUnit: 308,
			steps: []step{{334, ErrLength}, {55, nil}}, frames: [][]byte{login}},
		{name: "length at the caller's limit", stream: concat(realtime, login), maxUnit: 309,
			steps: []step{{334, nil}, {55, nil}}, frames: [][]byte{realtime, login}},
		{name: "bad check byte, a frame follows", stream: concat(spoil(realtime, 100), login),
			steps: []step{{334, ErrCheck}, {55, nil}}, frames: [][]byte{login}},
		{name: "bad check byte, nothing follows yet", stream: spoil(realtime, 333), steps: []step{{334, ErrCheck}}},
		{name: "bad check byte, half a mark follows", stream: concat(spoil(realtime, 333), []byte("$")), steps: []step{{334, ErrCheck}}, rest: 1},
		{name: "bad check byte and a mark inside, a frame follows", stream: concat(spoil(nested, 4), login),
			steps: []step{{len(nested), ErrCheck}, {55, nil}}, frames: [][]byte{login}},
		{name: "length too large by 9", stream: concat(lengthen(beat, 9), realtime, login),
			steps: []step{{25, ErrCheck}, {334, nil}, {55, nil}}, frames: [][]byte{realtime, login}},
		{name: "length too small by 9", stream: concat(lengthen(realtime, -9), login),
			steps: []step{{334, ErrCheck}, {55, nil}}, frames: [][]byte{login}},
		{name: "bytes lost in the middle", stream: concat(realtime[:100], realtime[150:], login, beat),
			steps: []step{{284, ErrCheck}, {55, nil}, {25, nil}}, frames: [][]byte{login, beat}},
		{name: "length hides what follows until it has arrived", stream: concat(lengthen(beat, 1000), realtime, login), rest: 414},
		{name: "and then it comes", stream: concat(lengthen(beat, 380), realtime, login, beat),
			steps: []step{{25, ErrCheck}, {334, nil}, {55, nil}, {25, nil}}, frames: [][]byte{realtime, login, beat}},
		{name: "a heartbeat without VIN", stream: concat(shortBeat, bytes.Repeat(realtime, 60)),
			steps: append([]step{{8, ErrCheck}}, repeatStep(step{334, nil}, 60)...), frames: repeatFrame(realtime, 60)},
		{name: "start characters only", stream: bytes.Repeat([]byte("#"), 9100), // a length of 0x2323, and the right check byte
			steps: []step{{9020, nil}}, frames: [][]byte{bytes.Repeat([]byte("#"), 9020)}, rest: 80},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			steps, frames, rest := drain(c.stream, c.maxUnit)
			require.Len(t, steps, len(c.steps), "%v", steps)
			for i, s := range c.steps {
				require.Equal(t, s.n, steps[i].n, "step %d of %v", i, steps)
				require.ErrorIs(t, steps[i].err, s.err)
			}
			require.Equal(t, c.frames, frames)
			require.Len(t, rest, c.rest)
		})
	}
}

// spoilTo returns b with one byte set.
func spoilTo(b []byte, at int, v byte) []byte {
	b = append([]byte(nil), b...)
	b[at] = v
	return b
}

func repeatStep(s step, n int) []step {
	all := make([]step, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func repeatFrame(f []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = f
	}
	return all
}

// TestEnough: whoever waits for Enough bytes misses nothing that Next could have told before, and calls it a few times at most.
func TestEnough(t *testing.T) {
	login, realtime := benchFrame(t, "login.bin"), benchFrame(t, "realtime.bin")
	for name, stream := range map[string][]byte{
		"a frame":                         realtime,
		"a start character too many":      concat([]byte("#"), login, realtime, realtime),
		"start characters too many":       concat([]byte("#####"), realtime, login, realtime, realtime),
		"a damaged frame behind one":      concat([]byte("#"), spoil(login, 40), realtime, realtime),
		"a frame with a length too large": concat(lengthen(login, 300), realtime, login),
	} {
		t.Run(name, func(t *testing.T) {
			for at := 0; at < len(stream); {
				first := at + 1 // where Next, asked at each byte, first has something to tell
				for ; first < len(stream); first++ {
					if _, n, _ := Next(stream[at:first], 0); n > 0 {
						break
					}
				}
				have, calls := at+1, 0
				for {
					_, n, _ := Next(stream[at:have], 0)
					if calls++; n > 0 {
						require.Equal(t, first, have)
						require.LessOrEqual(t, calls, 5)
						at += n
						break
					}
					need := Enough(stream[at:have], 0)
					require.Greater(t, need, have-at)
					if have = at + need; have > len(stream) {
						require.Equal(t, len(stream), first)
						return
					}
				}
			}
		})
	}
}

// TestNextAnySplit: a stream of good frames gives the same frames however it is cut.
func TestNextAnySplit(t *testing.T) {
	good := goodSamples(t)
	stream := concat(good...)
	random := rand.New(rand.NewPCG(3, 4))
	for _, most := range []int{1, 2, 23, 24, 25, 26, 1000, 1 << 20} {
		var got [][]byte
		var pending []byte
		for sent := 0; sent < len(stream); {
			n := min(1+random.IntN(most), len(stream)-sent)
			pending = append(pending, stream[sent:sent+n]...)
			sent += n
			steps, frames, rest := drain(pending, 0)
			for _, s := range steps {
				require.NoError(t, s.err)
			}
			got = append(got, frames...)
			pending = append([]byte(nil), rest...)
		}
		require.Empty(t, pending)
		require.Equal(t, good, got, "pieces of up to %d bytes", most)
	}
}

// nextByTheBook is Next as decisions tell it, a byte and a mark at a time.
func nextByTheBook(b []byte, maxUnit int) (n int, kind error) {
	isMark := func(i int) bool { // or the part of one that is there
		return i == len(b) || (b[i] == '#' || b[i] == '$') && (i+1 == len(b) || b[i] == b[i+1])
	}
	search := func() int {
		for i := 1; i < len(b); i++ {
			have := len(b) - i
			switch {
			case !isMark(i),
				have > 2 && (b[i+2] == 0 || b[i+2] == 255),
				have > 21 && b[i+21] >= 6 && b[i+21] <= 253,
				have > 23 && int(b[i+22])*256+int(b[i+23]) > maxUnit:
			default:
				return i
			}
		}
		return len(b)
	}
	if !isMark(0) {
		return search(), ErrStart
	}
	if len(b) < 24 {
		return 0, nil
	}
	unit := int(b[22])*256 + int(b[23])
	if unit > maxUnit {
		return search(), ErrLength
	}
	end := 24 + unit
	if end < len(b) && checkBytewise(b[2:end]) == b[end] {
		return end + 1, nil
	}
	if b[2] == b[0] { // a start character too many, or more: does a right frame begin with the last two?
		p := 0
		for p+2 < 24 && b[p+2] == b[0] {
			p++
		}
		if c := b[p:]; len(c) >= 25 && c[2] != 0 && c[2] != 255 && (c[3] >= 1 && c[3] <= 7 || c[3] == 254) && (c[21] < 6 || c[21] > 253) {
			size := int(c[22])*256 + int(c[23])
			if size <= maxUnit && len(c) >= 25+size && checkBytewise(c[2:24+size]) == c[24+size] {
				return p, ErrStart
			}
		}
	}
	if end >= len(b) {
		return 0, nil
	}
	if isMark(end + 1) {
		return end + 1, ErrCheck
	}
	return search(), ErrCheck
}

// TestNextAgreesWithTheBook: over streams with every kind of damage, fed in pieces, Next finds the
// frames that the plain reading of the rules finds, at the same places.
func TestNextAgreesWithTheBook(t *testing.T) {
	good := goodSamples(t)
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 20000 {
		var stream []byte
		for range 1 + random.IntN(6) {
			stream = append(stream, damage(random, good[random.IntN(len(good))])...)
		}
		maxUnit := []int{MaxUnitSize, 600, 100}[random.IntN(3)]
		at, bookAt := 0, 0
		for have := 0; have < len(stream); {
			have = min(len(stream), have+1+random.IntN(400))
			var got, want []int
			for {
				f, n, err := Next(stream[at:have], maxUnit)
				if n == 0 {
					break
				}
				if err == nil {
					require.Len(t, f, n)
					got = append(got, at)
				}
				at += n
			}
			for {
				n, err := nextByTheBook(stream[bookAt:have], maxUnit)
				if n == 0 {
					break
				}
				if err == nil {
					want = append(want, bookAt)
				}
				bookAt += n
			}
			require.Equal(t, want, got, "round %d, %d bytes in: % x", round, have, stream)
			require.Equal(t, bookAt, at, "round %d, %d bytes in: % x", round, have, stream)
		}
	}
}

// damage returns b, whole or with something done to it.
func damage(random *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	switch random.IntN(8) {
	case 0:
		b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
	case 1:
		b = lengthen(b, random.IntN(2000)-1000)
	case 2:
		i := random.IntN(len(b))
		b = append(b[:i], b[min(len(b), i+random.IntN(40)):]...)
	case 3:
		b = append(b, "####$$$#$#\x02\xfe\x01"[:random.IntN(13)]...)
	case 4: // marks sown into it, some with a believable header
		for range random.IntN(30) {
			i := random.IntN(len(b))
			copy(b[i:], "##\x02\xfe")
			if i+24 <= len(b) {
				b[i+21], b[i+22], b[i+23] = 1, 0, byte(random.IntN(256))
			}
		}
	case 5: // start characters too many
		b = append(bytes.Repeat(b[:1], 1+random.IntN(25)), b...)
	}
	return b
}

// TestNextHostile: damage that is full of marks costs as much as its bytes, not as much as the
// frames that the marks announce, which are 25,000 times longer in all.
func TestNextHostile(t *testing.T) {
	// Of 47 positions 19 begin a plausible header: 0xFE is command, encryption and, twice, a length
	// of 65278. No check byte is right, and no frame ends before a mark.
	period := concat(bytes.Repeat([]byte{'#'}, 20), bytes.Repeat([]byte{0xFE}, 27))
	b := bytes.Repeat(period, 1<<20/len(period))
	marks := 0
	for i := range len(b) - HeaderSize {
		if plausible(b[i:], MaxUnitSize) && unitSize(b[i:]) == 65278 {
			marks++
		}
	}
	require.Greater(t, marks, len(b)/3)
	_, n, err := Next(b, 0)
	require.ErrorIs(t, err, ErrCheck)
	require.GreaterOrEqual(t, n, len(b)-MaxFrameSize)
	x := prefixes{b: b}
	require.Equal(t, n, resync(&x, MaxUnitSize, false), "what Next does")
	// Each byte once, and less than a block at either end of what a mark announces; to sum every announced frame is
	// to look at marks*65302 bytes.
	require.Greater(t, x.summed, n)
	require.LessOrEqual(t, x.summed, len(b)+2*marks*(prefixBlock-1))
}

// TestNextLargeFrameInDamage: a mark inside damage announces 65,000 bytes; the largest frame, behind
// it and inside what it announces, is found.
func TestNextLargeFrameInDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	unit := make([]byte, MaxUnitSize)
	for i := range unit {
		unit[i] = byte(random.UintN(256)) &^ 0x27 // neither '#' nor '$'
	}
	large, err := AppendFrame(nil, Header{Edition2016, CommandRealtime, FlagCommand, [17]byte{}, 1}, unit)
	require.NoError(t, err)
	beat := benchFrame(t, "heartbeat.bin")
	stream := concat(lengthen(beat, 40000), lengthen(beat, 65000), large, []byte("xy"), beat)
	steps, frames, rest := drain(stream, 0)
	require.Equal(t, []step{{50, errNextCheck}, {MaxFrameSize, nil}, {2, errNextStart}, {25, nil}}, steps)
	require.Equal(t, [][]byte{large, beat}, frames)
	require.Empty(t, rest)
}

// TestNextByteByByte: the largest frame a byte at a time, in a buffer that grows.
func TestNextByteByByte(t *testing.T) {
	b, err := AppendFrame(nil, Header{Edition2016, CommandRealtime, FlagCommand, [17]byte{}, 1}, bytes.Repeat([]byte("#"), MaxUnitSize))
	require.NoError(t, err)
	for n := range b {
		_, got, err := Next(b[:n], 0)
		require.Zero(t, got)
		require.NoError(t, err)
	}
	f, n, err := Next(b, 0)
	require.NoError(t, err)
	require.Equal(t, MaxFrameSize, n)
	require.Equal(t, MaxFrameSize, len(f))
}
