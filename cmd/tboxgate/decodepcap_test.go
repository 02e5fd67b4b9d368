package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// captureMaker makes a capture, a packet a millisecond.
type captureMaker struct {
	t       *testing.T
	packets [][]byte
}

// conn is a TCP connection in a made capture.
type conn struct {
	m    *captureMaker
	ends [2]end
}

type end struct {
	ip   net.IP
	port layers.TCPPort
	seq  uint32
}

// dial returns a connection, begun by three packets unless late is set: then the capture missed them.
func (m *captureMaker) dial(from string, fromPort int, to string, toPort int, late bool) *conn {
	c := &conn{m: m, ends: [2]end{
		{ip: net.ParseIP(from), port: layers.TCPPort(fromPort), seq: 0xFFFFFF00}, // wraps round soon
		{ip: net.ParseIP(to), port: layers.TCPPort(toPort), seq: 7000},
	}}
	if !late {
		c.packet(0, c.ends[0].seq, nil, func(p *layers.TCP) { p.SYN, p.ACK = true, false })
		c.packet(1, c.ends[1].seq, nil, func(p *layers.TCP) { p.SYN = true })
		c.ends[0].seq++
		c.ends[1].seq++
		c.packet(0, c.ends[0].seq, nil, nil)
	}
	return c
}

// packet adds a packet from end way.
func (c *conn) packet(way int, seq uint32, data []byte, set func(*layers.TCP)) {
	src, dst := &c.ends[way], &c.ends[1-way]
	tcp := &layers.TCP{SrcPort: src.port, DstPort: dst.port, Seq: seq, Ack: dst.seq, ACK: true, Window: 64240}
	if set != nil {
		set(tcp)
	}
	eth := &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4}
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	} = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.ip, DstIP: dst.ip}
	if src.ip.To4() == nil {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.ip, DstIP: dst.ip}
	}
	require.NoError(c.m.t, tcp.SetNetworkLayerForChecksum(ip))
	c.m.add(eth, ip, tcp, gopacket.Payload(data))
}

func (m *captureMaker) add(all ...gopacket.SerializableLayer) {
	b := gopacket.NewSerializeBuffer()
	require.NoError(m.t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...))
	m.packets = append(m.packets, bytes.Clone(b.Bytes()))
}

// send sends data from end way, each segment as long as the next size.
func (c *conn) send(way int, data []byte, sizes ...int) {
	for _, n := range append(sizes, len(data)) {
		n = min(n, len(data))
		if n == 0 {
			return
		}
		c.packet(way, c.ends[way].seq, data[:n], nil)
		c.ends[way].seq += uint32(n)
		data = data[n:]
	}
}

// lose is send of data that the capture does not have.
func (c *conn) lose(way int, data []byte) { c.ends[way].seq += uint32(len(data)) }

// close ends the connection from both sides.
func (c *conn) close() {
	for way := range c.ends {
		c.packet(way, c.ends[way].seq, nil, func(p *layers.TCP) { p.FIN = true })
		c.ends[way].seq++
	}
	c.packet(0, c.ends[0].seq, nil, nil)
}

// swap exchanges the last two packets: they came in the wrong order.
func (m *captureMaker) swap() {
	n := len(m.packets)
	m.packets[n-1], m.packets[n-2] = m.packets[n-2], m.packets[n-1]
}

// time returns the time of packet i.
func (m *captureMaker) time(i int) time.Time {
	return time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Millisecond)
}

// pcap and pcapng return the capture in the two formats.
func (m *captureMaker) pcap() []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	require.NoError(m.t, w.WriteFileHeader(65536, layers.LinkTypeEthernet))
	for i, p := range m.packets {
		require.NoError(m.t, w.WritePacket(gopacket.CaptureInfo{Timestamp: m.time(i), CaptureLength: len(p), Length: len(p)}, p))
	}
	return b.Bytes()
}

func (m *captureMaker) pcapng() []byte {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	require.NoError(m.t, err)
	for i, p := range m.packets {
		require.NoError(m.t, w.WritePacket(gopacket.CaptureInfo{Timestamp: m.time(i), CaptureLength: len(p), Length: len(p)}, p))
	}
	require.NoError(m.t, w.Flush())
	return b.Bytes()
}

