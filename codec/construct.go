package codec

import "time"

// newMessage returns a command, unencrypted.
func newMessage(e Edition, c Command, vin VIN, body Body) *Message {
	return &Message{
		Header: Header{Edition: e, Command: c, Flag: FlagCommand, VIN: vin, Encryption: EncryptionNone},
		Body:   body,
	}
}

// NewRealtime returns a realtime report (0x02) of the items given, which must be of edition e.
func NewRealtime(e Edition, vin VIN, at time.Time, info ...Item) *Message {
	return newMessage(e, CommandRealtime, vin, &Realtime{Time: MakeTime(at), Info: info})
}

// NewReissue returns a reissue (0x03): a report of the time at that could not be sent then.
func NewReissue(e Edition, vin VIN, at time.Time, info ...Item) *Message {
	return newMessage(e, CommandReissue, vin, &Realtime{Time: MakeTime(at), Info: info})
}

// NewVehicleLogin2016 returns a vehicle login (0x01) of the 2016 edition. The serial runs from 1 to
// 65531 and starts anew every day. The error is ErrText for an ICCID that does not fit 20 bytes.
func NewVehicleLogin2016(vin VIN, at time.Time, serial uint16, iccid string, codes StorageCodes) (*Message, error) {
	u := &VehicleLogin2016{Time: MakeTime(at), Serial: serial, StorageCodes: codes}
	if err := PutText(u.ICCID[:], iccid); err != nil {
		return nil, err
	}
	return newMessage(Edition2016, CommandVehicleLogin, vin, u), nil
}

// NewVehicleLogin2025 returns a vehicle login (0x01) of the 2025 edition; see [NewVehicleLogin2016].
func NewVehicleLogin2025(vin VIN, at time.Time, serial uint16, iccid string, codes PackCodes) (*Message, error) {
	u := &VehicleLogin2025{Time: MakeTime(at), Serial: serial, BMS: codes}
	if err := PutText(u.ICCID[:], iccid); err != nil {
		return nil, err
	}
	return newMessage(Edition2025, CommandVehicleLogin, vin, u), nil
}

// NewVehicleLogout returns a vehicle logout (0x04); serial is that of the login.
func NewVehicleLogout(e Edition, vin VIN, at time.Time, serial uint16) *Message {
	return newMessage(e, CommandVehicleLogout, vin, &Logout{Time: MakeTime(at), Serial: serial})
}

// NewPlatformLogin returns a platform login (0x05) under the platform's unique code, for a link whose
// data units are not encrypted. The error is ErrText for a user name above 12 or a password above 20
// bytes.
func NewPlatformLogin(e Edition, code VIN, at time.Time, serial uint16, username, password string) (*Message, error) {
	u := &PlatformLogin{Time: MakeTime(at), Serial: serial, EncryptionRule: uint8(EncryptionNone)}
	if err := PutText(u.Username[:], username); err != nil {
		return nil, err
	}
	if err := PutText(u.Password[:], password); err != nil {
		return nil, err
	}
	return newMessage(e, CommandPlatformLogin, code, u), nil
}

// NewPlatformLogout returns a platform logout (0x06); serial is that of the login.
func NewPlatformLogout(e Edition, code VIN, at time.Time, serial uint16) *Message {
	return newMessage(e, CommandPlatformLogout, code, &Logout{Time: MakeTime(at), Serial: serial})
}

// NewHeartbeat returns a heartbeat (0x07), an empty data unit.
func NewHeartbeat(e Edition, vin VIN) *Message { return newMessage(e, CommandHeartbeat, vin, nil) }

// NewTimeSync returns a time sync (0x08), an empty data unit. The answer holds the time.
func NewTimeSync(e Edition, vin VIN) *Message { return newMessage(e, CommandTimeSync, vin, nil) }

// NewParamQuery returns a parameter query (0x80) for ids such as [ParamReportPeriod].
func NewParamQuery(e Edition, vin VIN, at time.Time, ids ...uint8) *Message {
	return newMessage(e, CommandParamQuery, vin, &ParamQuery{Time: MakeTime(at), IDs: MakeList8(ids...)})
}

// NewParamSet returns a parameter setting (0x81). [Params.AddNumber] and [Params.AddText] make the
// parameters.
func NewParamSet(e Edition, vin VIN, at time.Time, params ...Param) *Message {
	return newMessage(e, CommandParamSet, vin, &Params{Time: MakeTime(at), Params: params})
}

// NewControl returns a terminal control (0x82) with the argument bytes given; most commands have
// none. An upgrade and an alarm, whose arguments have a layout, are made by [NewUpgrade] and
// [NewAlert].
func NewControl(e Edition, vin VIN, at time.Time, id ControlID, data ...byte) *Message {
	return newMessage(e, CommandControl, vin, &Control{Time: MakeTime(at), ID: id, Data: data})
}

// NewAlert returns a terminal control that shows an alarm or warning of the level given, 0 to 3 (2025:
// 4), with a text. The error is ErrText.
func NewAlert(e Edition, vin VIN, at time.Time, level uint8, message string) (*Message, error) {
	raw, err := encodeGB18030(message)
	if err != nil {
		return nil, err
	}
	u := &Control{Time: MakeTime(at), ID: ControlAlarm, Alarm: ControlAlert{Level: level, Message: raw}}
	return newMessage(e, CommandControl, vin, u), nil
}

// NewUpgrade returns a terminal control that starts a remote upgrade.
func NewUpgrade(e Edition, vin VIN, at time.Time, args Upgrade) *Message {
	return newMessage(e, CommandControl, vin, &Control{Time: MakeTime(at), ID: ControlUpgrade, Upgrade: args})
}

// NewActivation returns an activation (0x09, 2025). The caller signs the unit from its time to the
// VIN. The error is ErrText for a chip id above 16 bytes.
func NewActivation(vin VIN, at time.Time, chipID string, publicKey []byte, signature Signature2025) (*Message, error) {
	u := &Activation{Time: MakeTime(at), PublicKey: publicKey, ActivationVIN: vin, Signature: ActivationSignature{Signature2025: signature}}
	if err := putPadded(u.ChipID[:], chipID, ' '); err != nil {
		return nil, err
	}
	return newMessage(Edition2025, CommandActivation, vin, u), nil
}

// NewActivationResponse returns the answer to an activation (0x0A, 2025), which is a command of its
// own: state 1 activated or 2 failed; reason 0 activated, 1 chip already activated, 2 VIN duplicate.
func NewActivationResponse(vin VIN, state, reason uint8) *Message {
	return newMessage(Edition2025, CommandActivationResponse, vin, &ActivationResponse{State: state, Reason: reason})
}

// NewKeyExchange returns a key exchange (0x0B, 2025) for a key that is in use between two times.
func NewKeyExchange(vin VIN, keyType Encryption, key []byte, enable, expiry time.Time) *Message {
	u := &KeyExchange{KeyType: uint8(keyType), Key: key, EnableTime: MakeTime(enable), ExpiryTime: MakeTime(expiry)}
	return newMessage(Edition2025, CommandKeyExchange, vin, u)
}
