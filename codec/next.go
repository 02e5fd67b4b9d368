package codec

// Next cuts the next frame off the front of a byte stream. maxUnit is the largest data unit to
// believe in, in bytes; 0, or anything above it, means MaxUnitSize.
//
//   - n > 0, err == nil: f = b[:n] is a frame with the right length and check byte.
//   - n > 0, err != nil: b[:n] is no frame; drop n bytes and go on. err is a shared *FrameError of
//     kind ErrStart (no start mark here), ErrLength (the length field is above maxUnit) or ErrCheck.
//   - n == 0: more bytes are needed, in all [Need] of b; never with an error.
//
// Finding the way back: garbage is skipped up to the next start mark whose command, encryption and
// length are plausible. A frame with a wrong check byte is skipped whole if a start mark, or
// nothing yet, follows it; else its length is not to be trusted either and the search starts at its
// second byte. A start character alone at the end is kept, it may be half of a mark. The inside
// of a frame whose check byte is right is never searched, however much it looks like a frame.
//
// A call that returns 0 takes constant time once the header is there, others take time in
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
	if size > len(b) {
		return nil, 0, nil
	}
	if Check(b[offCommand:size-1]) == b[size-1] {
		return Frame(b[:size:size]), size, nil
	}
	if mayStart(b[size:]) {
		return nil, size, errNextCheck
	}
	return nil, resync(b, maxUnit, false), errNextCheck
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

// resync returns the position at which to go on in b, which begins with a mark that led nowhere:
// the first plausible mark from the second byte on, except those whose frame is all there, has a
// wrong check byte and is followed by something else than a mark (they would only send us here
// again). With last set no more bytes will come, and only a mark that begins a right frame counts.
func resync(b []byte, maxUnit int, last bool) int {
	x := prefixes{b: b}
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
	b    []byte
	sums [512]byte // the sum before block k is sums[k%512]; the span of a frame is 257 blocks
	next int       // sums is known up to this block
}

const prefixBlock = 256

// upTo returns the XOR of b[:i]. i must not be more than a frame below any earlier i.
func (x *prefixes) upTo(i int) byte {
	k := i / prefixBlock
	for ; x.next < k; x.next++ {
		at := x.next * prefixBlock
		x.sums[(x.next+1)%len(x.sums)] = x.sums[x.next%len(x.sums)] ^ Check(x.b[at:at+prefixBlock])
	}
	return x.sums[k%len(x.sums)] ^ Check(x.b[k*prefixBlock:i])
}
