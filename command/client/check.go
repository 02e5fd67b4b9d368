package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
)

// check refuses a command that the standard's tables do not know. The gateway would send it, and a terminal refuse it.
func check(m *codec.Message) error {
	switch u := m.Body.(type) {
	case *codec.Params:
		for _, p := range u.Params {
			info, known := codec.ParamInfoOf(m.Edition, p.ID)
			switch {
			case !known:
			case info.ReadOnly:
				return errReadOnly(info)
			case !info.Text:
				if err := checkNumber(m.Edition, info, int64(p.Number())*info.Step); err != nil {
					return err
				}
			}
		}
	case *codec.Control:
		if err := checkControl(m.Edition, u); err != nil {
			return err
		}
	}
	for _, p := range m.Problems() {
		return badValue(p.Path, "%s: it does not fit the standard's tables", p.Code)
	}
	return nil
}

func errReadOnly(info codec.ParamInfo) error {
	return badValue(info.Name, "it can be queried, not set")
}

// The bounds of table B.16 that codec.Upgrade does not enforce.
const (
	highestPort      = 65531
	longestTimeLimit = 60000
	manufacturerSize = 4
	versionSize      = 5
)

func checkControl(e codec.Edition, u *codec.Control) error {
	switch u.ID {
	case codec.ControlUpgrade:
		return checkUpgrade(&u.Upgrade)
	case codec.ControlAlarm:
		highest := uint8(3)
		if e == codec.Edition2025 {
			highest = 4
		}
		if u.Alarm.Level > highest && u.Alarm.Level != 0xFF {
			return badValue("level", "%d is out of range; 0 to %d in the %d edition, or 255 for invalid", u.Alarm.Level, highest, e)
		}
		return nil
	}
	if u.ID.Name() == "" && (u.ID < 0x80 || u.ID == 0xFF) {
		return badValue("control", "%d is not assigned; 1 to %d, or 128 to 254 for those of the maker", u.ID, codec.ControlSampling)
	}
	return nil
}

func checkUpgrade(u *codec.Upgrade) error {
	switch {
	case u.Port > highestPort:
		return badValue("port", "%d is out of range; 0 to %d", u.Port, highestPort)
	case u.TimeLimit > longestTimeLimit:
		return badValue("timeLimit", "%d is out of range; 0 to %d min", u.TimeLimit, longestTimeLimit)
	case len(u.Manufacturer) > manufacturerSize:
		return tooLong("manufacturer", u.Manufacturer, manufacturerSize)
	case len(u.HardwareVersion) > versionSize:
		return tooLong("hardwareVersion", u.HardwareVersion, versionSize)
	case len(u.FirmwareVersion) > versionSize:
		return tooLong("firmwareVersion", u.FirmwareVersion, versionSize)
	}
	return nil
}

func tooLong(name string, text []byte, most int) error {
	return badValue(name, "%q has %d bytes; at most %d", codec.Text(text), len(text), most)
}

// fieldError makes a *ValueError of the codec's. name is the field's, "" for the path of the error.
func fieldError(name string, err error) error {
	var field *codec.FieldError
	if !errors.As(err, &field) {
		return err
	}
	if name == "" {
		name = field.Path
	}
	return &ValueError{Name: name, Reason: strings.TrimPrefix(fmt.Sprint(field.Reason), "codec: ")}
}
