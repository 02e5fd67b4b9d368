package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireDissected checks what must hold for the dissection of every frame: each byte is in one
// leaf, the problems are those of the message, and so are the values.
func requireDissected(t testing.TB, frame []byte) *Node {
	t.Helper()
	f, err := ParseFrame(frame)
	require.NoError(t, err)
	root := Dissect(f)
	require.Equal(t, 0, root.Offset)
	require.Equal(t, len(frame), root.Size)

	at := 0
	problems := map[string]int{}
	root.Walk(func(n *Node, _ int) {
		for _, c := range n.Problems {
			problems[n.Path+": "+string(c)]++
		}
		require.Equal(t, at, n.Offset, "%s of %x", n.Path, frame)
		if n.Leaf() {
			require.Empty(t, n.Nodes)
			at += n.Size
			return
		}
		size := 0
		for i := range n.Nodes {
			size += n.Nodes[i].Size
		}
		require.Equal(t, n.Size, size, "%s of %x", n.Path, frame)
	})
	require.Equal(t, len(frame), at, "%x", frame)
	require.Equal(t, "check", root.Nodes[len(root.Nodes)-1].Path)

	var m Message
	m.Decode(f)
	requireProblems(t, m.Problems(), problems, frame)
	requireValues(t, root, frame, m.AppendJSON(nil, JSONOptions{}))
	return root
}

// requireProblems compares the problems of a message, whose number is limited, with those of a
// dissection.
func requireProblems(t testing.TB, want []Problem, have map[string]int, frame []byte) {
	t.Helper()
	n, more := 0, 0
	for _, p := range want {
		if p.Code == CodeMore {
			more = p.Count
			continue
		}
		n++
		require.Equal(t, 1, have[p.String()], "%s in %x", p, frame)
	}
	total := 0
	for _, k := range have {
		total += k
	}
	require.Equal(t, n+more, total, "%v\n%v\n%x", want, have, frame)
}

// requireValues compares the leaves with the scalars of the JSON under the same paths, both ways.
func requireValues(t testing.TB, root *Node, frame, text []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var object map[string]any
	require.NoError(t, d.Decode(&object))
	scalars := map[string]any{}
	flatten(scalars, "", object)
	root.Walk(func(n *Node, _ int) {
		v, ok := scalars[n.Path]
		if !n.Leaf() || !ok || n.Size == 0 && n.Kind == KindBytes {
			return
		}
		delete(scalars, n.Path)
		switch v := v.(type) {
		case nil:
			require.Empty(t, n.Value, n.Path)
			require.True(t, n.Kind == KindTime || n.Meaning == "abnormal" || n.Meaning == "invalid", n.Path)
		case json.Number:
			want := n.Value
			if want == "" || strings.HasPrefix(want, "0x") { // a count that holds a mark; an id
				want = string(appendUint(nil, n.Raw))
			}
			require.Equal(t, v.String(), want, n.Path)
		case string:
			switch {
			case n.Kind == KindBytes && n.Value == "" && n.Path != "address":
				require.Equal(t, v, hex.EncodeToString(frame[n.Offset:][:n.Size]), n.Path)
			case n.Kind == KindNumber:
				require.Contains(t, n.Meaning, v, n.Path)
			default:
				require.Equal(t, v, n.Value, n.Path)
			}
		}
	})
	for path, v := range scalars {
		key := path[strings.LastIndexByte(path, '.')+1:]
		switch {
		case path == "v", path == "edition", path == "rest", path == "upgradeForm", key == "type" && v == "custom",
			strings.HasPrefix(key, "_"), strings.HasSuffix(key, "Hex"), strings.HasSuffix(path, ".hex"), v == "":
		default:
			t.Fatalf("no leaf for %s: %v\n%s", path, v, text)
		}
	}
}

// flatten collects the scalars of a JSON value by their path.
func flatten(to map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			switch {
			case key == "problems" || strings.HasPrefix(key, "_"):
				continue
			case key == "abnormal" || key == "invalid":
				continue
			case path != "":
				key = path + "." + key
			}
			flatten(to, key, e)
		}
	case []any:
		for i, e := range v {
			flatten(to, indexed(path, i), e)
		}
	default:
		to[path] = v
	}
}

// goldenFrames returns the frames of testdata/golden.
func goldenFrames(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	require.NoError(t, err)
	var all [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		all = append(all, unhex(t, strings.SplitN(string(data), "\n\n", 3)[1]))
	}
	require.Greater(t, len(all), 15)
	return all
}

func TestDissectSamples(t *testing.T) {
	for _, frame := range append(goodSamples(t), goldenFrames(t)...) {
		requireDissected(t, frame)
	}
}

// TestDissectMutations: frames that were changed anywhere, cut or prolonged are dissected to the
// last byte as well.
func TestDissectMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(32960, 1))
	seeds := append(goodSamples(t), goldenFrames(t)...)
	for range 5000 {
		frame := slices.Clone(seeds[random.IntN(len(seeds))])
		unit := frame[HeaderSize : len(frame)-1]
		switch random.IntN(4) {
		case 0:
			unit = unit[:random.IntN(len(unit)+1)]
		case 1:
			unit = append(unit[:len(unit):len(unit)], make([]byte, random.IntN(9))...)
		}
		for range random.IntN(4) {
			if len(unit) > 0 {
				unit[random.IntN(len(unit))] = [...]byte{0, 1, 0xFE, 0xFF, ';', byte(random.UintN(256))}[random.IntN(6)]
			}
		}
		h := Header{Frame(frame).Edition(), Frame(frame).Command(), Frame(frame).Flag(), [VINSize]byte(frame[4:]), Encryption(frame[21])}
		if random.IntN(10) == 0 {
			h.Flag = Flag(random.UintN(4))
		}
		if random.IntN(20) == 0 {
			h.Edition ^= Edition2016 ^ Edition2025
		}
		mutated, err := AppendFrame(nil, h, unit)
		require.NoError(t, err)
		requireDissected(t, mutated)
	}
}

// TestDissectLarge: the largest frames take memory in proportion to their length, and their depth
// does not grow.
func TestDissectLarge(t *testing.T) {
	list := append([]byte{26, 11, 23, 7, 0, 0, 0x31, 1, 0, 0, 0, 0, 0, 0, 0xFF, 0xE0}, make([]byte, 65504)...)
	items := append([]byte{26, 11, 23, 7, 0, 0}, bytes.Repeat([]byte{0x02, 0}, 32762)...)
	for _, unit := range [][]byte{list, items, bytes.Repeat([]byte{0xFF}, MaxUnitSize)} {
		frame, err := AppendFrame(nil, Header{Edition2025, CommandRealtime, FlagCommand, [VINSize]byte{'V'}, EncryptionNone}, unit)
		require.NoError(t, err)
		nodes := 0
		Dissect(frame).Walk(func(_ *Node, depth int) {
			nodes++
			require.LessOrEqual(t, depth, 5)
		})
		require.Less(t, nodes, 3*len(unit))
	}
}