// testFrame returns a frame of a vehicle whose VIN ends with the number.
func testFrame(t *testing.T, e codec.Edition, c codec.Command, flag codec.Flag, vin string, unit []byte) []byte {
	t.Helper()
	h := codec.Header{Edition: e, Command: c, Flag: flag, Encryption: codec.EncryptionNone}
	copy(h.VIN[:], vin)
	b, err := codec.AppendFrame(nil, h, unit)
	require.NoError(t, err)
	return b
}

// testCapture is a capture with everything that may happen in one.
func testCapture(t *testing.T) *captureMaker {
	m := &captureMaker{t: t}
	at := []byte{26, 11, 23, 16, 0, 0}
	engine := append(at[:6:6], 0x04, 1, 0x0B, 0xB8, 0x00, 0x64)
	logout := append(at[:6:6], 0, 1)
	const a, b, server = "10.0.0.1", "10.0.0.2", "10.0.0.9"

	// A vehicle whose segments come split, out of order, twice, and several frames in one; it is answered.
	v := m.dial(a, 40001, server, 8999, false)
	report := testFrame(t, codec.Edition2016, codec.CommandRealtime, codec.FlagCommand, "LTEST000000000001", engine)
	answer := testFrame(t, codec.Edition2016, codec.CommandRealtime, codec.FlagSuccess, "LTEST000000000001", at)
	v.send(0, report, 1, 1, 20, 3)
	v.send(1, answer)
	v.send(0, append(report, report...), 30)
	m.swap()
	seq := v.ends[0].seq
	v.send(0, report)
	v.packet(0, seq, report, nil)
	v.packet(0, seq+5, report[5:15], nil)
	v.send(1, append(answer, answer...), 20)

	// A web page, in which nothing is a frame, and datagrams.
	w := m.dial(b, 40002, server, 80, false)
	w.send(0, []byte("GET / HTTP/1.1\r\nHost: ##example$$\r\n\r\n"))
	w.send(1, []byte("HTTP/1.1 200 OK\r\n\r\n##"+strings.Repeat("$$ no frame ", 50)))
	w.close()
	udp := &layers.UDP{SrcPort: 1, DstPort: 8999}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.ParseIP(a), DstIP: net.ParseIP(server)}
	require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
	m.add(&layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4}, ip, udp, gopacket.Payload(report))

	// A vehicle of 2025 over IPv6, on some other port: the capture began within its first frame, some bytes were damaged, a
	// segment was lost, and the last frame is cut.
	x := m.dial("2001:db8::1", 40003, "2001:db8::9", 31000, true)
	frame := testFrame(t, codec.Edition2025, codec.CommandVehicleLogout, codec.FlagCommand, "TESTVIN0000000003", logout)
	wrong := bytes.Clone(frame)
	wrong[len(wrong)-1] ^= 1
	x.send(0, frame[20:])
	x.send(0, append(frame, "\x00garbage"...), 10)
	x.send(0, append(frame, wrong...))
	x.send(0, frame[:12])
	x.lose(0, frame[12:])
	x.send(0, append(frame, frame[:25]...))

	v.send(0, testFrame(t, codec.Edition2016, codec.CommandVehicleLogout, codec.FlagCommand, "LTEST000000000001", logout))
	v.close()

	// A fragment of an IP packet.
	m.add(&layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, FragOffset: 100, SrcIP: net.ParseIP(a), DstIP: net.ParseIP(server)}, gopacket.Payload(report))
	return m
}

func TestDecodeCapture(t *testing.T) {
	m := testCapture(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "t.pcap")
	require.NoError(t, os.WriteFile(file, m.pcap(), 0o600))
	for name, in := range map[string]struct{ stdin, arg string }{
		"pcap":            {arg: file},
		"pcap on stdin":   {stdin: string(m.pcap()), arg: "-"},
		"pcapng on stdin": {stdin: string(m.pcapng()), arg: "-"},
	} {
		code, stdout, stderr := tboxgate(t, in.stdin, "decode", "--pcap", in.arg)
		golden(t, "testdata/capture.golden", []byte(stdout))
		require.Equal(t, 1, code, name)
		require.Regexp(t, `^tboxgate: decode: .+: 1 IP fragments left out\ntboxgate: decode: 6 bad, 11 good\n$`, stderr)
	}

	code, stdout, _ := tboxgate(t, "", "decode", "--pcap", file, "--dissect")
	require.Equal(t, 1, code)
	golden(t, "testdata/capture-dissect.golden", []byte(stdout))

	// The keys of the capture are derived: encode makes the frames of the others.
	code, stdout, stderr := tboxgate(t, "", "decode", "--pcap", file, "--port", "8999", "--port", "9000")
	require.Zero(t, code, stderr)
	require.Equal(t, 8, strings.Count(stdout, "\n"))
	code, frames, stderr := tboxgate(t, stdout, "encode", "--binary")
	require.Zero(t, code, stderr)
	require.Equal(t, 8, strings.Count(frames, "##"))

	// With its port given, everything in a stream counts.
	code, stdout, _ = tboxgate(t, "", "decode", "--pcap", file, "--port", "80")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, `"_src":"10.0.0.9:80","_dst":"10.0.0.2:40002"`)
	require.NotContains(t, stdout, `"v":1`)
}

