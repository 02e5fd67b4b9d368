package command

import (
	"encoding/json"

	"github.com/tboxgate/tboxgate/codec"
)

// Parameters (GB/T 32960.3 table B.12) whose setting sends the vehicle to another platform.
const (
	paramPlatformDomain = 0x05
	paramPlatformPort   = 0x06
)

// movesPlatform reports whether a command sets the address or port of the platform that the vehicle is to connect to.
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
	var set struct {
		Params []struct {
			ID int `json:"id"`
		} `json:"params"`
	}
	if json.Unmarshal(m.AppendJSON(nil, codec.JSONOptions{}), &set) != nil {
		return false
	}
	for _, p := range set.Params {
		if p.ID == paramPlatformDomain || p.ID == paramPlatformPort {
			return true
		}
	}
	return false
}
