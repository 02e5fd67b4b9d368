package codec

import "encoding/binary"

// Header holds the fields of a frame's header that its sender chooses.
type Header struct {
	Edition    Edition
	Command    Command
	Flag       Flag
	VIN        [VINSize]byte // as it goes on the wire, padding included
	Encryption Encryption
}

// AppendFrame appends a whole frame with the data unit given: header, unit, check byte. The unit
// must not overlap dst's free capacity. The error is a *FrameError of kind ErrLength when the unit
// is longer than MaxUnitSize; dst is then returned as it was.
func AppendFrame(dst []byte, h Header, unit []byte) ([]byte, error) {
	if len(unit) > MaxUnitSize {
		return dst, &FrameError{Kind: ErrLength, Offset: offLength, Have: len(unit), Want: MaxUnitSize}
	}
	mark, start := h.Edition.StartMark(), len(dst)
	dst = append(dst, mark, mark, byte(h.Command), byte(h.Flag))
	dst = append(dst, h.VIN[:]...)
	dst = append(dst, byte(h.Encryption))
	return appendUnit(dst, start, unit), nil
}

// AppendAnswer appends the answer to req: its start mark, command and 17 raw identifier bytes, the
// flag and data unit given. The encryption byte is 0x01, or 0x00 for a peer that writes 0x00
// itself. The unit may be a view of req (its time, or all of it), but must not overlap dst's free
// capacity; one longer than MaxUnitSize is a mistake of the caller and panics.
func AppendAnswer(dst []byte, req Frame, flag Flag, unit []byte) []byte {
	if len(unit) > MaxUnitSize {
		panic("codec: AppendAnswer: the data unit is longer than MaxUnitSize")
	}
	start := len(dst)
	dst = append(dst, req[:offEncryption]...)
	dst[start+offFlag] = byte(flag)
	dst = append(dst, min(req[offEncryption], byte(EncryptionNone)))
	return appendUnit(dst, start, unit)
}

// appendUnit appends what follows the encryption byte of the frame that begins at dst[start].
func appendUnit(dst []byte, start int, unit []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(unit)))
	dst = append(dst, unit...)
	return append(dst, Check(dst[start+offCommand:]))
}
