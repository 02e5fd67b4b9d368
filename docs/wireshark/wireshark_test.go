//go:build wireshark

// Package wireshark compares the Wireshark dissector with the codec. It needs tshark: make wireshark.
package wireshark

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/fuzz"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// capture is a file of TCP segments.
type capture struct {
	t    *testing.T
	file *os.File
	w    *pcapgo.Writer
	n    int
}

func newCapture(t *testing.T) *capture {
	f, err := os.Create(filepath.Join(t.TempDir(), "t.pcap"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	w := pcapgo.NewWriter(f)
	require.NoError(t, w.WriteFileHeader(1<<18, layers.LinkTypeIPv4))
	return &capture{t: t, file: f, w: w}
}

// segment adds a segment of the connection from port to port; seq is its first byte.
func (c *capture) segment(from, to layers.TCPPort, seq int, data []byte) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IPv4(10, 0, 0, 1), DstIP: net.IPv4(10, 0, 0, 9)}
	tcp := &layers.TCP{SrcPort: from, DstPort: to, Seq: uint32(1000 + seq), ACK: true, PSH: true, Window: 64240}
	require.NoError(c.t, tcp.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	require.NoError(c.t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, tcp, gopacket.Payload(data)))
	c.n++
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(time.Duration(c.n) * time.Millisecond)
	require.NoError(c.t, c.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b.Bytes()), Length: len(b.Bytes())}, b.Bytes()))
}

// stream adds a connection that carries the data, in segments of at most size bytes.
func (c *capture) stream(port layers.TCPPort, data []byte, size int) {
	from := layers.TCPPort(20000 + c.n%40000)
	for at := 0; at < len(data); at += size {
		c.segment(from, port, at, data[at:min(at+size, len(data))])
	}
}

