package fuzz

import "encoding/hex"

// step is a field of a layout that is read or not read as a whole.
type step func(c *cursor, o object)

// steps runs fields one after the other up to the first that does not fit.
func steps(c *cursor, o object, all ...step) int {
	for _, s := range all {
		start := c.pos
		part := object{}
		s(c, part)
		if c.short {
			return start
		}
		for k, v := range part {
			o[k] = v
		}
	}
	return c.pos
}

func raw(key string, width int) step {
	return func(c *cursor, o object) { o[key] = whole(c.uint(width)) }
}

func text(key string, width int, padding byte) step {
	return func(c *cursor, o object) { fixedString(o, key, c.take(width), padding) }
}

func at(key string) step {
	return func(c *cursor, o object) { wireTime(o, key, c.take(6)) }
}

// bytesWithLength is a WORD length and as many bytes, in hex.
func bytesWithLength(key string) step {
	return func(c *cursor, o object) { o[key] = hexOf(c) }
}

// login2016 is 2016 table 6 behind the time.
func login2016(c *cursor, o object) int {
	end := steps(c, o, raw("serial", 2), text("iccid", 20, 0))
	if c.short || len(c.b)-c.pos < 2 {
		c.short = true
		return end
	}
	announced := uint64(c.b[c.pos])
	n, width := c.count(object{}, "", 1), int(c.uint(1))
	if n*width > len(c.b)-c.pos {
		o["subsystemCount"], o["codeLength"] = whole(announced), whole(uint64(width))
		c.inexact = true
		return c.pos
	}
	codes := []any{}
	filled := false
	for range n {
		if width == 0 {
			break
		}
		code := c.take(width)
		codes = append(codes, arrayString(code))
		last := code[width-1]
		_, isHex := codes[len(codes)-1].(object)
		filled = filled || isHex || last != 0 && last != ' '
	}
	o["storageCodes"] = codes
	if uint64(len(codes)) != announced {
		o["subsystemCount"] = whole(announced)
	}
	if width > 0 && !filled {
		o["codeLength"] = whole(uint64(width))
	}
	return c.pos
}

// login2025 is 2025 table 6 behind the time.
func login2025(c *cursor, o object) int {
	return steps(c, o, raw("serial", 2), text("iccid", 20, 0), func(c *cursor, o object) {
		n := c.count(o, "bms", 1)
		all := []any{}
		var packs []int
		for range n {
			one := object{}
			packs = append(packs, c.count(one, "packCodes", 1))
			all = append(all, one)
		}
		for i, m := range packs {
			codes := []any{}
			for range m {
				codes = append(codes, arrayString(c.take(24)))
			}
			all[i].(object)["packCodes"] = codes
		}
		o["bms"] = all
	})
}

// logout is 2016 tables 20 and 22, 2025 tables 28 and 30.
func logout(c *cursor, o object) int { return steps(c, o, raw("serial", 2)) }

// platformLogin is 2016 table 21, 2025 table 29.
func platformLogin(c *cursor, o object) int {
	return steps(c, o, raw("serial", 2), text("username", 12, 0), text("password", 20, 0), raw("encryptionRule", 1))
}

// activation is 2025 table B.3 behind the time.
func activation(c *cursor, o object) int {
	return steps(c, o, text("chipId", 16, ' '), bytesWithLength("publicKey"), text("activationVin", 17, 0),
		func(c *cursor, o object) {
			s := object{}
			first := c.uint(1)
			if first == 255 {
				s["marker"] = whole(255)
				first = c.uint(1)
			}
			s["algorithm"] = whole(first)
			bytesWithLength("r")(c, s)
			bytesWithLength("s")(c, s)
			o["signature"] = s
		})
}

// activationResponse is 2025 table B.4.
func activationResponse(c *cursor, o object) int {
	return steps(c, o, raw("state", 1), raw("reason", 1))
}

// keyExchange is 2025 table 31.
func keyExchange(c *cursor, o object) int {
	return steps(c, o, raw("keyType", 1), bytesWithLength("key"), at("enableTime"), at("expiryTime"))
}

// control is 2016 table B.14, 2025 table B.10, behind the time. The arguments of a remote upgrade
// are not read: three encodings of them exist, see the codec.
func control(c *cursor, o object) int {
	end := steps(c, o, raw("control", 1))
	if c.short {
		return end
	}
	switch c.b[c.pos-1] {
	case 0x01:
		return c.pos
	case 0x06:
		end = steps(c, o, raw("level", 1))
		if c.short {
			return end
		}
		variableString(o, "message", c.take(len(c.b)-c.pos))
	default:
		o["data"] = hex.EncodeToString(c.take(len(c.b) - c.pos))
	}
	return c.pos
}

// ids is the list of 2016 table B.9, 2025 table B.5.
func ids(c *cursor, o object) int {
	return steps(c, o, func(c *cursor, o object) {
		list := []any{}
		for range c.count(o, "ids", 1) {
			list = append(list, whole(c.uint(1)))
		}
		o["ids"] = list
	})
}

// hexOf reads a WORD length and as many bytes.
func hexOf(c *cursor) string { return hex.EncodeToString(c.take(int(c.uint(2)))) }
