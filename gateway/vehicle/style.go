package vehicle

import (
	"fmt"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Style is the way in which a simulated terminal answers queries (0x80), settings (0x81) and controls
// (0x82). The standard leaves the form open and terminals differ, so a gateway must take them all. A
// query that is answered holds the parameters in every style.
type Style uint8

// The styles of answers.
const (
	// StyleTime answers with the request's time and nothing else (2016 §6.3.2, 2025 §2.2).
	StyleTime Style = iota
	// StyleReplyTime answers with the time of the answer and nothing else: 2016 B.3.3.2 without its echo.
	StyleReplyTime
	// StyleEcho answers with the time of the answer and the rest of the request (2016 B.3.3.2).
	StyleEcho
	// StyleEchoRequest gives the whole request back with another flag; a query is answered under the
	// request's time.
	StyleEchoRequest
	// StyleControlID answers a control with its time and the id of the control command, a setting as
	// StyleTime does. Some servers expect exactly that.
	StyleControlID
	// StyleEmpty answers with an empty data unit.
	StyleEmpty
	// StyleFlagFE answers as StyleTime does but leaves the flag of a command in place. Some
	// terminals do, against the standard.
	StyleFlagFE
	// StyleError refuses everything: flag 0x02 under the request's time.
	StyleError
	// StyleSilent obeys and answers nothing.
	StyleSilent
	// StyleLate answers as StyleTime does, Config.AnswerDelay later: after the platform has sent the
	// command again, or given it up.
	StyleLate
	// StyleLeave answers as StyleTime does, and leaves after a setting of the management platform's
	// address or port: it logs in there, and when that fails comes back and says so with flag 0x02
	// (2016 B.2.3, 2025 B.2). Other styles stay where they are.
	StyleLeave
)

var styleNames = [...]string{"time", "replyTime", "echo", "echoRequest", "controlId", "empty", "flagFE", "error", "silent", "late", "leave"}

// StyleNames returns the names of all styles as one text: "time, replyTime, … or leave".
func StyleNames() string {
	last := len(styleNames) - 1
	return strings.Join(styleNames[:last], ", ") + " or " + styleNames[last]
}

func (s Style) String() string {
	if int(s) < len(styleNames) {
		return styleNames[s]
	}
	return fmt.Sprintf("Style(%d)", uint8(s))
}

// ParseStyle is the inverse of [Style.String].
func ParseStyle(name string) (Style, error) {
	for i, s := range styleNames {
		if s == name {
			return Style(i), nil
		}
	}
	return 0, fmt.Errorf("vehicle: unknown answer style %q (want %s)", name, StyleNames())
}

// confirm makes the answer to the setting or control f, nil when the style has none.
func (s Style) confirm(f codec.Frame, now time.Time) []byte {
	flag, unit := codec.FlagSuccess, f.TimeBytes()
	switch s {
	case StyleReplyTime:
		unit = codec.AppendTime(nil, now)
	case StyleEcho:
		unit = append(codec.AppendTime(nil, now), f.Unit()[codec.TimeSize:]...)
	case StyleEchoRequest:
		unit = f.Unit()
	case StyleControlID:
		if f.Command() == codec.CommandControl {
			unit = f.Unit()[:codec.TimeSize+1]
		}
	case StyleEmpty:
		unit = nil
	case StyleFlagFE:
		flag = codec.FlagCommand
	case StyleError:
		flag = codec.FlagError
	case StyleSilent:
		return nil
	}
	return codec.AppendAnswer(nil, f, flag, unit)
}
