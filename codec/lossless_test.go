package codec

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fixed returns frame with the check byte that it should have.
func fixed(frame []byte) []byte {
	f := bytes.Clone(frame)
	f[len(f)-1] = Check(f[offCommand : len(f)-1])
	return f
}

// requireLossless asserts the law of the JSON form on one good frame: wire and JSON, both ways.
func requireLossless(t testing.TB, m *Message, frame []byte) (text []byte) {
	t.Helper()
	m.Decode(Frame(frame))
	back, err := m.Append(nil)
	require.NoError(t, err, "append %x", frame)
	require.Equal(t, frame, back, "append(decode) of %x", frame)
	text = m.AppendJSON(nil, JSONOptions{})
	require.True(t, json.Valid(text), "%s", text)
	back, err = EncodeJSON([]byte("kept"), text)
	require.NoError(t, err, "%x\n%s", frame, text)
	require.Equal(t, "kept", string(back[:4]))
	require.Equal(t, frame, back[4:], "%s", text)
	return text
}

// requireStructure asserts that the whole unit was read: no rest, no safety net.
func requireStructure(t testing.TB, m *Message) {
	t.Helper()
	p, odd := m.Fault()
	require.False(t, odd, "%v", p)
	require.Empty(t, m.Rest)
}

func TestSamplesLossless(t *testing.T) {
	var m Message
	n := 0
	for _, s := range samples(t) {
		if !s.LenOK {
			continue
		}
		frame := fixed(s.bytes)
		text := requireLossless(t, &m, frame)
		require.NotContains(t, string(text), "notCanonical")
		if s.Struct == "ok" || strings.HasPrefix(s.Struct, "enc=0x00") {
			requireStructure(t, &m)
		}
		clone := m.Clone()
		clear(frame[offUnit:])
		require.Equal(t, string(text), string(clone.AppendJSON(nil, JSONOptions{})), "a clone is independent of the frame")
		n++
	}
	require.Greater(t, n, 120)
}

// TestMutationsLossless flips bytes of good frames and cuts them: whatever comes, the JSON gives the
// same bytes again and the safety net is not needed.
func TestMutationsLossless(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 40
	}
	random := rand.New(rand.NewPCG(32960, 2025))
	interesting := []byte{0, 1, 2, 6, 0x3B, 0x20, 0x7F, 0x80, 0xFD, 0xFE, 0xFF}
	frames := seedFrames(t)
	var m Message
	for range rounds {
		for _, seed := range frames {
			frame := bytes.Clone(seed)
			for range 1 + random.IntN(4) {
				at := random.IntN(len(frame) - 2)
				if len(frame) > MinFrameSize && random.IntN(3) > 0 {
					at = offFlag + random.IntN(len(frame)-offFlag-1)
				}
				if at < offCommand || at == offLength || at == offLength+1 {
					continue
				}
				if random.IntN(2) == 0 {
					frame[at] = interesting[random.IntN(len(interesting))]
				} else {
					frame[at] = byte(random.Uint32())
				}
			}
			if cut := random.IntN(8); cut < 2 && len(frame) > MinFrameSize+cut {
				n := random.IntN(len(frame) - MinFrameSize)
				unit := append(bytes.Clone(frame[offUnit:offUnit+n]), make([]byte, 2*cut*random.IntN(2))...)
				frame = frame[:offLength]
				frame = append(frame, byte(len(unit)>>8), byte(len(unit)))
				frame = append(append(frame, unit...), 0)
			}
			text := requireLossless(t, &m, fixed(frame))
			require.NotContains(t, string(text), "notCanonical", "%x", frame)
		}
	}
}

