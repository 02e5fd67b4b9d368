package codec

// Next cuts the next frame off the front of a byte stream. maxUnit is the largest data unit to
// believe in, in bytes; 0, or anything above it, means MaxUnitSize.
//
//   - n > 0, err == nil: f = b[:n] is a frame with the right length and check byte.
//   - n > 0, err != nil: b[:n] is no frame; drop n bytes and go on. err is a shared *FrameError of
//     kind ErrStart (no start mark here), ErrLength (the length field is above maxUnit) or ErrCheck.
//   - n == 0: more bytes are needed, in all [Enough] of b; never with an error.
//
// Finding the way back: garbage is skipped up to the next start mark whose command, encryption and
// length are plausible. A frame with a wrong check byte is skipped whole if a start mark, or
// nothing yet, follows it; else its length is not to be trusted either and the search starts at its
// second byte. A start character alone at the end is kept, it may be half of a mark. The inside
// of a frame whose check byte is right is never searched, however much it looks like a frame.
//
// A start character too many makes a mark with the first half of the next frame's. Its header is
// read one byte off, so its third byte, the command, is a start character too, which no known
// command is. Then, and when the frame that it announces is not there or is wrong, a right frame
// that begins with the last two of these start characters, and whose flag is one of the standard's,
// is taken; what stands before it is garbage (ErrStart). A true frame of the command 0x23 or 0x24
// is not lost to that unless its identifier begins with such a flag, which no text does.
//
// A call that returns 0 takes constant time once the header is there, except where the third byte
// is a start character: then the frame behind it, once it has come and is wrong, is summed at each
// call. A caller that waits for [Enough] bytes has it summed once. Other calls take time in
// proportion to the bytes they look at: those they consume and at most one frame more. Nothing is
// allocated.
func Next(b []byte, maxUnit int) (f Frame, n int, err error) {
	if maxUnit <= 0 || maxUnit > MaxUnitSize {
		maxUnit = MaxUnitSize
	}
	if !mayStart(b) {
		return nil, scan(b, 1, maxUnit), errNextStart
	}
	if len(b) < HeaderSize {
		return nil, 0, nil
	}
	size := unitSize(b)
	if size > maxUnit {
		return nil, scan(b, 1, maxUnit), errNextLength
	}
	size += MinFrameSize
	whole := size <= len(b)
	if whole && Check(b[offCommand:size-1]) == b[size-1] {
		return Frame(b[:size:size]), size, nil
	}
	if b[offCommand] == b[0] {
		if p := run(b); rightFrame(b[p:], maxUnit) {
			return nil, p, errNextStart
		}
	}
	if !whole {
		return nil, 0, nil
	}
	if mayStart(b[size:]) {
		return nil, size, errNextCheck
	}
	return nil, resync(&prefixes{b: b}, maxUnit, false), errNextCheck
}

// Enough returns how many bytes there must be in all before another call of [Next] can tell more of
// b, for which it has returned 0.
func Enough(b []byte, maxUnit int) int {
	need := Need(b)
	if p := run(b); p > 0 {
		if maxUnit <= 0 || maxUnit > MaxUnitSize {
			maxUnit = MaxUnitSize
		}
		if behind := p + Need(b[p:]); behind > len(b) && flagged(b[p:], maxUnit) {
			return min(need, behind)
		}
	}
	return need
}

// run returns where a frame may begin that has start characters too many before it: at the last two of those that b
// begins with, as far as the first header goes. 0 says that there are just the two of a mark, or no header yet.
func run(b []byte) (p int) {
	if len(b) < HeaderSize {
		return 0
	}
	for p+offCommand < HeaderSize && b[p+offCommand] == b[0] {
		p++
	}
	return p
}

// flagged reports whether b is plausible and its flag one of the standard's, as far as it goes.
func flagged(b []byte, maxUnit int) bool {
	return plausible(b, maxUnit) && (len(b) <= offFlag || knownFlag(Flag(b[offFlag])))
}

func knownFlag(f Flag) bool { return f == FlagCommand || f >= FlagSuccess && f <= FlagDecryptError }

// rightFrame reports whether b begins with a whole frame whose check byte is right and whose flag is known.
func rightFrame(b []byte, maxUnit int) bool {
	size := Need(b)
	return size <= len(b) && flagged(b, maxUnit) && Check(b[offCommand:size-1]) == b[size-1]
}

// scan returns the first position from on at which a frame may start, len(b) when there is none.
func scan(b []byte, from, maxUnit int) int {
	for i := from; i < len(b); i++ {
		if c := b[i]; (c == startMark2016 || c == startMark2025) && plausible(b[i:], maxUnit) {
			return i
		}
	}
	return len(b)
}

// plausible reports whether b looks like the start of a frame as far as it goes. It is asked only
// where the stream is out of step: there a mark alone is weak evidence (0x23 is a temperature of
// -5 °C), and a false one hides up to maxUnit bytes until they have arrived.
func plausible(b []byte, maxUnit int) bool {
	if !mayStart(b) {
		return false
	}
	if len(b) > offCommand && (b[offCommand] == 0x00 || b[offCommand] == 0xFF) {
		// Every other id is assigned, reserved for one direction, or free for custom use.
		return false
	}
	if len(b) > offEncryption {
		if e := Encryption(b[offEncryption]); e > EncryptionSM4 && e < EncryptionAbnormal {
			return false
		}
	}
	return len(b) < HeaderSize || unitSize(b) <= maxUnit
}

// resync returns the position at which to go on in x.b, which begins with a mark that led nowhere:
// the first plausible mark from the second byte on, except those whose frame is all there, has a
// wrong check byte and is followed by something else than a mark (they would only send us here
// again). With last set no more bytes will come, and only a mark that begins a right frame counts.
func resync(x *prefixes, maxUnit int, last bool) int {
	b := x.b
	for p := scan(b, 1, maxUnit); ; p = scan(b, p+1, maxUnit) {
		if p == len(b) {
			return p
		}
		end := p + Need(b[p:])
		if end > len(b) {
			if last {
				continue
			}
			return p
		}
		if x.upTo(p+offCommand)^x.upTo(end-1) == b[end-1] {
			return p
		}
		if !last && mayStart(b[end:]) {
			return p
		}
	}
}

// prefixes yields the XOR of b's first i bytes at the cost of one block. Damage may be full of
// overlapping marks that each announce a long frame: with it every byte is summed once, not once a
// mark.
type prefixes struct {
	b      []byte
	sums   [512]byte // the sum before block k is sums[k%512]; the span of a frame is 257 blocks
	next   int       // sums is known up to this block
	summed int       // bytes looked at for all that: what it has cost
}

const prefixBlock = 256

// upTo returns the XOR of b[:i]. i must not be more than a frame below any earlier i.
func (x *prefixes) upTo(i int) byte {
	k := i / prefixBlock
	for ; x.next < k; x.next++ {
		at := x.next * prefixBlock
		x.sums[(x.next+1)%len(x.sums)] = x.sums[x.next%len(x.sums)] ^ x.check(at, at+prefixBlock)
	}
	return x.sums[k%len(x.sums)] ^ x.check(k*prefixBlock, i)
}

func (x *prefixes) check(from, to int) byte {
	x.summed += to - from
	return Check(x.b[from:to])
}
