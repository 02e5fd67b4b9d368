package openapi

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
)

// contentOf decodes MessageContent, or what RRpc calls it.
func contentOf(content string) ([]byte, error) {
	if content == "" {
		return nil, errNullContent
	}
	payload, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return nil, errContentBase64
	}
	if len(payload) == 0 {
		return nil, errNullContent
	}
	return payload, nil
}

// refuseNoUnit refuses what is too long for a data unit, and a whole frame in place of one.
func refuseNoUnit(name string, unit []byte) error {
	if len(unit) > codec.MaxUnitSize {
		return badParameter("%s has %d bytes; a data unit has at most %d.", name, len(unit), codec.MaxUnitSize)
	}
	// No data unit of these commands begins so: it would be a time in month 35 or 36.
	if _, err := codec.ParseFrame(unit); err == nil || errors.Is(err, codec.ErrCheck) {
		return badParameter("%s is a whole GB/T 32960 frame (it begins with %q). Give the data unit only: "+
			"the gateway builds the frame around it, with the command of ExtInfo and DeviceName as VIN.", name, unit[:2])
	}
	return nil
}

// checkedUnit reads the data unit of a command to a vehicle: the time is put before it where the product says so, and the
// standard's tables of the edition are held against it.
func (h *Handler) checkedUnit(c *call, p *Product, name string, content []byte, cmd codec.Command, e codec.Edition) ([]byte, error) {
	unit := content
	if p.PrependTime {
		unit = append(codec.AppendTime(make([]byte, 0, codec.TimeSize+len(content)), h.o.Now()), content...)
		if len(unit) > codec.MaxUnitSize {
			return nil, badParameter("%s has %d bytes; with the time before it a data unit has at most %d.", name, len(content), codec.MaxUnitSize)
		}
	}
	if p.CheckUnit == CheckOff {
		return unit, nil
	}
	if e == 0 {
		e = codec.Edition2016
	}
	problem := unitProblem(e, cmd, unit)
	switch {
	case problem == "":
	case p.CheckUnit == CheckStrict:
		hint := ""
		if p.PrependTime {
			hint = " The gateway puts the time before it (prependTime)."
		}
		return nil, badParameter("%s is not a data unit of command %#02x in the %d edition: %s.%s", name, byte(cmd), e, problem, hint)
	default:
		h.o.Logger.Warn("data unit does not follow the standard's tables; it is sent all the same", "requestId", c.requestID,
			h.about(c.params), "command", cmd.Name(e), "problem", problem)
	}
	return unit, nil
}

// unitProblem says what is wrong with the data unit of a command: the field and what is the matter, or "" for one that
// follows the standard's tables. Values are not told: they may be secrets.
func unitProblem(e codec.Edition, cmd codec.Command, unit []byte) string {
	frame, err := codec.AppendFrame(nil, codec.Header{Edition: e, Command: cmd, Flag: codec.FlagCommand, Encryption: codec.EncryptionNone}, unit)
	if err != nil {
		return err.Error()
	}
	var m codec.Message
	m.Decode(frame)
	readOnly := map[string]string{} // the codec calls the id of such a parameter out of range
	var found []string
	switch body := m.Body.(type) {
	case *codec.Params:
		if cmd == codec.CommandParamQuery {
			return "ids: it reads as parameters with their values; a query has a count and as many ids"
		}
		for i, p := range body.Params {
			info, known := codec.ParamInfoOf(e, p.ID)
			if known && info.ReadOnly {
				readOnly[fmt.Sprintf("params[%d].id", i)] = info.Name + " can be queried, not set"
			}
		}
	case *codec.ParamQuery:
		if len(body.IDs) == 0 && len(m.Problems()) == 0 {
			return "ids: none"
		}
	}
	for _, p := range m.Problems() {
		if p.Code == codec.CodeUnknownParam && len(m.Rest) > 0 && m.Rest[0] >= firstUserParam {
			continue // its length is the maker's
		}
		text := cmp.Or(readOnly[p.Path], problemTexts[p.Code], string(p.Code))
		if p.Path != "" {
			text = p.Path + ": " + text
		}
		found = append(found, text)
	}
	return strings.Join(found, "; ")
}

// firstUserParam is the first of the ids that makers assign (2016 table B.10: 0x80 to 0xFE).
const firstUserParam = 0x80

var problemTexts = map[codec.Code]string{
	codec.CodeOutOfRange:    "out of the standard's range",
	codec.CodeBadTime:       "no calendar has this time",
	codec.CodePadding:       "not padded as it should be, or no text",
	codec.CodeCountMismatch: "the count announces more than there is",
	codec.CodeTruncated:     "the data unit ends too early",
	codec.CodeTrailing:      "bytes are left over at the end",
	codec.CodeUnknownParam:  "a parameter that the standard does not assign",
	codec.CodeReservedBits:  "reserved bits are set",
}
