package page

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const text = `# Page

<!-- begin a (measured) -->
old
<!-- end a -->

Words.

<!-- begin b (measured) -->
<!-- end b -->
`

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	for range 2 { // the second time changes nothing
		require.NoError(t, Write(file, Block{"a", "1\n2\n"}, Block{"b", "3"}))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, `# Page

<!-- begin a (measured) -->

1
2

<!-- end a -->

Words.

<!-- begin b (measured) -->

3

<!-- end b -->
`, string(got))
	}
	require.ErrorContains(t, Write(file, Block{"c", ""}), "begin c (measured)")
	require.NoError(t, os.WriteFile(file, []byte("<!-- begin a (measured) -->\n"), 0o644))
	require.ErrorContains(t, Write(file, Block{"a", ""}), "end a")
	require.ErrorIs(t, Write(file+"x"), os.ErrNotExist)
}

func TestTable(t *testing.T) {
	require.Equal(t, "| a | b |\n|---|---|\n| 1 | 2 |\n", Table([]string{"a", "b"}, [][]string{{"1", "2"}}))
}
