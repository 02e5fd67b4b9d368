package codec

import "strconv"

// Command is the command id of a frame (2016 tables 3 and B.2, 2025 tables 3 and B.2).
type Command byte

// The assigned command ids. 0x09 to 0x0B exist in the 2025 edition only.
const (
	CommandVehicleLogin       Command = 0x01
	CommandRealtime           Command = 0x02
	CommandReissue            Command = 0x03
	CommandVehicleLogout      Command = 0x04
	CommandPlatformLogin      Command = 0x05
	CommandPlatformLogout     Command = 0x06
	CommandHeartbeat          Command = 0x07
	CommandTimeSync           Command = 0x08
	CommandActivation         Command = 0x09
	CommandActivationResponse Command = 0x0A
	CommandKeyExchange        Command = 0x0B
	CommandParamQuery         Command = 0x80
	CommandParamSet           Command = 0x81
	CommandControl            Command = 0x82
)

// Name returns the command's JSON name in edition e ("realtime"). An id that the edition does not
// assign is written in hex ("0xC1").
func (c Command) Name(e Edition) string {
	switch c {
	case CommandVehicleLogin:
		return "vehicleLogin"
	case CommandRealtime:
		return "realtime"
	case CommandReissue:
		return "reissue"
	case CommandVehicleLogout:
		return "vehicleLogout"
	case CommandPlatformLogin:
		return "platformLogin"
	case CommandPlatformLogout:
		return "platformLogout"
	case CommandHeartbeat:
		return "heartbeat"
	case CommandTimeSync:
		return "timeSync"
	case CommandParamQuery:
		return "paramQuery"
	case CommandParamSet:
		return "paramSet"
	case CommandControl:
		return "control"
	}
	if e == Edition2025 {
		switch c {
		case CommandActivation:
			return "activation"
		case CommandActivationResponse:
			return "activationResponse"
		case CommandKeyExchange:
			return "keyExchange"
		}
	}
	return hexName(byte(c))
}

// Known reports whether edition e assigns the command id.
func (c Command) Known(e Edition) bool {
	switch {
	case c >= CommandVehicleLogin && c <= CommandTimeSync:
		return true
	case c >= CommandActivation && c <= CommandKeyExchange:
		return e == Edition2025
	}
	return c >= CommandParamQuery && c <= CommandControl
}

// ParseCommand is the inverse of [Command.Name]: a name of edition e, or any id as "0xC1".
// The error is ErrName; a name that only the other edition has is unknown too.
func ParseCommand(name string, e Edition) (Command, error) {
	if b, ok := parseHexName(name); ok {
		return Command(b), nil
	}
	for _, c := range [...]Command{
		CommandRealtime, CommandReissue, CommandVehicleLogin, CommandVehicleLogout, CommandPlatformLogin,
		CommandPlatformLogout, CommandHeartbeat, CommandTimeSync, CommandActivation,
		CommandActivationResponse, CommandKeyExchange, CommandParamQuery, CommandParamSet, CommandControl,
	} {
		if c.Name(e) == name {
			return c, nil
		}
	}
	return 0, nameError("command of edition "+strconv.Itoa(int(e)), name)
}