// seedFrames returns frames of every command and item: the good samples and those built here.
func seedFrames(t testing.TB) [][]byte {
	frames := goodSamples(t)
	for _, s := range samples(t) {
		if s.LenOK && !s.CheckOK {
			frames = append(frames, fixed(s.bytes))
		}
	}
	for _, unit := range []struct {
		e    Edition
		c    Command
		flag Flag
		hex  string
	}{
		{Edition2016, CommandParamQuery, FlagSuccess, "1102020b0c0c" + "02" + "011770" + "02000a"},
		{Edition2016, CommandParamSet, FlagCommand, "1102020b0c0c" + "10" + "011388" + "0200c8" + "037530" + "040a" + "05676f6f676c652e636f6d" + "061f90" +
			"07312e302e30" + "08302e302e31" + "093c" + "0a003c" + "0b003c" + "0c0a" + "0d0e" + "0e7777772e676f6f676c652e636f6d" + "0f2382" + "1001"},
		{Edition2025, CommandParamSet, FlagCommand, "1902020b0c0c" + "04" + "011388" + "021e" + "0301" + "09ff"},
		{Edition2016, CommandControl, FlagCommand, "1102020b0c0c" + "01" + "656d7174743b65757365726e616d653b70617373776f72643b0000c0a801013b1f903b766869643b312e302e303b302e302e313b6674703a2f2f656d7174742e696f2f6674702f7365727665723b0bb8"},
		{Edition2016, CommandControl, FlagCommand, "1102020b0c0c" + "01" + hexOf("emqtt;eusername;password;192.168.1.1;8080;vhid;1.0.0;0.0.1;ftp://emqtt.io/ftp/server;3000")},
		{Edition2025, CommandControl, FlagCommand, "1902020b0c0c" + "01" + hexOf("ftp://emqtt.io/ftp/server;emqtt;eusername;password;192.168.1.1;8080;vhid;1.0.0;0.0.1;3000")},
		{Edition2016, CommandControl, FlagCommand, "1102020b0c0c" + "06" + "02" + "c9b2b3b5"},
		{Edition2025, CommandActivationResponse, FlagCommand, "0201"},
		{Edition2025, CommandRealtime, FlagCommand, "1902020b0c0c" +
			"03" + "005001000102006401015040" + "3001" + "0101f403e803e803e85000024142" + "3101" + "03e8753000020e740e7500024142" + "32" + "0100020e74010003" + "0e70010004410100053f" +
			"ff" + "01" + "0002abcd" + "0002ef01"},
	} {
		frame, err := AppendFrame(nil, Header{Edition: unit.e, Command: unit.c, Flag: unit.flag, VIN: [17]byte([]byte("LTEST000000000001")), Encryption: EncryptionNone}, unhex(t, unit.hex))
		require.NoError(t, err)
		frames = append(frames, frame)
	}
	return frames
}

func hexOf(s string) string { return string(appendHex(nil, []byte(s))) }

// TestItemsKeepEveryByte: whatever the bytes of an item are, what the generated decoder reads the
// generated encoder writes. Decode relies on it.
func TestItemsKeepEveryByte(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, e := range []Edition{Edition2016, Edition2025} {
		var keep Realtime
		var ids []uint8 // every type, but two of the custom ones
		for id := range 256 {
			if newItemOf(e, uint8(id)) != nil && (id <= 0x81 || id == 0xFF) {
				ids = append(ids, uint8(id))
			}
		}
		require.Len(t, ids, map[Edition]int{Edition2016: 11, Edition2025: 14}[e])
		decoded := map[uint8]int{}
		for round := range 100_000 {
			id := ids[random.IntN(len(ids))]
			body := make([]byte, random.IntN(80))
			for i := range body {
				if body[i] = byte(random.Uint32()); random.IntN(2) == 0 {
					body[i] &= 3 // small counts
				}
			}
			d := decoding{edition: e, entries: round % 2}
			var item Item
			var n int
			if e == Edition2016 {
				item, n = keep.items2016.decode(id, body, &d, uint64(round))
			} else {
				item, n = keep.items2025.decode(id, body, &d, uint64(round))
			}
			if item == nil || n < 0 {
				continue
			}
			decoded[id]++
			require.Equal(t, id, item.ItemType())
			back, err := item.appendTo(nil, e)
			require.NoError(t, err)
			require.Equal(t, append([]byte{id}, body[:n]...), back)
			clone, err := item.clone().appendTo(nil, e)
			require.NoError(t, err)
			require.Equal(t, back, clone)
		}
		for _, id := range ids {
			require.Greater(t, decoded[id], 20, "item 0x%02X of %d", id, e)
		}
	}
}

// newItemOf returns an item by its type byte.
func newItemOf(e Edition, id uint8) Item {
	var u Realtime
	d := decoding{edition: e}
	var item Item
	if e == Edition2016 {
		item, _ = u.items2016.decode(id, nil, &d, 1)
	} else {
		item, _ = u.items2025.decode(id, nil, &d, 1)
	}
	return item
}