// shark runs tshark over the capture.
func (c *capture) shark(args ...string) []byte {
	script, err := filepath.Abs("gbt32960.lua")
	require.NoError(c.t, err)
	cmd := exec.Command("tshark", append([]string{"-r", c.file.Name(), "-X", "lua_script:" + script}, args...)...)
	// A profile of the user must not change what is seen.
	cmd.Env = append(os.Environ(), "HOME="+c.t.TempDir(), "XDG_CONFIG_HOME="+c.t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(c.t, err, "%s", stderr.String())
	require.NotContains(c.t, stderr.String(), "Lua", "a mistake in the script")
	require.NotContains(c.t, string(out), "Lua Error")
	return out
}

// element is an element of tshark's PDML.
type element struct {
	XMLName xml.Name
	Name    string    `xml:"name,attr"`
	Show    string    `xml:"show,attr"`
	Pos     int       `xml:"pos,attr"`
	Size    int       `xml:"size,attr"`
	All     []element `xml:",any"`
}

// frames returns the frames that tshark found, each as the element of the protocol.
func (c *capture) frames() []element {
	var pdml element
	require.NoError(c.t, xml.Unmarshal(c.shark("-T", "pdml"), &pdml))
	var all []element
	for _, packet := range pdml.All {
		for _, p := range packet.All {
			if p.Name == "gbt32960" {
				all = append(all, p)
			}
		}
	}
	return all
}

// field is what both say about a field: its name in Wireshark, place and value.
type field struct {
	Name      string
	Pos, Size int
	Value     string
}

var (
	index    = regexp.MustCompile(`\[\d+\]`)
	infoItem = regexp.MustCompile(`^info\[(\d+)\]`)
)

// want returns what the codec says about a frame: the fields, and the number of problems by code.
func want(frame codec.Frame) (fields []field, problems map[string]int) {
	problems = map[string]int{}
	kinds := map[string]string{} // the type of each info item
	codec.Dissect(frame).Walk(func(n *codec.Node, _ int) {
		for _, c := range n.Problems {
			problems[string(c)]++
		}
		if n.Key == "info" {
			kinds[n.Path] = strings.SplitN(n.Name, ":", 2)[0]
			return
		}
		if !n.Leaf() || n.Size == 0 {
			return
		}
		// Paths become names: the item's type in place of its index, no indexes.
		kind := kinds[infoItem.FindString(n.Path)]
		path := infoItem.ReplaceAllString(n.Path, kind)
		name := index.ReplaceAllString(path, "")
		f := field{Name: "gbt32960." + name, Pos: n.Offset, Size: n.Size, Value: n.Value}
		switch cut := n.Kind == codec.KindBytes && len(n.Problems) > 0; {
		case n.Key == "type":
			f.Name = "gbt32960.type"
		case n.Key == "rest" || cut:
			f.Name = "gbt32960.rest"
		case n.Kind == codec.KindNumber && n.Value == "" && n.Unit == "" && (n.Meaning == "abnormal" || n.Meaning == "invalid") &&
			(n.Key == "cellCount" || !strings.HasSuffix(n.Key, "Count")):
			f.Name, f.Value = "gbt32960."+n.Meaning, name
		}
		switch {
		case n.Key == "separator":
			f.Value = ";"
		case n.Kind == codec.KindBytes && f.Value == "":
			f.Value = hex.EncodeToString(frame[n.Offset:][:n.Size])
		case n.Kind == codec.KindTime && f.Value == "":
			f.Value = "impossible time"
		case n.Kind == codec.KindNumber && (f.Value == "" || strings.HasPrefix(f.Value, "0x")):
			f.Value = strconv.FormatUint(uint64(n.Raw), 10)
		}
		if f.Name == "gbt32960.rest" || strings.HasSuffix(f.Name, ".data") || f.Name == "gbt32960.data" {
			f.Value = hex.EncodeToString(frame[n.Offset:][:n.Size])
		}
		fields = append(fields, f)
	})
	return fields, problems
}

// have returns the same of tshark's frame.
func have(p element) (fields []field, problems map[string]int) {
	problems = map[string]int{}
	base := -1
	var walk func(all []element)
	walk = func(all []element) {
		for _, e := range all {
			if code, ok := strings.CutPrefix(e.Name, "gbt32960.problem."); ok {
				problems[code]++
				continue
			}
			if strings.HasPrefix(e.Name, "gbt32960.alarms.flags.") {
				continue // a bit of the field above
			}
			leaf := true
			for _, c := range e.All {
				if strings.HasPrefix(c.Name, "gbt32960.") && !strings.HasPrefix(c.Name, "gbt32960.problem.") && !strings.HasPrefix(c.Name, "gbt32960.alarms.flags.") {
					leaf = false
				}
			}
			if base < 0 && strings.HasPrefix(e.Name, "gbt32960.") {
				base = e.Pos
			}
			if leaf && strings.HasPrefix(e.Name, "gbt32960.") && e.Name != "gbt32960.edition" && e.Size > 0 && !strings.HasSuffix(e.Name, ".list") {
				fields = append(fields, field{e.Name, e.Pos - base, e.Size, e.Show})
			}
			walk(e.All)
		}
	}
	walk(p.All)
	return fields, problems
}

// same reports whether two values are: numbers by what they are worth, hex with or without prefix.
func same(want, have string) bool {
	if want == have || want == strings.ReplaceAll(have, ":", "") {
		return true
	}
	if n, err := strconv.ParseUint(have, 0, 32); err == nil && want == strconv.FormatUint(n, 10) {
		return true
	}
	a, err := strconv.ParseFloat(want, 64)
	b, err2 := strconv.ParseFloat(have, 64)
	return err == nil && err2 == nil && (a == b || a-b < 1e-9 && b-a < 1e-9)
}

// compare checks frames that tshark found against those in the capture.
func compare(t *testing.T, frames [][]byte, found []element) {
	t.Helper()
	require.Len(t, found, len(frames))
	for i, frame := range frames {
		wantFields, wantProblems := want(frame)
		haveFields, haveProblems := have(found[i])
		for j, w := range wantFields {
			require.Greater(t, len(haveFields), j, "%x\n%v", frame, w)
			h := haveFields[j]
			// Text that is none is shown by each in its own way.
			if raw := frame[w.Pos:][:w.Size]; w.Value == "" && h.Name == w.Name || odd(raw) && h.Name == w.Name {
				h.Value = w.Value
			}
			require.True(t, w.Name == h.Name && w.Pos == h.Pos && w.Size == h.Size && same(w.Value, h.Value), "codec %+v\nwireshark %+v\n%x", w, h, frame)
		}
		require.Len(t, haveFields, len(wantFields), "%x", frame)
		// Whether bytes are GB 18030 is the codec's business alone.
		if wantProblems["padding"] >= haveProblems["padding"] {
			delete(wantProblems, "padding")
			delete(haveProblems, "padding")
		}
		require.Equal(t, wantProblems, haveProblems, "%x", frame)
	}
}

// odd reports whether a text has bytes that XML or tshark writes in another way.
func odd(raw []byte) bool {
	return len(raw) > 8 && bytes.ContainsFunc(bytes.TrimRight(raw, "\x00"), func(r rune) bool { return r < ' ' || r == 0x7F || r == 0xFFFD })
}

// samples returns the frames that other people made, and those of the golden files.
func samples(t *testing.T) [][]byte {
	var all [][]byte
	add := func(digits string) {
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		require.NoError(t, err)
		if _, err := codec.ParseFrame(b); err == nil {
			all = append(all, b)
		}
	}
	for _, name := range []string{"2016.jsonl", "2025.jsonl"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "codec", "testdata", "frames", name))
		require.NoError(t, err)
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			var s struct{ Hex string }
			require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
			add(s.Hex)
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "codec", "testdata", "golden", "*.txt"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		add(strings.SplitN(string(data), "\n\n", 3)[1])
	}
	require.Greater(t, len(all), 130)
	return all
}

