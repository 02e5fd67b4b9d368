package command

import "github.com/tboxgate/tboxgate/codec"

// movesPlatform reports whether a command sets the address or port of the platform that the vehicle is to connect to
// (GB/T 32960.3 table B.12, parameters 0x05 and 0x06).
func movesPlatform(e codec.Edition, cmd codec.Command, unit []byte) bool {
	if cmd != codec.CommandParamSet {
		return false
	}
	frame, err := codec.AppendFrame(nil, codec.Header{Edition: e, Command: cmd, Flag: codec.FlagCommand, Encryption: codec.EncryptionNone}, unit)
	if err != nil {
		return false
	}
	var m codec.Message
	m.Decode(frame)
	set, ok := m.Body.(*codec.Params)
	if !ok {
		return false
	}
	for _, p := range set.Params {
		if p.ID == codec.ParamPlatformDomain || p.ID == codec.ParamPlatformPort {
			return true
		}
	}
	return false
}