func TestDecodeCaptureErrors(t *testing.T) {
	m := testCapture(t)
	whole := m.pcap()
	for _, c := range []struct {
		stdin string
		code  int
		want  string
	}{
		{"", 1, "tboxgate: decode: standard input: no capture: the file is too short\n"},
		{"##no capture at all, but long enough", 1, "tboxgate: decode: standard input: no pcap capture: Unknown magic 6f6e2323\n"},
		{"\x0A\x0D\x0D\x0A", 1, "tboxgate: decode: standard input: no pcapng capture: EOF\n"},
		{string(whole[:len(whole)-10]), 1, "tboxgate: decode: standard input: packet 36: unexpected EOF\n"},
	} {
		code, stdout, stderr := tboxgate(t, c.stdin, "decode", "--pcap", "-")
		require.Equal(t, c.want, stderr)
		require.Equal(t, c.code, code)
		if len(c.stdin) > 1000 {
			require.Contains(t, stdout, `"v":1`, "what could be read is decoded")
		}
	}
}

// TestDecodeCaptureLarge: streams that are not ours cost nothing, however long they are.
func TestDecodeCaptureLarge(t *testing.T) {
	m := &captureMaker{t: t}
	c := m.dial("10.0.0.1", 1, "10.0.0.2", 2, false)
	for range 2000 {
		c.send(0, bytes.Repeat([]byte{'x', '#', '#', 2, '$', '$'}, 200))
	}
	code, stdout, stderr := tboxgate(t, string(m.pcap()), "decode", "--pcap", "-")
	require.Zero(t, code, stderr)
	require.Empty(t, stdout)
}

// TestDecodeCaptureLong: segments that are longer than a packet, as a network card's offloading makes them, may come in
// the wrong order too.
func TestDecodeCaptureLong(t *testing.T) {
	m := &captureMaker{t: t}
	frame := testFrame(t, codec.Edition2025, codec.CommandHeartbeat, codec.FlagCommand, "TESTVIN0000000004", nil)
	c := m.dial("10.0.0.1", 1, "10.0.0.2", 2, false)
	c.send(0, bytes.Repeat(frame, 1000), 2)
	m.swap()
	c.send(0, bytes.Repeat(frame, 400))
	c.send(0, bytes.Repeat(frame, 400))
	m.swap()
	code, stdout, stderr := tboxgate(t, string(m.pcap()), "decode", "--pcap", "-")
	require.Zero(t, code, stderr)
	require.Equal(t, 1800, strings.Count(stdout, "\n"))
	require.Equal(t, 400, strings.Count(stdout, "08:00:00.005000Z"), "each frame has the time of its own packet")
}

// TestDecodeCaptureMutations: no capture makes the program fall over.
func TestDecodeCaptureMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(32960, 4))
	whole := testCapture(t)
	for range 1000 {
		m := &captureMaker{t: t}
		for _, p := range whole.packets {
			if random.IntN(10) == 0 {
				continue
			}
			p = bytes.Clone(p)
			for range random.IntN(4) {
				// Mostly in the headers.
				p[random.IntN(min(len(p), 14+40+20))] = [...]byte{0, 1, 0xFF, 0x80, byte(random.UintN(256))}[random.IntN(5)]
			}
			m.packets = append(m.packets, p[:len(p)-random.IntN(2)*random.IntN(len(p))])
		}
		random.Shuffle(random.IntN(2)*len(m.packets), func(i, j int) { m.packets[i], m.packets[j] = m.packets[j], m.packets[i] })
		_, _, stderr := tboxgate(t, string(m.pcap()), "decode", "--pcap", "-")
		require.NotContains(t, stderr, "packet ")
	}
}
