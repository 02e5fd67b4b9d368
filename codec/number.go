package codec

import "strconv"

// digits holds "00" to "99", two bytes each.
const digits = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" +
	"40414243444546474849" + "50515253545556575859" + "60616263646566676869" + "70717273747576777879" +
	"80818283848586878889" + "90919293949596979899"

const hexDigits = "0123456789abcdef"

// appendUint appends v in decimal.
func appendUint(b []byte, v uint32) []byte {
	if v < 10 {
		return append(b, byte('0'+v))
	}
	return appendLong(b, v)
}

// appendLong is appendUint for two digits and more, so that the rest is inlined.
func appendLong(b []byte, v uint32) []byte {
	switch {
	case v < 100:
		return append(b, digits[2*v], digits[2*v+1])
	case v < 1000:
		q := v / 100
		r := v - 100*q
		return append(b, byte('0'+q), digits[2*r], digits[2*r+1])
	case v < 10000:
		q := v / 100
		r := v - 100*q
		return append(b, digits[2*q], digits[2*q+1], digits[2*r], digits[2*r+1])
	}
	return strconv.AppendUint(b, uint64(v), 10)
}

// appendInt appends v in decimal.
func appendInt(b []byte, v int32) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	return appendUint(b, uint32(v))
}

// appendDec1 appends v tenths.
func appendDec1(b []byte, v int32) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	q := uint32(v) / 10
	return append(appendUint(b, q), '.', byte('0'+uint32(v)-10*q))
}

// appendDec2 appends v hundredths.
func appendDec2(b []byte, v int32) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	q := uint32(v) / 100
	r := uint32(v) - 100*q
	return append(appendUint(b, q), '.', digits[2*r], digits[2*r+1])
}

// appendDec3 appends v thousandths.
func appendDec3(b []byte, v int32) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	q := uint32(v) / 1000
	r := uint32(v) - 1000*q
	h := r / 10
	return append(appendUint(b, q), '.', digits[2*h], digits[2*h+1], byte('0'+r-10*h))
}

// appendDec6 appends v millionths.
func appendDec6(b []byte, v int32) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	q := uint32(v) / 1000000
	r := uint32(v) - 1000000*q
	hi, lo := r/10000, r%10000
	mid := lo / 100
	lo -= 100 * mid
	return append(appendUint(b, q), '.', digits[2*hi], digits[2*hi+1], digits[2*mid], digits[2*mid+1], digits[2*lo], digits[2*lo+1])
}

// appendFixed appends v × 10^-decimals with all decimals. It is the general form of the above.
func appendFixed(b []byte, v int64, decimals int) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	p := pow10(decimals)
	b = strconv.AppendInt(b, v/p, 10)
	if decimals == 0 {
		return b
	}
	b = append(b, '.')
	for r := v % p; p > 1; {
		p /= 10
		b = append(b, byte('0'+r/p))
		r %= p
	}
	return b
}

// appendHex appends data in lower-case hex.
func appendHex(b, data []byte) []byte {
	for _, c := range data {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}
