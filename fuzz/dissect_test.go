package fuzz

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/width"

	"github.com/tboxgate/tboxgate/codec"
)

// FuzzDissect: the leaves of any frame cover each of its bytes once and in order, what is odd there
// is what the message says, and the dump has no row that is too wide.
func FuzzDissect(f *testing.F) {
	addFrames(f)
	f.Fuzz(func(t *testing.T, edition2025 bool, command, flag, encryption byte, unit []byte) {
		checkDissect(t, Build(edition2025, command, flag, encryption, vin, unit))
	})
}

// TestDissectGrammar is FuzzDissect on frames that follow the tables.
func TestDissectGrammar(t *testing.T) {
	for _, frame := range grammarFrames(2000) {
		checkDissect(t, frame)
	}
}

func checkDissect(t *testing.T, frame []byte) {
	t.Helper()
	f := parse(t, frame)
	at := 0
	have := map[string]int{}
	var groups []*codec.Node
	codec.Dissect(f).Walk(func(n *codec.Node, depth int) {
		// No require here: a frame has thousands of nodes.
		if n.Offset != at || depth > 5 || n.Leaf() && len(n.Nodes) > 0 {
			t.Fatalf("%s at offset %d, want %d, depth %d, of %x", n.Path, n.Offset, at, depth, frame)
		}
		for _, c := range n.Problems {
			have[n.Path+": "+string(c)]++
		}
		if n.Leaf() {
			at += n.Size
		} else {
			groups = append(groups, n)
		}
	})
	require.Equal(t, len(frame), at, "%x", frame)
	for _, g := range groups {
		size := 0
		for i := range g.Nodes {
			size += g.Nodes[i].Size
		}
		if g.Size != size {
			t.Fatalf("%s has %d bytes, its parts %d, of %x", g.Path, g.Size, size, frame)
		}
	}

	var m codec.Message
	m.Decode(f)
	want := 0
	for _, p := range m.Problems() {
		if p.Code == codec.CodeMore {
			want += p.Count
			continue
		}
		want++
		require.Equal(t, 1, have[p.String()], "%s of %x", p, frame)
	}
	total := 0
	for _, n := range have {
		total += n
	}
	require.Equal(t, want, total, "%v of %x", have, frame)

	dump := string(codec.AppendDump(nil, f))
	require.True(t, utf8.ValidString(dump))
	for row := range strings.Lines(dump) {
		columns := 0
		for _, r := range strings.TrimSuffix(row, "\n") {
			columns++
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
				columns++
			}
		}
		if columns > 120 {
			t.Fatalf("%d columns: %s", columns, row)
		}
	}
}
