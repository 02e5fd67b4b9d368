package codec

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// worked holds the example frames of the wire specification (section 10, 2016) with what the text
// says of them.
var worked = []struct {
	name    string
	hex     string
	command Command
	flag    Flag
	vin     string
	time    string // "" when the frame has none
	unit    int
}{
	{"10.1 vehicle login", "232301fe4c54455354313937323333313535333531 01 001e 120a1e142336 00fd 3238313739363238383736313132333233353630 01 00 49",
		CommandVehicleLogin, FlagCommand, "LTEST197233155351", "2018-10-30T20:35:54+08:00", 30},
	{"10.1 answer", "232301014c54455354313937323333313535333531010006120a1e14233651",
		CommandVehicleLogin, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:54+08:00", 6},
	{"10.1 error", "232301024c54455354313937323333313535333531010006120a1e14233652",
		CommandVehicleLogin, FlagError, "LTEST197233155351", "2018-10-30T20:35:54+08:00", 6},
	{"10.1 VIN duplicate", "232301034c54455354313937323333313535333531010006120a1e14233653",
		CommandVehicleLogin, FlagVINDuplicate, "LTEST197233155351", "2018-10-30T20:35:54+08:00", 6},
	{"10.1 Annex B echo", "232301014c5445535431393732333331353533353101001e120a1e14233700fd32383137393632383837363131323332333536300100b7",
		CommandVehicleLogin, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 30},
	{"10.2 login with codes", "232301fe4c5445535435353934303333333730373001002411020e1105130007313032303830333633313339313530333436383503023130393230399f",
		CommandVehicleLogin, FlagCommand, "LTEST559403337070", "2017-02-14T17:05:19+08:00", 36},
	{"10.2 login with one code", "232301fe4c5445535436373431363032313538363101002b110512120d2f00193730333335374232383735393031383030363433010d35343937373134343935363535ea",
		CommandVehicleLogin, FlagCommand, "LTEST674160215861", "2017-05-18T18:13:47+08:00", 43},
	{"10.3 vehicle logout", "232304fe4c54455354343932323738323536393736010008120a1e142411001491",
		CommandVehicleLogout, FlagCommand, "LTEST492278256976", "2018-10-30T20:36:17+08:00", 8},
	{"10.3 answer", "232304014c54455354343932323738323536393736010006120a1e14241174",
		CommandVehicleLogout, FlagSuccess, "LTEST492278256976", "2018-10-30T20:36:17+08:00", 6},
	{"10.4 heartbeat", "232307fe4c54455354343433373233303434363035010000a4",
		CommandHeartbeat, FlagCommand, "LTEST443723044605", "", 0},
	{"10.4 answer", "232307014c544553543434333732333034343630350100005b",
		CommandHeartbeat, FlagSuccess, "LTEST443723044605", "", 0},
	{"10.4 answer with a time", "232307014c54455354313937323333313535333531010006120a1e14233756",
		CommandHeartbeat, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 6},
	{"10.5 time sync", "232308fe4c54455354353739333034323830363036010000ab",
		CommandTimeSync, FlagCommand, "LTEST579304280606", "", 0},
	{"10.5 answer", "232308014c54455354313937323333313535333531010006120a1e14233759",
		CommandTimeSync, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 6},
	{"10.6 platform login", "232305fe4c544553543930373237343039363634380100291407141326220001746573746572000000000000746573742d70617373776f72640000000000000001b6",
		CommandPlatformLogin, FlagCommand, "LTEST907274096648", "2020-07-20T19:38:34+08:00", 41},
	{"10.6 derived", "232305fe4c54455354383934373332343831383034010029120a1e1423360001746573746572000000000000746573742d70617373776f72640000000000000001a9",
		CommandPlatformLogin, FlagCommand, "LTEST894732481804", "2018-10-30T20:35:54+08:00", 41},
	{"10.7 platform logout", "232306fe4c544553543933363833363534383336350100081206161015150046f7",
		CommandPlatformLogout, FlagCommand, "LTEST936836548365", "2018-06-22T16:21:21+08:00", 8},
	{"10.7 answer", "232306014c5445535439333638333635343833363501000612061610151540",
		CommandPlatformLogout, FlagSuccess, "LTEST936836548365", "2018-06-22T16:21:21+08:00", 6},
	{"10.8 realtime", `232302fe4c5445535437323136393931343431313901007f120a1e142400
		01 01 03 01 0000 001b390b 1649 25da 39 02 3e 41b6 00 01
		02 01 01 04 28 4e20 4e20 28 0000 2710
		05 00 073d2708 01dcda6a
		06 01 3f 0cbf 01 5b 0cb2 01 02 46 01 4e 40
		07 00 00000000 00 00 00 00
		80 0030 00000003e803e8ffffffffffffffffffffffffffff1649feca00000000000000000000ffff00000000ff280028282802 d4`,
		CommandRealtime, FlagCommand, "LTEST721699144119", "2018-10-30T20:36:00+08:00", 127},
	{"10.8 answer", "232302014c54455354373231363939313434313139010006120a1e14240062",
		CommandRealtime, FlagSuccess, "LTEST721699144119", "2018-10-30T20:36:00+08:00", 6},
	{"10.11 invalid values", "232302fe4c54455354363334323537333530353737010087110707121f340100030100000127b5ae1826271063000026ab0000020101025a4e204e204c0a46270605000732c3c101e5d52706ffffffffffffffffffffffffffff07ff000103000000000008010118262710ffff000101ffff09010100285151535251515151515151515151505151515051515150515051505050505050515151515153515351",
		CommandRealtime, FlagCommand, "LTEST634257350577", "2017-07-07T18:31:52+08:00", 135},
	{"10.13 query", "232380fe4c5445535431393732333331353533353101000a120a1e142337030102092b",
		CommandParamQuery, FlagCommand, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 10},
	{"10.13 query answer", "232380014c5445535431393732333331353533353101000f120a1e1423370301177002000a093c80",
		CommandParamQuery, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 15},
	{"10.13 set", "232381fe4c5445535431393732333331353533353101000c120a1e1423370202000a093c1a",
		CommandParamSet, FlagCommand, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 12},
	{"10.13 set answer, time", "232381014c54455354313937323333313535333531010006120a1e142337d0",
		CommandParamSet, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 6},
	{"10.13 set answer, echo", "232381014c5445535431393732333331353533353101000c120a1e1423370202000a093ce5",
		CommandParamSet, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 12},
	{"10.13 control reset", "232382fe4c54455354313937323333313535333531010007120a1e142337032e",
		CommandControl, FlagCommand, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 7},
	{"10.13 control answer", "232382014c54455354313937323333313535333531010007120a1e14233703d1",
		CommandControl, FlagSuccess, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 7},
	{"10.13 control alarm", "232382fe4c5445535431393732333331353533353101000c120a1e1423370602c9b2b3b55f",
		CommandControl, FlagCommand, "LTEST197233155351", "2018-10-30T20:35:55+08:00", 12},
}

func TestWorkedExamples(t *testing.T) {
	for _, c := range worked {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			f, err := ParseFrame(b)
			require.NoError(t, err)
			require.Equal(t, Edition2016, f.Edition())
			require.Equal(t, c.command, f.Command())
			require.Equal(t, c.flag, f.Flag())
			require.Equal(t, c.vin, f.VIN().String())
			require.Equal(t, c.vin, string(f.RawVIN()))
			require.Equal(t, EncryptionNone, f.Encryption())
			require.Len(t, f.Unit(), c.unit)
			tm, ok := f.Time()
			require.Equal(t, c.time != "", ok)
			if ok {
				require.Equal(t, c.time, tm.Format(time.RFC3339))
				require.Equal(t, f.Unit()[:6], f.TimeBytes())
			} else {
				require.Nil(t, f.TimeBytes())
			}
			got, n, err := Next(append(b, "##"...), 0)
			require.NoError(t, err)
			require.Equal(t, len(b), n)
			require.Equal(t, f, got)
		})
	}
}

