package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/gopacket/gopacket/reassembly"
	"github.com/urfave/cli/v2"
)

// What is kept of segments that wait for a lost one, in pages of the reassembly (about 1,900 bytes), and how long.
const (
	gapPagesPerStream = 4096
	gapPages          = 64 << 10
	gapTime           = 30 * time.Second
	gapEvery          = 10000 // packets between two looks for gaps that are too old
	gapSegment        = 1800  // bytes: less than a page
)

// origin says where in a capture something was found.
type origin struct {
	src, dst netip.AddrPort
	at       time.Time // when the last byte was captured
}

const captureTime = "2006-01-02T15:04:05.000000Z07:00"

// appendKeys appends the derived keys of the JSON of a captured frame, each with its comma.
func (o *origin) appendKeys(b []byte) []byte {
	b = append(b, `,"_src":"`...)
	b = append(o.src.AppendTo(b), `","_dst":"`...)
	b = append(o.dst.AppendTo(b), `","_at":"`...)
	return append(o.at.UTC().AppendFormat(b, captureTime), '"')
}

func (o *origin) String() string {
	return fmt.Sprintf("%s → %s at %s", o.src, o.dst, o.at.UTC().Format(captureTime))
}

// decodeCapture decodes the file of --pcap.
func (p *program) decodeCapture(c *cli.Context, d *decoder) error {
	name, ports := c.String("pcap"), c.IntSlice("port")
	for _, port := range ports {
		if port < 1 || port > 65535 {
			return usagef(c, "--port: %d is no port", port)
		}
	}
	return p.input(name, func(src io.Reader, name string) error { return p.decodePackets(d, src, name, ports) })
}

// decodePackets decodes the frames of an open capture.
func (p *program) decodePackets(d *decoder, src io.Reader, name string, ports []int) error {
	packets, err := openCapture(src)
	if err != nil {
		return fmt.Errorf("decode: %s: %w", name, err)
	}
	k := newCapture(d, ports)
	if err := k.read(packets, src == p.stdin); err != nil {
		return fmt.Errorf("decode: %s: %w", name, err)
	}
	if k.fragments > 0 {
		say(p.stderr, "tboxgate: decode: %s: %d IP fragments left out\n", name, k.fragments)
	}
	return nil
}

// packetSource is a capture file. The link type is that of the packet: in pcapng each interface has its own.
type packetSource func() (data []byte, ci gopacket.CaptureInfo, link layers.LinkType, err error)

// openCapture finds out which of the two formats a capture has.
func openCapture(src io.Reader) (packetSource, error) {
	r := bufio.NewReaderSize(src, 64<<10)
	magic, err := r.Peek(4)
	if err != nil {
		return nil, errors.New("no capture: the file is too short")
	}
	if bytes.Equal(magic, []byte{0x0A, 0x0D, 0x0D, 0x0A}) {
		ng, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil, fmt.Errorf("no pcapng capture: %w", err)
		}
		return func() ([]byte, gopacket.CaptureInfo, layers.LinkType, error) {
			data, ci, err := ng.ReadPacketData()
			if err != nil {
				return nil, ci, 0, err
			}
			link, _ := ci.AncillaryData[0].(layers.LinkType)
			return data, ci, link, nil
		}, nil
	}
	pcap, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("no pcap capture: %w", err)
	}
	return func() ([]byte, gopacket.CaptureInfo, layers.LinkType, error) {
		data, ci, err := pcap.ReadPacketData()
		return data, ci, pcap.LinkType(), err
	}, nil
}

// capture decodes the TCP streams of a capture.
type capture struct {
	d         *decoder
	ports     []int // empty: any
	assembler *reassembly.Assembler
	streams   []*captureStream // in the order of their first packets, perhaps some that have ended
	open      int
	fragments int  // packets that are parts of IP packets
	ending    bool // all packets are read
	err       error
}

func newCapture(d *decoder, ports []int) *capture {
	k := &capture{d: d, ports: ports}
	k.assembler = reassembly.NewAssembler(reassembly.NewStreamPool(k))
	k.assembler.MaxBufferedPagesPerConnection = gapPagesPerStream
	k.assembler.MaxBufferedPagesTotal = gapPages
	return k
}

