package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Device names a vehicle and the edition in which its data units are built. The edition must be that of the vehicle's login:
// the editions differ in some widths and ranges. Zero means 2016.
type Device struct {
	ProductKey string
	DeviceName string // the VIN
	Edition    codec.Edition
}

func (d Device) edition() codec.Edition {
	if d.Edition == 0 {
		return codec.Edition2016
	}
	return d.Edition
}

// Setting is one parameter to be set, as text: Value is a number in the parameter's unit ("10"), for a time also one with a
// unit ("10s", "1m30s", "500ms"), or the text of a domain.
type Setting struct {
	Name  string // such as "reportPeriod"
	Value string
}

// Control is a terminal control (0x82). Which of Upgrade, Alarm and Data holds the arguments depends on the ID.
type Control struct {
	ID      codec.ControlID
	Upgrade Upgrade // codec.ControlUpgrade
	Alarm   Alarm   // codec.ControlAlarm
	Data    []byte  // of any other, usually none
}

// Upgrade holds the arguments of a remote upgrade (2016 table B.16, 2025 table B.12). What is left empty is sent empty.
type Upgrade struct {
	// Form is how they are written; the standard contradicts itself, so the terminal's maker must be asked. The default is
	// codec.UpgradeBinary, the order and widths of table B.16.
	Form            codec.UpgradeForm
	URL             string // needed
	APN             string
	Username        string
	Password        string
	Address         string // of the server: IPv4, or 12 hex digits; in the text forms any text
	Port            uint16 // 0 to 65531
	Manufacturer    string // id of the terminal's maker, up to 4 bytes
	HardwareVersion string // up to 5 bytes
	FirmwareVersion string // up to 5 bytes
	TimeLimit       uint16 // 0 to 60000 min to reach the server
}

// Alarm holds the arguments of codec.ControlAlarm (2016 table B.17, 2025 table B.13).
type Alarm struct {
	Level   uint8 // 0 to 3 (2025: 4), or 255 for invalid
	Message string
}

// ValueError says which value of a command cannot be sent, and what can. It is the error of everything in this package that
// builds data units.
type ValueError struct {
	Name   string // of the field: "reportPeriod", "level"
	Reason string // "601 is out of range; 1 to 600 s"
}

func (e *ValueError) Error() string { return e.Name + ": " + e.Reason }

func badValue(name, format string, args ...any) error {
	return &ValueError{name, fmt.Sprintf(format, args...)}
}

// QueryCommand builds a parameter query (0x80) for parameters by name ("reportPeriod") or id ("2"). The error is a *ValueError.
func QueryCommand(d Device, at time.Time, params ...string) (Command, error) {
	if len(params) == 0 {
		return Command{}, badValue("params", "none is given; a query asks for one or more")
	}
	ids := make([]uint8, len(params))
	for i, name := range params {
		id, known := codec.ParamByName(name)
		if n, err := strconv.ParseUint(name, 0, 8); err == nil && n != 0 && n != 0xFF {
			id, known = uint8(n), true
		}
		if !known {
			return Command{}, badValue("params", "%q is neither the name of a parameter nor an id from 1 to 254", name)
		}
		ids[i] = id
	}
	return d.command(codec.NewParamQuery(d.edition(), codec.VIN{}, at, ids...))
}

// SetCommand builds a parameter setting (0x81). Values are checked against the range of the table (2016 table B.12, 2025
// table B.8). The error is a *ValueError.
func SetCommand(d Device, at time.Time, settings ...Setting) (Command, error) {
	if len(settings) == 0 {
		return Command{}, badValue("params", "none is given; a setting sets one or more")
	}
	e := d.edition()
	var u codec.Params
	seen := map[uint8]bool{}
	for _, s := range settings {
		id, known := codec.ParamByName(s.Name)
		info, _ := codec.ParamInfoOf(e, id)
		switch {
		case !known:
			return Command{}, badValue(s.Name, "no parameter has this name")
		case seen[id]:
			return Command{}, badValue(s.Name, "it is set twice")
		case id == codec.ParamPlatformDomainLength || id == codec.ParamPublicDomainLength:
			return Command{}, badValue(s.Name, "it cannot be set alone; it goes with the domain")
		}
		seen[id] = true
		if err := setParam(&u, e, info, s.Value); err != nil {
			return Command{}, err
		}
	}
	return d.command(codec.NewParamSet(e, codec.VIN{}, at, u.Params...))
}

func setParam(u *codec.Params, e codec.Edition, info codec.ParamInfo, value string) error {
	if info.ReadOnly {
		return errReadOnly(info)
	}
	var err error
	if info.Text {
		if value == "" {
			return badValue(info.Name, "it is empty; a text is wanted")
		}
		err = u.AddText(e, info.ID, value)
	} else {
		var n int64
		if n, err = number(e, info, value); err == nil {
			err = u.AddNumber(e, info.ID, uint32(n/info.Step))
		}
	}
	return fieldError(info.Name, err)
}

// number reads the value of a parameter and checks it.
func number(e codec.Edition, info codec.ParamInfo, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if unit := unitLength(info.Unit); err != nil && unit != 0 {
		d, durationErr := time.ParseDuration(text)
		if durationErr != nil {
			return 0, badValue(info.Name, "%q is neither a number of %s nor a duration such as 10s", text, info.Unit)
		}
		if d%unit != 0 {
			return 0, badValue(info.Name, "%s is no whole number of %s", text, info.Unit)
		}
		n, err = int64(d/unit), nil
	}
	if err != nil {
		return 0, badValue(info.Name, "%q is not a number", text)
	}
	return n, checkNumber(e, info, n)
}

func unitLength(unit string) time.Duration {
	switch unit {
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "min":
		return time.Minute
	}
	return 0
}

