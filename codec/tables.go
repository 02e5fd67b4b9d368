package codec

// AlarmName returns the name of a general alarm bit (2016 table 18, 2025 table 24) in JSON,
// "socLow", or "" for a reserved bit.
func AlarmName(e Edition, bit int) string {
	switch {
	case bit < 0:
	case e == Edition2025 && bit < len(alarmNames2025):
		return alarmNames2025[bit]
	case e == Edition2016 && bit < len(alarmNames2016):
		return alarmNames2016[bit]
	}
	return ""
}

// paramSpecOf returns the table row of a parameter, a zero one for an id without.
func paramSpecOf(e Edition, id uint8) paramSpec {
	if e == Edition2025 {
		return paramSpec2025(id)
	}
	return paramSpec2016(id)
}

// signOf returns -1 when the bit is set, else 1.
func signOf(status uint8, bit uint) int32 { return 1 - 2*int32(status>>bit&1) }

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }
