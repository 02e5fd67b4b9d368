package codec

import "math"

// State says whether a measurement holds a value.
type State uint8

// The states of a measurement. Every measurement may hold a mark instead of a value: abnormal
// (0xFE, 0xFFFE, 0xFFFFFFFE) or invalid (0xFF, 0xFFFF, 0xFFFFFFFF), by its width.
const (
	StateValid State = iota
	StateAbnormal
	StateInvalid
)

// String returns "valid", "abnormal" or "invalid".
func (s State) String() string {
	switch s {
	case StateAbnormal:
		return "abnormal"
	case StateInvalid:
		return "invalid"
	}
	return "valid"
}

// Value is a measurement in its physical unit, exact: a whole number of thousandths, tenths, …
// A value outside the standard's range is a value too.
type Value struct {
	scaled   int64
	decimals uint8
	state    State
}

// State tells a value from the two marks.
func (v Value) State() State { return v.state }

// Scaled returns the value as scaled × 10^-decimals. Only meaningful in StateValid.
func (v Value) Scaled() (scaled int64, decimals int) { return v.scaled, int(v.decimals) }

// Float64 returns the value as a floating-point number, NaN when there is none.
func (v Value) Float64() float64 {
	if v.state != StateValid {
		return math.NaN()
	}
	return float64(v.scaled) / float64(pow10(int(v.decimals)))
}

// String returns the value with all decimals of its resolution ("25.0"), or the name of its state.
func (v Value) String() string {
	if v.state != StateValid {
		return v.state.String()
	}
	return string(appendFixed(nil, v.scaled, int(v.decimals)))
}

// value gives a raw number its physical meaning: raw × step + offset, both in units of the last
// decimal. mark is the abnormal mark of the number's width.
func value(raw, mark uint32, step, offset int64, decimals uint8) Value {
	if raw >= mark {
		return Value{decimals: decimals, state: StateAbnormal + State(raw-mark)}
	}
	return Value{scaled: int64(raw)*step + offset, decimals: decimals}
}

// pow10 returns 10 to the power n, for n up to 18.
func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