// read decodes all packets. With live set what is decoded is printed at once, for a capture that is still going on.
func (k *capture) read(next packetSource, live bool) error {
	for number := 1; ; number++ {
		data, ci, link, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			// What came before is whole; a capture that was interrupted usually ends like this.
			return errors.Join(k.finish(), fmt.Errorf("packet %d: %w", number, err))
		}
		k.packet(data, ci, link)
		if number%gapEvery == 0 {
			k.assembler.FlushWithOptions(reassembly.FlushOptions{T: ci.Timestamp.Add(-gapTime)})
		}
		if live && k.err == nil {
			k.err = k.d.out.Flush()
		}
		if k.err != nil {
			return k.err
		}
	}
	return k.finish()
}

// packet hands a packet with TCP in it to the reassembly. In a tunnel the innermost addresses count.
func (k *capture) packet(data []byte, ci gopacket.CaptureInfo, link layers.LinkType) {
	var network gopacket.NetworkLayer
	var tcp *layers.TCP
	for _, l := range gopacket.NewPacket(data, firstLayer(link), gopacket.DecodeOptions{NoCopy: true}).Layers() {
		switch l := l.(type) {
		case gopacket.NetworkLayer:
			network = l
		case *layers.TCP:
			tcp = l
		case *gopacket.Fragment:
			k.fragments++
		}
	}
	const header = 20 // of TCP without options; a shorter one is cut
	if tcp == nil || network == nil || len(tcp.Contents) < header || !k.wanted(tcp) {
		return
	}
	// The reassembly knows the time of the first page of a segment only, so segments are cut into what fits a page.
	for _, part := range parts(tcp) {
		k.assembler.AssembleWithContext(network.NetworkFlow(), part, packetContext(ci))
	}
}

// parts cuts a segment, a long one by the offloading of a network card, into short ones.
func parts(tcp *layers.TCP) []*layers.TCP {
	if len(tcp.Payload) <= gapSegment {
		return []*layers.TCP{tcp}
	}
	var all []*layers.TCP
	for at := 0; at < len(tcp.Payload); at += gapSegment {
		end := min(at+gapSegment, len(tcp.Payload))
		part := *tcp
		part.Payload = tcp.Payload[at:end]
		if at > 0 {
			part.SYN = false
			part.Seq = tcp.Seq + uint32(at)
			if tcp.SYN {
				part.Seq++ // SYN takes the first number
			}
		}
		last := end == len(tcp.Payload)
		part.FIN, part.RST = tcp.FIN && last, tcp.RST && last
		all = append(all, &part)
	}
	return all
}

// firstLayer returns the decoder of a link type. Two of them the library names and does not decode.
func firstLayer(link layers.LinkType) gopacket.Decoder {
	switch link {
	case layers.LinkTypeIPv4:
		return layers.LayerTypeIPv4
	case layers.LinkTypeIPv6:
		return layers.LayerTypeIPv6
	}
	return link
}

func (k *capture) wanted(tcp *layers.TCP) bool {
	return len(k.ports) == 0 || slices.Contains(k.ports, int(tcp.SrcPort)) || slices.Contains(k.ports, int(tcp.DstPort))
}

// packetContext gives the reassembly the time of a packet.
type packetContext gopacket.CaptureInfo

func (c packetContext) GetCaptureInfo() gopacket.CaptureInfo { return gopacket.CaptureInfo(c) }

// New makes the stream of a new connection. The packet given is the first one of it that was captured.
func (k *capture) New(network, transport gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	src, dst := endpoint(network.Src(), transport.Src()), endpoint(network.Dst(), transport.Dst())
	s := &captureStream{k: k}
	s.ways[0] = captureWay{s: s, origin: origin{src: src, dst: dst}, known: len(k.ports) > 0}
	s.ways[1] = captureWay{s: s, origin: origin{src: dst, dst: src}, known: len(k.ports) > 0}
	if k.open++; len(k.streams) > 2*k.open+1000 {
		k.streams = slices.DeleteFunc(k.streams, func(s *captureStream) bool { return s.ended })
	}
	k.streams = append(k.streams, s)
	return s
}

func endpoint(host, port gopacket.Endpoint) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(host.Raw())
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port.Raw()))
}

// finish decodes what the streams still hold. The reassembly gives it in no certain order, so it is put aside first.
func (k *capture) finish() error {
	k.ending = true
	k.assembler.FlushAll()
	for _, s := range k.streams {
		for _, f := range s.found {
			k.print(f)
		}
	}
	return k.err
}

// print prints a frame, or bytes that are none.
func (k *capture) print(f finding) {
	if k.err != nil {
		return
	}
	k.d.origin = &f.origin
	if f.frame != nil {
		k.err = k.d.frame(f.frame)
	} else {
		k.err = k.d.problem(f.text, f.offset, f.raw)
	}
}
