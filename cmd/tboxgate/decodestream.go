package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"

	"github.com/tboxgate/tboxgate/codec"
)

// captureStream is a TCP connection of a capture, both ways.
type captureStream struct {
	k     *capture
	ways  [2]captureWay
	found []finding // at the end of the capture, when findings wait for their turn
	ended bool
}

// finding is a frame, or bytes that are none.
type finding struct {
	origin origin
	frame  codec.Frame
	text   string // what is wrong with the bytes in raw
	offset int64
	raw    []byte
}

// Accept takes every packet. A capture that began in the middle of a connection has no SYN to start from.
func (s *captureStream) Accept(_ *layers.TCP, _ gopacket.CaptureInfo, _ reassembly.TCPFlowDirection, next reassembly.Sequence, start *bool,
	_ reassembly.AssemblerContext) bool {
	*start = *start || next < 0
	return true
}

// ReassembledSG takes the next bytes of one way.
func (s *captureStream) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	dir, _, end, skip := sg.Info()
	w := &s.ways[0]
	if dir == reassembly.TCPDirServerToClient {
		w = &s.ways[1]
	}
	if skip > 0 {
		w.gap(skip)
	}
	if n, _ := sg.Lengths(); n > 0 {
		w.take(sg.Fetch(n), func(i int) time.Time { return sg.CaptureInfo(i).Timestamp })
	}
	if end {
		w.end()
	}
}

// ReassemblyComplete is called when both ways have ended.
func (s *captureStream) ReassemblyComplete(reassembly.AssemblerContext) bool {
	for i := range s.ways {
		s.ways[i].end()
	}
	if !s.ended {
		s.ended = true
		s.k.open--
	}
	return true
}

// captureWay is one way of a connection: a stream of frames, or of something else. Without --port anything may be in
// a capture, so bytes that are no frames are only bad where frames are too.
type captureWay struct {
	s       *captureStream
	origin  origin
	buf     []byte
	offset  int64 // of buf[0] in the stream
	known   bool  // it holds frames
	unclear []finding
	size    int // of unclear, about
}

// maxUnclear is what a way may hold before its first frame: more than a frame of which the capture missed the start.
const maxUnclear = 2 * codec.MaxFrameSize

// take takes the next bytes; at tells when one of them was captured.
func (w *captureWay) take(data []byte, at func(i int) time.Time) {
	start := w.offset + int64(len(w.buf)) // of data in the stream
	w.buf = append(w.buf, data...)
	used := 0
	for {
		f, n, err := codec.Next(w.buf[used:], 0)
		if n == 0 {
			break
		}
		// The last byte is one of data: all bytes before it have been here once without being enough.
		w.origin.at = at(int(max(w.offset+int64(used+n)-1-start, 0)))
		if err == nil {
			w.found(finding{frame: f})
		} else {
			w.bad(errors.Unwrap(err), w.offset+int64(used), w.buf[used:used+n])
		}
		used += n
	}
	w.origin.at = at(len(data) - 1)
	w.buf = append(w.buf[:0], w.buf[used:]...)
	w.offset += int64(used)
}

// gap is told that n bytes are not in the capture.
func (w *captureWay) gap(n int) {
	w.end()
	w.found(finding{text: fmt.Sprintf("%d bytes are missing in the capture", n), offset: w.offset})
	w.offset += int64(n)
}

// end decodes what is left: a frame that was cut short may hide others.
func (w *captureWay) end() {
	base := w.offset
	// The output is not written here, so there is no error.
	_ = eachFrame(bytes.NewReader(w.buf), func(f codec.Frame) error {
		w.found(finding{frame: f})
		return nil
	}, func(text string, offset int64, raw []byte) error {
		w.found(finding{text: text, offset: base + offset, raw: raw})
		return nil
	})
	w.offset += int64(len(w.buf))
	w.buf = nil
}

// bad reports bytes that are no frame. A frame with a wrong check byte is a sign of frames as well.
func (w *captureWay) bad(kind error, offset int64, raw []byte) {
	w.known = w.known || errors.Is(kind, codec.ErrCheck) && likely(raw)
	w.found(finding{text: kind.Error(), offset: offset, raw: raw})
}

// likely reports whether bytes with a wrong check byte are a damaged frame rather than text with "##" in it.
func likely(raw []byte) bool {
	if len(raw) < codec.HeaderSize {
		return false
	}
	f := codec.Frame(raw)
	flag, encryption := f.Flag(), f.Encryption()
	return f.Command().Known(f.Edition()) && (flag <= codec.FlagDecryptError || flag == codec.FlagCommand) &&
		(encryption <= codec.EncryptionSM4 || encryption >= codec.EncryptionAbnormal)
}

// found reports what was found, as soon as the way is known to hold frames.
func (w *captureWay) found(f finding) {
	f.origin = w.origin
	if w.known = w.known || f.frame != nil; w.known {
		for _, u := range w.unclear {
			w.report(u)
		}
		w.unclear = nil
		w.report(f)
		return
	}
	const overhead = 100
	if w.size += len(f.raw) + overhead; w.size > maxUnclear {
		w.unclear = nil // something else is spoken here
		return
	}
	f.raw = slices.Clone(f.raw)
	w.unclear = append(w.unclear, f)
}

// report prints, or at the end of the capture keeps for its turn.
func (w *captureWay) report(f finding) {
	if !w.s.k.ending {
		w.s.k.print(f)
		return
	}
	f.frame, f.raw = slices.Clone(f.frame), slices.Clone(f.raw)
	w.s.found = append(w.s.found, f)
}
