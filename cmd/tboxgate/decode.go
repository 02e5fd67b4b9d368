package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
)

func (p *program) decodeCommand() *cli.Command {
	return &cli.Command{
		Name:      "decode",
		Usage:     "print frames as JSON, one a line, or as annotated hex dumps",
		ArgsUsage: "[HEX|FILE|-]...",
		Description: "Arguments are files, - for standard input (also without any), or frames in hex.\n" +
			"A file or standard input holds frames in binary (it begins with ## or $$), JSON lines with a key\n" +
			"\"hex\", or hex; a line of hex that begins with no start mark goes on with the frame above it.\n" +
			"A bad frame is printed as {\"error\":…,\"offset\":…,\"hex\":…}, and the exit status is 1 at the end.\n" +
			"Passwords and keys are shown. See docs/decode.md.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "pretty", Usage: "indent the JSON", DisableDefaultText: true},
			&cli.BoolFlag{Name: "dissect", Usage: "print an annotated hex dump of each frame instead", DisableDefaultText: true},
			&cli.StringFlag{Name: "pcap", Usage: "read the TCP streams of a capture `FILE` (pcap or pcapng, - for standard input)"},
			&cli.IntSliceFlag{Name: "port", Usage: "with --pcap: the TCP `PORT` of the streams, may be given more than once (default: any)"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 0, anyNumber)
			if err != nil {
				return err
			}
			d := &decoder{out: bufio.NewWriter(p.stdout), pretty: c.Bool("pretty"), dissect: c.Bool("dissect")}
			switch {
			case d.pretty && d.dissect:
				return usagef(c, "--pretty is for JSON, --dissect prints none")
			case c.IsSet("pcap") && len(args) > 0:
				return usagef(c, "--pcap has its file already, unexpected argument %q", args[0])
			case c.IsSet("pcap"):
				if err := p.decodeCapture(c, d); err != nil {
					return errors.Join(d.out.Flush(), err)
				}
			case c.IsSet("port"):
				return usagef(c, "--port is for --pcap")
			case len(args) == 0:
				args = []string{"-"}
			}
			for _, a := range args {
				if err := p.decodeArgument(d, a); err != nil {
					return errors.Join(d.out.Flush(), err)
				}
			}
			if err := d.out.Flush(); err != nil {
				return err
			}
			if d.bad > 0 {
				return fmt.Errorf("decode: %d bad, %d good", d.bad, d.good)
			}
			return nil
		},
	}
}

func (p *program) decodeArgument(d *decoder, a string) error {
	if a == "-" {
		return d.stream(p.stdin)
	}
	f, err := os.Open(a)
	if err == nil {
		defer func() { _ = f.Close() }()
		return d.stream(f)
	}
	var path *fs.PathError
	switch {
	case looksLikeHex(a):
		return d.hex(strings.NewReader(a))
	case errors.Is(err, fs.ErrPermission) || !errors.As(err, &path):
		return err
	}
	_, notHex := unhex([]byte(a))
	if notHex == nil {
		notHex = errors.New("it begins with 2323 or 2424")
	}
	return fmt.Errorf("decode: %s is neither a file (%w) nor a frame in hex (%w)", excerpt(a), path.Err, notHex)
}

// looksLikeHex tells a frame typed as an argument from the name of a file that is not there.
func looksLikeHex(s string) bool {
	return strings.HasPrefix(s, "2323") || strings.HasPrefix(s, "2424") || len(s) >= 2*codec.MinFrameSize &&
		strings.Trim(s, "0123456789abcdefABCDEF \t\r\n") == ""
}