func TestParseFrameErrors(t *testing.T) {
	good := unhex(t, worked[0].hex)
	change := func(at int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = v
		return b
	}
	tests := []struct {
		name string
		b    []byte
		kind error
		want string
	}{
		{"nothing", nil, ErrShort, "codec: frame cut short at offset 0: 0 bytes, 25 needed"},
		{"half a mark", []byte("#"), ErrShort, "codec: frame cut short at offset 1: 1 bytes, 25 needed"},
		{"no mark, short", []byte("GET / HTTP/1.1"), ErrStart, "codec: no start mark at offset 0"},
		{"mixed mark", change(1, '$'), ErrStart, "codec: no start mark at offset 0"},
		{"no mark", change(0, 'X'), ErrStart, "codec: no start mark at offset 0"},
		{"header cut", good[:20], ErrShort, "codec: frame cut short at offset 20: 20 bytes, 25 needed"},
		{"unit cut", good[:40], ErrShort, "codec: frame cut short at offset 40: 40 bytes, 55 needed"},
		{"length 65532", append(append(append([]byte(nil), good[:22]...), 0xFF, 0xFC), good[24:]...), ErrLength,
			"codec: bad length at offset 22: 65532 bytes, 65531 possible"},
		{"bytes after the end", append(append([]byte(nil), good...), 0), ErrLength,
			"codec: bad length at offset 55: 56 bytes, 55 possible"},
		{"check byte", change(54, 0x4A), ErrCheck, "codec: wrong check byte at offset 54: 0x4A, computed 0x49"},
		{"a bit of the unit", change(30, 0x04), ErrCheck, "codec: wrong check byte at offset 54: 0x49, computed 0x4D"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseFrame(c.b)
			require.ErrorIs(t, err, c.kind)
			var fe *FrameError
			require.True(t, errors.As(err, &fe))
			require.EqualError(t, err, c.want)
		})
	}
	// Start mark and check byte of the other edition: the mark is outside the check.
	b := change(0, '$')
	b[1] = '$'
	f, err := ParseFrame(b)
	require.NoError(t, err)
	require.Equal(t, Edition2025, f.Edition())
}