// TestSamples compares every field of real frames.
func TestSamples(t *testing.T) {
	c := newCapture(t)
	all := samples(t)
	for _, frame := range all {
		c.stream(8999, frame, 1400)
	}
	compare(t, all, c.frames())
}

// TestGrammar compares frames that reach every item, parameter and command, odd ones included.
func TestGrammar(t *testing.T) {
	c := newCapture(t)
	var all [][]byte
	for i := range 1500 {
		input := make([]byte, 16+i%400)
		x := uint32(i*2654435761 + 12345)
		for j := range input {
			x = x*1664525 + 1013904223
			if input[j] = byte(x >> 24); x>>16&3 == 0 {
				input[j] &= 7
			}
		}
		frame := fuzz.Grammar(input)
		var m codec.Message
		m.Decode(frame)
		if p, _ := m.Fault(); p.Code == codec.CodeNotCanonical {
			continue // the codec's safety net
		}
		if len(frame) > 60000 {
			continue // longer than a packet
		}
		all = append(all, frame)
		c.stream(8999, frame, 60000)
	}
	compare(t, all, c.frames())
}

// TestSimulated: Wireshark finds nothing odd in what simulated vehicles send.
func TestSimulated(t *testing.T) {
	for _, e := range []codec.Edition{codec.Edition2016, codec.Edition2025} {
		c := newCapture(t)
		var all [][]byte
		for _, cells := range []int{96, 420} {
			frames, err := vehicle.Frames(vehicle.Config{VIN: "LTEST000000000001", Edition: e, Drive: vehicle.DriveDay, Pace: 30, Cells: cells},
				time.Date(2026, 11, 23, 8, 0, 0, 0, codec.Beijing), 30*time.Minute)
			require.NoError(t, err)
			for _, f := range frames {
				all = append(all, f)
				c.stream(8999, f, 1400)
			}
		}
		require.Greater(t, len(all), 200)
		found := c.frames()
		compare(t, all, found)
		for _, f := range found {
			_, problems := have(f)
			require.Empty(t, problems)
		}
	}
}

// TestReassembly: frames that are split, or several in a segment, are found; on any port when the
// first bytes look like a frame; damage is reported.
func TestReassembly(t *testing.T) {
	all := samples(t)[:40]
	stream := bytes.Join(all, nil)
	c := newCapture(t)
	c.stream(8999, stream, 7)
	c.stream(31000, stream, 100)
	c.stream(32960, stream, 5000)
	found := c.frames()
	compare(t, all, found[:len(all)])
	compare(t, all, found[len(all):2*len(all)])
	compare(t, all, found[2*len(all):])

	c = newCapture(t)
	wrong := bytes.Clone(all[0])
	wrong[len(wrong)-1] ^= 1
	c.stream(8999, bytes.Join([][]byte{all[1], []byte("garbage"), wrong, all[1]}, nil), 1000)
	c.stream(80, []byte("GET / HTTP/1.1\r\nHost: example\r\n\r\n"), 1000)
	found = c.frames()
	require.Len(t, found, 4)
	compare(t, [][]byte{all[1]}, found[:1])
	_, problems := have(found[1])
	require.Equal(t, map[string]int{"garbage": 1}, problems)
	_, problems = have(found[2])
	require.Equal(t, map[string]int{"badCheck": 1}, problems)
	compare(t, [][]byte{all[1]}, found[3:])
}

// TestFilters: the filters that README.md shows find something, and nothing else.
func TestFilters(t *testing.T) {
	c := newCapture(t)
	all := samples(t)
	for _, frame := range all {
		c.stream(8999, frame, 1400)
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	filters := regexp.MustCompile("(?m)^\\| `(gbt32960[^`]*)` \\|").FindAllStringSubmatch(string(readme), -1)
	require.Greater(t, len(filters), 8)
	for _, f := range filters {
		filter := strings.ReplaceAll(f[1], `\|`, "|") // a bar is escaped in a table
		lines := strings.Count(string(c.shark("-Y", filter, "-T", "fields", "-e", "frame.number")), "\n")
		require.Positive(t, lines, filter)
		require.Less(t, lines, len(all), filter)
	}
}
