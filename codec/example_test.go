package codec_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

func ExampleParseFrame() {
	b, _ := hex.DecodeString("232304fe4c54455354343932323738323536393736010008120a1e142411001491")
	f, err := codec.ParseFrame(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, _ := f.Time()
	fmt.Println(f.Edition(), f.Command().Name(f.Edition()), f.Flag(), f.VIN(), f.Encryption())
	fmt.Println(t.Format(time.RFC3339), len(f.Unit()), "bytes")
	// Output:
	// 2016 vehicleLogout command LTEST492278256976 none
	// 2018-10-30T20:36:17+08:00 8 bytes
}

// A login is answered with its own time and a flag.
func ExampleAppendAnswer() {
	login, _ := hex.DecodeString("232301fe4c5445535431393732333331353533353101001e120a1e14233600fd32383137393632383837363131323332333536300100" + "49")
	f, err := codec.ParseFrame(login)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes())
	fmt.Printf("%x\n", answer)
	// Output:
	// 232301014c54455354313937323333313535333531010006120a1e14233651
}

func ExampleAppendFrame() {
	vin, err := codec.ParseVIN("LTEST443723044605")
	if err != nil {
		fmt.Println(err)
		return
	}
	heartbeat, err := codec.AppendFrame(nil, codec.Header{
		Edition:    codec.Edition2016,
		Command:    codec.CommandHeartbeat,
		Flag:       codec.FlagCommand,
		VIN:        vin,
		Encryption: codec.EncryptionNone,
	}, nil)
	fmt.Printf("%x %v\n", heartbeat, err)
	// Output:
	// 232307fe4c54455354343433373233303434363035010000a4 <nil>
}

// The buffer of a connection: whole frames are taken off its front, the rest waits for more bytes.
func ExampleNext() {
	buf, _ := hex.DecodeString("ff" + // a stray byte
		"232307fe4c54455354343433373233303434363035010000a4" + // a heartbeat
		"242408fe4c54455354353739333034323830363036010000ab" + // a time sync of the 2025 edition
		"232307fe4c54") // the start of the next frame
	for {
		f, n, err := codec.Next(buf, codec.MaxUnitSize)
		if n == 0 {
			break
		}
		if err != nil {
			fmt.Println("skipped", n, "byte:", errors.Unwrap(err))
		} else {
			fmt.Println(f.Edition(), f.Command().Name(f.Edition()), f.VIN())
		}
		buf = buf[n:]
	}
	fmt.Println(len(buf), "bytes wait, of", codec.Need(buf), "or more")
	// Output:
	// skipped 1 byte: no start mark
	// 2016 heartbeat LTEST443723044605
	// 2025 timeSync LTEST579304280606
	// 6 bytes wait, of 25 or more
}

func ExampleReader() {
	stream, _ := hex.DecodeString("232307fe4c54455354343433373233303434363035010000a4" +
		"232307fe4c54455354343433373233303434363035010000a5" + // a wrong check byte
		"232307014c544553543434333732333034343630350100005b")
	r := codec.NewReader(strings.NewReader(string(stream)), codec.MaxUnitSize)
	for {
		f, err := r.ReadFrame()
		var damaged *codec.FrameError
		switch {
		case errors.As(err, &damaged):
			fmt.Println(err)
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			fmt.Println(err)
			return
		default:
			fmt.Println(f.Command().Name(f.Edition()), f.Flag())
		}
	}
	// Output:
	// heartbeat command
	// codec: wrong check byte at offset 25; 25 bytes skipped
	// heartbeat success
}