// TestTimeBytes covers where the leading six bytes of a data unit are a time and where not.
func TestTimeBytes(t *testing.T) {
	six := []byte{26, 2, 28, 23, 59, 59}
	tests := []struct {
		name string
		h    Header
		unit []byte
		want bool
	}{
		{"realtime", Header{Edition: Edition2016, Command: 2, Flag: 0xFE, Encryption: 1}, append(six, 1, 2), true},
		{"only the time", Header{Edition: Edition2025, Command: 2, Flag: 0xFE, Encryption: 1}, six, true},
		{"encryption 0x00 is plain", Header{Edition: Edition2016, Command: 2, Flag: 0xFE, Encryption: 0}, six, true},
		{"encrypted", Header{Edition: Edition2016, Command: 2, Flag: 0xFE, Encryption: 3}, six, false},
		{"encryption invalid", Header{Edition: Edition2016, Command: 2, Flag: 0xFE, Encryption: 0xFF}, six, false},
		{"five bytes", Header{Edition: Edition2016, Command: 2, Flag: 0xFE, Encryption: 1}, six[:5], false},
		{"heartbeat of 41 bytes", Header{Edition: Edition2016, Command: 7, Flag: 0xFE, Encryption: 1}, make([]byte, 41), false},
		{"time sync with a time", Header{Edition: Edition2016, Command: 8, Flag: 0xFE, Encryption: 1}, six, true},
		{"activation", Header{Edition: Edition2025, Command: 9, Flag: 0xFE, Encryption: 1}, append(six, 'c'), true},
		{"activation is not of 2016", Header{Edition: Edition2016, Command: 9, Flag: 0xFE, Encryption: 1}, append(six, 'c'), false},
		{"activation response", Header{Edition: Edition2025, Command: 0x0A, Flag: 0xFE, Encryption: 1}, six, false},
		{"key exchange", Header{Edition: Edition2025, Command: 0x0B, Flag: 0xFE, Encryption: 1}, six, false},
		{"key exchange answered", Header{Edition: Edition2025, Command: 0x0B, Flag: 1, Encryption: 1}, six, true},
		{"custom", Header{Edition: Edition2025, Command: 0xC1, Flag: 0xFE, Encryption: 1}, six, false},
		{"control", Header{Edition: Edition2025, Command: 0x82, Flag: 1, Encryption: 1}, append(six, 3), true},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			b, err := AppendFrame(nil, c.h, c.unit)
			require.NoError(t, err)
			f, err := ParseFrame(b)
			require.NoError(t, err)
			tm, ok := f.Time()
			require.Equal(t, c.want, ok)
			if !c.want {
				require.Nil(t, f.TimeBytes())
				return
			}
			require.Equal(t, six, f.TimeBytes())
			require.Equal(t, "2026-02-28T23:59:59+08:00", tm.Format(time.RFC3339))
		})
	}
	// A time that no calendar has can be repeated in an answer, but is no time.Time.
	b, err := AppendFrame(nil, Header{Command: CommandRealtime, Encryption: 1}, []byte{26, 2, 30, 0, 0, 0})
	require.NoError(t, err)
	_, ok := Frame(b).Time()
	require.False(t, ok)
	require.Equal(t, []byte{26, 2, 30, 0, 0, 0}, Frame(b).TimeBytes())
}

func TestViewsDoNotGrowIntoTheFrame(t *testing.T) {
	b := unhex(t, worked[0].hex)
	f, err := ParseFrame(b)
	require.NoError(t, err)
	_ = append(f.Unit(), 0xEE)
	_ = append(f.RawVIN(), 0xEE)
	_ = append(f.TimeBytes(), 0xEE)
	require.Equal(t, unhex(t, worked[0].hex), b)
}

func TestNeed(t *testing.T) {
	b := benchFrame(t, "realtime.bin")
	require.Equal(t, MinFrameSize, Need(nil))
	require.Equal(t, MinFrameSize, Need(b[:23]))
	require.Equal(t, 334, Need(b[:24]))
	require.Equal(t, 334, Need(b))
}
