package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// heartbeatJSON is the frame that heartbeatHex is, with a VIN that ends in n.
func heartbeatJSON(n int) string {
	return fmt.Sprintf(`{"v":1,"edition":2016,"command":"heartbeat","flag":"command","vin":"LTEST00000000000%d","encryption":"none"}`, n)
}

func heartbeatHex(n int) string {
	return fmt.Sprintf("232307fe4c5445535430303030303030303030303%d010000%02x\n", n, 0xa2^n)
}

// TestEncodeErrors: what cannot be encoded is reported with the line it begins on, and everything else is encoded.
func TestEncodeErrors(t *testing.T) {
	one, two, three := heartbeatJSON(1), heartbeatJSON(2), heartbeatJSON(3)
	pretty := strings.NewReplacer(",", ",\n  ", "{", "{\n  ", "}", "\n}").Replace
	const name = "tboxgate: encode: standard input:"
	for _, tt := range []struct {
		name, in, out, want string
	}{
		{"good", one + "\n" + two + "\n", heartbeatHex(1) + heartbeatHex(2), ""},
		{"no newline at the end", one, heartbeatHex(1), ""},
		{"byte order mark, blank lines, CR LF", "\xEF\xBB\xBF" + one + "\r\n\r\n \n" + two + "\r\n", heartbeatHex(1) + heartbeatHex(2), ""},
		{"several on a line", one + two + " " + three, heartbeatHex(1) + heartbeatHex(2) + heartbeatHex(3), ""},
		{"pretty", pretty(one) + "\n" + pretty(two), heartbeatHex(1) + heartbeatHex(2), ""},
		{"pretty without indentation", strings.ReplaceAll(pretty(one), "  ", "") + pretty(two), heartbeatHex(1) + heartbeatHex(2), ""},
		{"begins behind another", one + pretty(two) + "\n" + three, heartbeatHex(1) + heartbeatHex(2) + heartbeatHex(3), ""},
		{"not a frame", `{"v":1}` + "\n" + one, heartbeatHex(1), name + "1: codec: json: edition: missing\n"},
		{"not JSON", one + "\nhello\nworld\n" + two, heartbeatHex(1) + heartbeatHex(2),
			name + "2: not JSON: invalid character 'h' looking for beginning of value\n" + name + "3: not JSON: invalid character 'w' looking for beginning of value\n"},
		{"broken inside", one + "\n" + strings.Replace(two, ":", ";", 1) + "\n" + three, heartbeatHex(1) + heartbeatHex(3),
			name + "2: not JSON: invalid character ';' after object key\n"},
		{"cut short", one + "\n" + two[:40] + "\n" + three, heartbeatHex(1) + heartbeatHex(3),
			name + "2: not JSON: invalid character '\\n' in string literal\n"},
		{"cut short behind a value", one + "\n" + two[:6] + "\n" + two + "\n" + three, heartbeatHex(1) + heartbeatHex(2) + heartbeatHex(3),
			name + "2: not JSON: line 3: invalid character '{' after object key:value pair\n"},
		{"cut short before a value", "{\"info\":\n" + one + "\n", heartbeatHex(1), name + "1: not JSON: unexpected EOF\n"},
		{"cut short in a list", `{"info":[` + "\n" + one + "\n" + two + "\n", heartbeatHex(1) + heartbeatHex(2),
			name + "1: not JSON: line 3: invalid character '{' after array element\n"},
		{"cut short at the end", one + "\n{", heartbeatHex(1), name + "2: not JSON: unexpected EOF\n"},
		{"broken pretty one", pretty(one) + "\n" + strings.Replace(pretty(two), "2016,", "2016", 1) + "\n" + pretty(three), heartbeatHex(1) + heartbeatHex(3),
			name + "9: not JSON: line 12: invalid character '\"' after object key:value pair\n"},
		{"an indented object behind a broken one", "{]\n  " + one, heartbeatHex(1), name + "1: not JSON: invalid character ']' looking for beginning of object key string\n"},
		{"a list", "[" + one + ",\n" + two + "]\n" + three, heartbeatHex(3), name + "1: codec: json: an object is wanted\n"},
		{"a comma behind each", one + ",\n" + two + ",\n", heartbeatHex(1) + heartbeatHex(2),
			name + "1: not JSON: invalid character ',' looking for beginning of value\n" + name + "2: not JSON: invalid character ',' looking for beginning of value\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := tboxgate(t, tt.in, "encode")
			require.Equal(t, tt.want, stderr)
			require.Equal(t, tt.out, stdout)
			require.Equal(t, tt.want != "", code == 1)
		})
	}

	// In a file that is named, and many at once.
	var in, out strings.Builder
	for i := range 3000 {
		in.WriteString(pretty(heartbeatJSON(i%10)) + "\n{\n")
		out.WriteString(heartbeatHex(i % 10))
	}
	file := writeFile(t, "frames.json", in.String())
	code, stdout, stderr := tboxgate(t, "", "encode", file)
	require.Equal(t, 1, code)
	require.Equal(t, out.String(), stdout)
	require.Equal(t, 3000, strings.Count(stderr, "\n"))
	require.True(t, strings.HasPrefix(stderr, "tboxgate: encode: "+file+":9: not JSON: line 10: invalid character '{'"), stderr[:200])
}
