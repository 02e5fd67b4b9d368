package codec

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

// Problems returns everything odd about the message in wire order, at most [MaxProblems] and a last
// one of code more. nil is the usual answer.
func (m *Message) Problems() []Problem { return nil }

// CheckUnit reports what is wrong with a data unit that is to be sent under edition e, command c and
// flag: everything that [Message.Problems] would say about the frame. nil means that it is regular.
func CheckUnit(e Edition, c Command, flag Flag, unit []byte) []Problem { return nil }

// FieldError is the error of [Message.Append]: a value that has no wire form.
type FieldError struct {
	Path   string // the JSON path of the field
	Reason string // what is wrong and what is possible
}

func (e *FieldError) Error() string { return "codec: " + e.Path + ": " + e.Reason }
