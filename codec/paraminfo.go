package codec

// ParamInfo is a row of the table of parameters (2016 table B.12, 2025 table B.8), for programs that let people name
// parameters and check values before they are sent.
type ParamInfo struct {
	ID   uint8
	Name string // its JSON key: "reportPeriod"
	Doc  string // what it is: "normal report period"

	// Text says that it holds a text: of Size bytes, or for a domain (Size 0) of as many as the parameter LengthID says.
	Text     bool
	Size     int   // in bytes on the wire
	LengthID uint8 // of a domain, else 0

	// Unit is that of a number, "s", "ms" or "min", "" for none. Min and Max bound its physical value, which is a multiple
	// of Step.
	Unit     string
	Min, Max int64
	Step     int64
	Values   []ParamValue // when only some numbers mean something

	ReadOnly bool // it can be queried, not set
}

// ParamValue is one value of a parameter whose numbers are names.
type ParamValue struct {
	Value uint32
	Doc   string
}

// ParamInfoOf returns the row of a parameter in edition e, and false for an id without a table.
func ParamInfoOf(e Edition, id uint8) (ParamInfo, bool) {
	spec, field := paramSpecOf(e, id), paramFieldOf(e, id)
	if field == nil {
		return ParamInfo{}, false
	}
	p := ParamInfo{
		ID: id, Name: spec.key, Doc: field.doc, Text: spec.kind == paramText || spec.kind == paramDomain, Size: spec.width,
		LengthID: spec.lengthID, Unit: field.unit, ReadOnly: spec.readOnly,
	}
	if p.Text {
		return p, true
	}
	p.Step = max(field.step, 1)
	p.Max = p.Step * (1<<(8*spec.width) - 1)
	if field.ranged {
		p.Min, p.Max = p.Step*int64(field.lo), p.Step*int64(field.hi)
	}
	for _, v := range field.enum {
		p.Values = append(p.Values, ParamValue{v.value, v.doc})
	}
	if n := len(p.Values); n > 0 {
		p.Min, p.Max = int64(p.Values[0].Value), int64(p.Values[n-1].Value)
	}
	return p, true
}

// ParamByName returns the id of the parameter with a JSON key such as "reportPeriod", and false when there is none.
func ParamByName(name string) (id uint8, ok bool) {
	for id = ParamStoragePeriod; id <= ParamSampling; id++ {
		if paramSpecOf(Edition2016, id).key == name {
			return id, true
		}
	}
	return 0, false
}

// controlNames are the names of the controls from ControlUpgrade to ControlSampling.
var controlNames = [...]string{"upgrade", "shutdown", "reset", "factoryReset", "disconnect", "alarm", "sampling"}

// Name returns the control's name as ControlByName takes it, such as "factoryReset", and "" for an id that is not assigned.
func (id ControlID) Name() string {
	if id < ControlUpgrade || id > ControlSampling {
		return ""
	}
	return controlNames[id-ControlUpgrade]
}

// ControlByName returns the control with a name that Name returns, and false when there is none.
func ControlByName(name string) (id ControlID, ok bool) {
	for i, n := range controlNames {
		if n == name {
			return ControlUpgrade + ControlID(i), true
		}
	}
	return 0, false
}