// excerpt quotes s for a message, its beginning when it is long.
func excerpt(s string) string {
	const most = 40
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// decoder prints what it reads. An error of its methods ends the command; a bad frame does not.
type decoder struct {
	out       *bufio.Writer
	pretty    bool
	dissect   bool
	origin    *origin // of what is printed next, when it comes from a capture
	good, bad int
	message   codec.Message
	json      []byte
}

// stream finds out which of the three forms src has.
func (d *decoder) stream(src io.Reader) error {
	r := bufio.NewReaderSize(src, 64<<10)
	head, err := r.Peek(512)
	if len(head) == 0 {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n")
	switch {
	case isMark(head), !isText(head):
		return d.binary(r)
	case bytes.HasPrefix(text, []byte("{")):
		return d.jsonLines(r)
	default:
		return d.hex(r)
	}
}

func isMark(b []byte) bool {
	return bytes.HasPrefix(b, []byte("##")) || bytes.HasPrefix(b, []byte("$$"))
}

func isText(b []byte) bool {
	for _, c := range bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF")) {
		if c >= 0x7F || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

// binary decodes a stream of frames, finding the way back after damage as the gateway does.
func (d *decoder) binary(src io.Reader) error { return eachFrame(src, d.frame, d.problem) }

// eachFrame calls good for every frame of a stream, and bad for the bytes between them.
func eachFrame(src io.Reader, good func(codec.Frame) error, bad func(text string, offset int64, raw []byte) error) error {
	h := &history{src: src}
	r := codec.NewReader(h, 0)
	for {
		f, err := r.ReadFrame()
		var damage *codec.FrameError
		switch {
		case err == nil:
			if err := good(f); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &damage):
			text := damage.Kind.Error()
			if errors.Is(damage, codec.ErrShort) {
				text += fmt.Sprintf(": %d bytes of %d", damage.Have, damage.Want)
			}
			if err := bad(text, damage.Offset, h.bytes(damage.Offset, damage.Skipped)); err != nil {
				return err
			}
		default:
			return err
		}
		h.forget(r.Offset())
	}
}

// history keeps what was read and not forgotten, to show the bytes that a codec.Reader skipped.
type history struct {
	src  io.Reader
	kept []byte
	base int64 // of kept[0] in the stream
}

func (h *history) Read(b []byte) (int, error) {
	n, err := h.src.Read(b)
	h.kept = append(h.kept, b[:n]...)
	return n, err
}

func (h *history) bytes(offset int64, n int) []byte { return h.kept[offset-h.base:][:n] }

func (h *history) forget(until int64) {
	h.kept = h.kept[:copy(h.kept, h.kept[until-h.base:])]
	h.base = until
}

// hex decodes lines of hex digits, which may be separated by blanks. A line that begins with a start mark begins a
// new unit; any other goes on with the one above it.
func (d *decoder) hex(src io.Reader) error {
	var unit []byte
	flush := func() error {
		if len(unit) == 0 {
			return nil
		}
		err := d.binary(bytes.NewReader(unit))
		unit = unit[:0]
		return err
	}
	err := eachLine(src, func(number int, line []byte) error {
		raw, err := unhex(line)
		if err != nil {
			if err := flush(); err != nil {
				return err
			}
			return d.problem(fmt.Sprintf("line %d: %v", number, err), 0, nil)
		}
		if isMark(raw) {
			if err := flush(); err != nil {
				return err
			}
		}
		unit = append(unit, raw...)
		return nil
	})
	return errors.Join(err, flush())
}

func unhex(line []byte) ([]byte, error) {
	digits := make([]byte, 0, len(line))
	for _, c := range line {
		if c != ' ' && c != '\t' {
			digits = append(digits, c)
		}
	}
	raw := make([]byte, hex.DecodedLen(len(digits)))
	n, err := hex.Decode(raw, digits)
	var bad hex.InvalidByteError
	switch {
	case errors.As(err, &bad):
		return nil, fmt.Errorf("not hex: %q", byte(bad))
	case err != nil:
		return nil, errors.New("not hex: an odd number of digits")
	}
	return raw[:n], nil
}

// jsonLines decodes the "hex" of each line.
func (d *decoder) jsonLines(src io.Reader) error {
	return eachLine(src, func(number int, line []byte) error {
		var v struct {
			Hex *string `json:"hex"`
		}
		switch err := json.Unmarshal(line, &v); {
		case err != nil:
			return d.problem(fmt.Sprintf("line %d: not JSON: %v", number, err), 0, nil)
		case v.Hex == nil:
			return d.problem(fmt.Sprintf("line %d: no key \"hex\"", number), 0, nil)
		}
		raw, err := unhex([]byte(*v.Hex))
		if err != nil {
			return d.problem(fmt.Sprintf("line %d: %v", number, err), 0, nil)
		}
		return d.binary(bytes.NewReader(raw))
	})
}

// eachLine calls fn for every line that is not blank.
func eachLine(src io.Reader, fn func(number int, line []byte) error) error {
	r := bufio.NewReader(src)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := fn(number, line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d *decoder) frame(f codec.Frame) error {
	d.good++
	if d.dissect {
		return d.printDump(f)
	}
	d.message.Decode(f)
	d.json = d.message.AppendJSON(d.json[:0], codec.JSONOptions{})
	return d.print(d.json)
}

func (d *decoder) problem(text string, offset int64, raw []byte) error {
	d.bad++
	if d.dissect {
		return d.printBad(text, offset, raw)
	}
	line, err := json.Marshal(struct {
		Error  string `json:"error"`
		Offset int64  `json:"offset"`
		Hex    string `json:"hex"`
	}{text, offset, hex.EncodeToString(raw)})
	if err != nil {
		return err
	}
	return d.print(line)
}

func (d *decoder) print(object []byte) error {
	if d.origin != nil {
		object = append(d.origin.appendKeys(object[:len(object)-1]), '}')
	}
	if d.pretty {
		var b bytes.Buffer
		if err := json.Indent(&b, object, "", "  "); err != nil {
			return err
		}
		object = b.Bytes()
	}
	if _, err := d.out.Write(object); err != nil {
		return err
	}
	return d.out.WriteByte('\n')
}
