package codec

import "strconv"

// Code says what is odd about a place in a frame. The frame is never refused for it.
type Code string

// The codes of problems.
const (
	CodeOutOfRange     Code = "outOfRange"     // a value outside the standard's range
	CodeReservedBits   Code = "reservedBits"   // bits that the standard reserves are set
	CodeBadTime        Code = "badTime"        // a time that no calendar has
	CodePadding        Code = "padding"        // a text that is not padded as it should be, or is no text
	CodeCountMark      Code = "countMark"      // a count holds the abnormal or invalid mark
	CodeCountMismatch  Code = "countMismatch"  // a count announces more than there is
	CodeUnknownItem    Code = "unknownItem"    // an info item whose type, and so its length, is unknown
	CodeUnknownCommand Code = "unknownCommand" // a command that the edition does not assign
	CodeTruncated      Code = "truncated"      // the data unit ends inside this field
	CodeTrailing       Code = "trailing"       // bytes after the end of the layout
	CodeAfterSignature Code = "afterSignature" // an info item behind the signature (2025)
	CodeUnknownParam   Code = "unknownParam"   // a parameter whose length is unknown
	CodeEncrypted      Code = "encrypted"      // the data unit is encrypted
	CodeNotCanonical   Code = "notCanonical"   // the decoded form does not give the same bytes again
	CodeTooLarge       Code = "tooLarge"       // the JSON would exceed JSONOptions.MaxSize
	CodeMore           Code = "more"           // Count further problems are not listed
)

// MaxProblems is the number of problems listed for one frame; what is beyond is counted.
const MaxProblems = 64

// Problem is one oddity of a frame.
type Problem struct {
	Path  string // the JSON path: "info[2].subsystems[0].cellVoltages[17]"
	Code  Code
	Count int // CodeMore: the number of problems not listed
}

// String returns "info[2].soc: outOfRange".
func (p Problem) String() string {
	if p.Code == CodeMore {
		return strconv.Itoa(p.Count) + " more"
	}
	return p.Path + ": " + string(p.Code)
}

// Fault returns the problem that kept Decode from reading the whole data unit: encrypted,
// unknownCommand, unknownItem, unknownParam, truncated, trailing, countMismatch or notCanonical.
// ok is false when there was none. Unlike [Message.Problems] it does not look at values, and costs
// nothing when all is well.
func (m *Message) Fault() (p Problem, ok bool) {
	if m.pass.fault.code == "" {
		return Problem{}, false
	}
	path := m.pass.fault.list
	if path != "" {
		path += "[" + strconv.Itoa(m.pass.fault.index) + "]"
	}
	if path != "" && m.pass.fault.key != "" {
		path += "."
	}
	return Problem{Path: path + m.pass.fault.key, Code: m.pass.fault.code}, true
}

// Problems returns everything odd about the message in wire order, at most [MaxProblems] and a last
// one of code more. nil is the usual answer.
func (m *Message) Problems() []Problem {
	m.json.scratch = keep(m.appendJSON(m.json.scratch, JSONOptions{}))
	w := &m.json
	if len(w.found) == 0 {
		return nil
	}
	problems := make([]Problem, 0, len(w.found)+1)
	start := 0
	for _, f := range w.found {
		problems = append(problems, Problem{Path: string(w.paths[start:f.end]), Code: f.code})
		start = f.end
	}
	if w.more > 0 {
		problems = append(problems, Problem{Code: CodeMore, Count: w.more})
	}
	return problems
}

// FieldError is the error of [Message.Append]: a value that has no wire form.
type FieldError struct {
	Path   string // the JSON path of the field
	Reason string // what is wrong and what is possible
}

func (e *FieldError) Error() string { return "codec: " + e.Path + ": " + e.Reason }

// errOtherEdition is the error of an item in a frame of the edition that does not have it.
var errOtherEdition error = &FieldError{Reason: "an item of the other edition"}

// inList puts the path of an error of a list's entry before it: list[i].path.
func inList(err error, list string, i int) error {
	if e, ok := err.(*FieldError); ok { //nolint:errorlint // only ever our own, not wrapped
		path := list + "[" + strconv.Itoa(i) + "]"
		if e.Path != "" {
			path += "." + e.Path
		}
		return &FieldError{Path: path, Reason: e.Reason}
	}
	return err
}

// editionText returns "2016" or "2025".
func editionText(e Edition) string { return strconv.Itoa(int(e)) }