// checkNumber compares a physical value with the table.
func checkNumber(e codec.Edition, info codec.ParamInfo, n int64) error {
	switch {
	case n < info.Min || n > info.Max:
		return badValue(info.Name, "%d is out of range; %s in the %d edition", n, rangeOf(info), e)
	case n%info.Step != 0:
		return badValue(info.Name, "%d is no multiple of %d; %s in the %d edition", n, info.Step, rangeOf(info), e)
	}
	return nil
}

// rangeOf is "1 to 600 s", or "1 (yes) or 2 (no)".
func rangeOf(info codec.ParamInfo) string {
	var values []string
	for _, v := range info.Values {
		values = append(values, fmt.Sprintf("%d (%s)", v.Value, v.Doc))
	}
	if values != nil {
		return strings.Join(values, " or ")
	}
	text := fmt.Sprintf("%d to %d", info.Min, info.Max)
	if info.Unit != "" {
		text += " " + info.Unit
	}
	if info.Step != 1 {
		text += fmt.Sprintf(" in steps of %d", info.Step)
	}
	return text
}

// ControlCommand builds a terminal control (0x82). The error is a *ValueError.
func ControlCommand(d Device, at time.Time, c Control) (Command, error) {
	keys := map[string]any{"control": c.ID}
	switch c.ID {
	case codec.ControlUpgrade:
		u := c.Upgrade
		if u.URL == "" {
			return Command{}, badValue("url", "it is empty; the address of the new firmware is needed")
		}
		if u.Address == "" && u.Form == codec.UpgradeBinary {
			u.Address = "0.0.0.0"
		}
		for key, value := range map[string]any{
			"upgradeForm": u.Form.String(), "apn": u.APN, "username": u.Username, "password": u.Password, "address": u.Address,
			"port": u.Port, "manufacturer": u.Manufacturer, "hardwareVersion": u.HardwareVersion,
			"firmwareVersion": u.FirmwareVersion, "url": u.URL, "timeLimit": u.TimeLimit,
		} {
			keys[key] = value
		}
	case codec.ControlAlarm:
		keys["level"], keys["message"] = c.Alarm.Level, c.Alarm.Message
	default:
		keys["data"] = fmt.Sprintf("%x", c.Data)
	}
	return d.fromKeys(codec.CommandControl, at, keys)
}

// JSONCommand builds a command of its JSON, the form of a frame in the uplink stream (docs/stream.md), in which keys may be
// left out that d and at tell: v, edition, flag, vin, encryption, time. kind is the command, or 0 when the JSON says it. The
// vin of the JSON is not looked at. The error is a *ValueError, or a *codec.JSONError that says where the JSON is wrong.
func JSONCommand(d Device, at time.Time, kind codec.Command, object []byte) (Command, error) {
	var keys map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(object)))
	decoder.UseNumber()
	if err := decoder.Decode(&keys); err != nil || keys == nil {
		return Command{}, badValue("json", "it is not a JSON object such as {\"command\":\"paramQuery\",\"ids\":[2]}")
	}
	if text, ok := keys["edition"].(json.Number); ok {
		n, _ := text.Int64()
		e := codec.Edition(n)
		if d.Edition != 0 && d.Edition != e {
			return Command{}, badValue("edition", "the JSON is of edition %s, the vehicle's is %d", text, d.Edition)
		}
		if e != codec.Edition2016 && e != codec.Edition2025 {
			return Command{}, badValue("edition", "%s is neither 2016 nor 2025", text)
		}
		d.Edition = e
	}
	if name, ok := keys["command"].(string); ok {
		named := commandByName(name)
		switch {
		case named == 0:
			return Command{}, badValue("command", "%q is none of paramQuery, paramSet, control", name)
		case kind != 0 && kind != named:
			return Command{}, badValue("command", "%q in the JSON, %s is to be sent", name, kind.Name(d.edition()))
		}
		kind = named
	}
	if kind == 0 {
		return Command{}, badValue("command", "it is missing; one of paramQuery, paramSet, control")
	}
	if flag, ok := keys["flag"]; ok && flag != "command" {
		return Command{}, badValue("flag", "%v makes it an answer; a command is to be sent", flag)
	}
	return d.fromKeys(kind, at, keys)
}

func commandByName(name string) codec.Command {
	for c := codec.CommandParamQuery; c <= codec.CommandControl; c++ {
		if c.Name(codec.Edition2016) == name {
			return c
		}
	}
	return 0
}

// fromKeys builds a command of the keys of its data unit; those of the envelope are filled in.
func (d Device) fromKeys(kind codec.Command, at time.Time, keys map[string]any) (Command, error) {
	keys["v"], keys["edition"], keys["command"], keys["flag"] = codec.JSONVersion, d.edition(), kind.Name(d.edition()), "command"
	keys["vin"], keys["encryption"] = "X", "none"
	delete(keys, "vinHex")
	if keys["time"] == nil && keys["timeHex"] == nil {
		keys["time"] = at.In(codec.Beijing).Format(time.RFC3339)
	}
	object, err := json.Marshal(keys)
	if err != nil {
		return Command{}, err
	}
	var m codec.Message
	if err := m.ParseJSON(object); err != nil {
		return Command{}, err
	}
	return d.command(&m)
}

// command makes the command of a message whose values have been given by somebody: they are checked.
func (d Device) command(m *codec.Message) (Command, error) {
	frame, err := m.Append(nil)
	if err != nil {
		return Command{}, fieldError("", err)
	}
	var sent codec.Message
	sent.Decode(frame)
	if err := check(&sent); err != nil {
		return Command{}, err
	}
	return Command{ProductKey: d.ProductKey, DeviceName: d.DeviceName, Command: m.Command, Unit: codec.Frame(frame).Unit()}, nil
}
