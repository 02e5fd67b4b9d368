package fuzz

import "encoding/binary"

// Build makes a frame around a data unit: start mark of the edition, header, length and check byte
// are right whatever the unit holds, so that mutated units get past the framer. A unit above 65531
// bytes is cut there. The bytes are put together here and not by the codec, which is under test.
func Build(edition2025 bool, command, flag, encryption byte, identifier string, unit []byte) []byte {
	unit = unit[:min(len(unit), 65531)]
	mark := byte('#')
	if edition2025 {
		mark = '$'
	}
	frame := make([]byte, 24, 25+len(unit))
	frame[0], frame[1], frame[2], frame[3] = mark, mark, command, flag
	copy(frame[4:21], identifier)
	frame[21] = encryption
	binary.BigEndian.PutUint16(frame[22:], uint16(len(unit)))
	frame = append(frame, unit...)
	var check byte
	for _, b := range frame[2:] {
		check ^= b
	}
	return append(frame, check)
}

// Repair puts length and check byte of a mutated frame right. Bytes that are too few for a frame
// are padded, too many cut off; the start mark becomes that of the nearer edition.
func Repair(b []byte) []byte {
	head := make([]byte, 24)
	n := copy(head, b)
	return Build(head[0] == '$', head[2], head[3], head[21], string(head[4:21]), b[n:])
}
