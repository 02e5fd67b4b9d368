package codec

import "bytes"

// ControlID is the command of a terminal control (0x82), 2016 table B.14, 2025 table B.10.
type ControlID uint8

// The control commands. 0x80 to 0xFE are user-defined.
const (
	ControlUpgrade      ControlID = 0x01 // remote upgrade
	ControlShutdown     ControlID = 0x02 // shut the terminal down
	ControlReset        ControlID = 0x03 // reset the terminal
	ControlFactoryReset ControlID = 0x04 // restore the factory settings
	ControlDisconnect   ControlID = 0x05 // drop the data link
	ControlAlarm        ControlID = 0x06 // show an alarm or warning
	ControlSampling     ControlID = 0x07 // open the sampling-monitoring link
)

// Control is the data unit of a terminal control (0x82). Which of Upgrade, Alarm and Data holds the
// arguments depends on the ID.
type Control struct {
	Time    Time
	ID      ControlID
	Upgrade Upgrade      // ControlUpgrade
	Alarm   ControlAlert // ControlAlarm
	Data    []byte       // any other
}

// ControlAlert holds the arguments of ControlAlarm (2016 table B.17, 2025 table B.13).
type ControlAlert struct {
	Level   uint8  // 0 none, 1 to 3 (2025: 4) level, 255 invalid
	Message []byte // text in GB 18030
}

func (u *Control) decode(b []byte, d *decoding) (n, keys int) {
	*u = Control{}
	if len(b) < TimeSize {
		return 0, 0
	}
	u.Time = Time(b[:TimeSize])
	if len(b) < TimeSize+1 {
		return TimeSize, 1
	}
	u.ID = ControlID(b[TimeSize])
	n, b = TimeSize+1, b[TimeSize+1:]
	switch u.ID {
	case ControlUpgrade:
		if !u.Upgrade.decode(b) {
			d.fault = fault{code: CodeTruncated, key: "upgradeForm"}
			return n, 2
		}
		return n + len(b), 3
	case ControlAlarm:
		if len(b) == 0 {
			return n, 2
		}
		u.Alarm = ControlAlert{Level: b[0], Message: b[1:len(b):len(b)]}
		return n + len(b), 4
	}
	u.Data = b[:len(b):len(b)]
	return n + len(b), 3
}

func (u *Control) keyCount() int {
	if u.ID == ControlAlarm {
		return 4
	}
	return 3
}

func (u *Control) keyAt(i int) string {
	switch {
	case i == 0:
		return "time"
	case i == 1:
		return "control"
	case u.ID == ControlUpgrade:
		return "upgradeForm"
	case u.ID == ControlAlarm && i == 2:
		return "level"
	case u.ID == ControlAlarm:
		return "message"
	}
	return "data"
}

func (u *Control) appendUnit(dst []byte, _ Edition, keys int) ([]byte, error) {
	if keys < 1 {
		return dst, nil
	}
	dst = append(dst, u.Time[:]...)
	if keys < 2 {
		return dst, nil
	}
	dst = append(dst, byte(u.ID))
	if keys < 3 {
		return dst, nil
	}
	if len(u.Data) > 0 && (u.ID == ControlUpgrade || u.ID == ControlAlarm) {
		return dst, &FieldError{Path: "data", Reason: "an upgrade and an alarm have fields of their own"}
	}
	switch u.ID {
	case ControlUpgrade:
		return u.Upgrade.appendTo(dst)
	case ControlAlarm:
		dst = append(dst, u.Alarm.Level)
		if keys < 4 {
			return dst, nil
		}
		return append(dst, u.Alarm.Message...), nil
	}
	return append(dst, u.Data...), nil
}

func (u *Control) appendKeys(b []byte, w *jsonWriter, keys int) []byte {
	if keys < 1 {
		return b
	}
	b = w.time(append(b, `,"time":`...), "time", u.Time)
	if keys < 2 {
		return b
	}
	if u.ID == 0 || u.ID > ControlSampling && u.ID < 0x80 || u.ID == 0xFF {
		w.problem("control", CodeOutOfRange)
	}
	b = appendUint(append(b, `,"control":`...), uint32(u.ID))
	if keys < 3 {
		return b
	}
	switch u.ID {
	case ControlUpgrade:
		return u.Upgrade.appendKeys(b, w)
	case ControlAlarm:
		highest := uint8(3)
		if w.edition == Edition2025 {
			highest = 4
		}
		if u.Alarm.Level > highest && u.Alarm.Level != 0xFF {
			w.problem("level", CodeOutOfRange)
		}
		b = appendUint(append(b, `,"level":`...), uint32(u.Alarm.Level))
		if keys < 4 {
			return b
		}
		return w.text(b, "message", u.Alarm.Message)
	}
	b = append(b, `,"data":"`...)
	return append(appendHex(b, u.Data), '"')
}

func (u *Control) parseKeys(o *object) (keys int) {
	if !o.next("time", "timeHex") {
		return 0
	}
	u.Time = o.time("time")
	if !o.next("control") {
		return 1
	}
	u.ID = ControlID(o.raw("control", 8))
	switch u.ID {
	case ControlUpgrade:
		if !o.next("upgradeForm") {
			return 2
		}
		u.Upgrade.parse(o)
		return 3
	case ControlAlarm:
		if !o.next("level") {
			return 2
		}
		u.Alarm.Level = uint8(o.raw("level", 8))
		if !o.next("message", "messageHex") {
			return 3
		}
		u.Alarm.Message = o.text("message")
		return 4
	}
	if o.has("data") { // empty for most commands, and then not worth writing
		u.Data = o.hex("data")
	}
	return 3
}

func (u *Control) clone() Body {
	c := *u
	c.Upgrade = u.Upgrade.clone()
	c.Alarm.Message = bytes.Clone(u.Alarm.Message)
	c.Data = bytes.Clone(u.Data)
	return &c
}

// secret reports whether the unit of a control, plain or not, carries a password: a remote upgrade
// with one, or with arguments that cannot be told apart.
func (u *Control) secret(unit []byte) bool {
	if len(unit) <= TimeSize+1 || ControlID(unit[TimeSize]) != ControlUpgrade {
		return false
	}
	return !u.Upgrade.decode(unit[TimeSize+1:]) || len(u.Upgrade.Password) > 0
}
