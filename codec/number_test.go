package codec

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNumbersAgree compares the fast number writers with fmt and strconv over all that they can get.
func TestNumbersAgree(t *testing.T) {
	for v, word := range voltages {
		chars := make([]byte, 6)
		for i := range chars {
			chars[i] = byte(word >> (8 * i))
		}
		require.Equal(t, fmt.Sprintf("%d.%03d,", v/1000, v%1000), string(chars))
	}
	numbers := []int32{0, 1, 9, 10, 99, 100, 999, 1000, 9999, 10000, 99999, 100000, 999999, 1000000, 180000000, 1<<31 - 1}
	for v := range int32(70000) {
		numbers = append(numbers, v)
	}
	for _, v := range numbers {
		for _, v := range []int32{v, -v} {
			require.Equal(t, strconv.Itoa(int(v)), string(appendInt(nil, v)))
			for decimals, write := range map[int]func([]byte, int32) []byte{1: appendDec1, 2: appendDec2, 3: appendDec3, 6: appendDec6} {
				require.Equal(t, string(appendFixed(nil, int64(v), decimals)), string(write(nil, v)), "%d, %d decimals", v, decimals)
			}
		}
	}
	for _, c := range []struct {
		v        int64
		decimals int
		want     string
	}{
		{0, 0, "0"}, {0, 1, "0.0"}, {5, 1, "0.5"}, {-5, 1, "-0.5"}, {251, 1, "25.1"}, {-10000, 1, "-1000.0"}, {60000, 4, "6.0000"},
		{123, 4, "0.0123"}, {-1, 6, "-0.000001"}, {4294967295, 6, "4294.967295"}, {1000, 0, "1000"},
	} {
		require.Equal(t, c.want, string(appendFixed(nil, c.v, c.decimals)))
	}
}
