// Package codec reads and writes the frames of GB/T 32960.3, the protocol that electric vehicles
// (T-Boxes) and enterprise platforms speak, in both editions: 2016 (frames start with "##") and
// 2025 ("$$").
//
// The package knows only bytes: no sockets, no clock, no logging. A frame's way through it:
//
//	bytes ── Next ──▶ Frame ── Message.Decode ──▶ Message ── Message.AppendJSON ──▶ JSON
//	      (or Reader)   │                                                            │
//	                    └── AppendAnswer ──▶ bytes          bytes ◀── EncodeJSON ────┘
//
// [Next] cuts a byte stream into frames and finds its way back after damage, [Reader] does the same
// over an io.Reader, [ParseFrame] checks the bytes of exactly one frame. A [Frame] is a view of the
// caller's bytes, not a copy: it is valid as long as they are.
// [Dissect] takes a frame apart down to its last byte, for people and for tools that show them
// frames; [AppendDump] writes that as an annotated hex dump.
//
// A frame (GB/T 32960.3-2016 table 2, 2025 table 2), numbers in network byte order:
//
//	 0       2     3      4                      21           22      24          24+L
//	+-------+-----+------+----------------------+------------+-------+---- - - --+-------+
//	| start | cmd | flag | VIN or unique id, 17 | encryption | L (2) | data unit | check |
//	+-------+-----+------+----------------------+------------+-------+---- - - --+-------+
//
// The check byte is the XOR of everything from the command to the end of the data unit. There is
// no escaping and no end mark: the length alone says where a frame ends.
package codec
