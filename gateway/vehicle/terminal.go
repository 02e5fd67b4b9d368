package vehicle

import (
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// terminal is the part of a T-Box that obeys: it holds the parameters of 2016 table B.12 (2025
// table B.8), answers queries and settings, and confirms controls.
type terminal struct {
	edition codec.Edition
	style   Style
	changed bool          // a period has been set
	leave   bool          // the terminal has answered that it goes elsewhere
	params  []codec.Param // in the order of their ids

	reportPeriod time.Duration
	alarmPeriod  time.Duration // between two reports while something serious is wrong
	beatPeriod   time.Duration // between two heartbeats
	message      codec.Message
	undo         func() // takes the setting back that makes the terminal leave
	leaving      bool   // such a setting is being answered
}

func newTerminal(cfg Config) (*terminal, error) {
	t := &terminal{
		edition:      cfg.Edition,
		style:        cfg.Style,
		reportPeriod: cfg.Period,
		alarmPeriod:  time.Second,
		beatPeriod:   cfg.Heartbeat,
	}
	var p codec.Params
	inSeconds := func(d time.Duration, most uint32) uint32 { return min(max(uint32(max(d, 0)/time.Second), 1), most) }
	report, alarm := inSeconds(cfg.Period, 600), uint32(1000)
	if cfg.Edition == codec.Edition2025 {
		report, alarm = min(report, 30), 1
	}
	for _, add := range []struct {
		id     uint8
		number uint32
		text   string
	}{
		{id: codec.ParamStoragePeriod, number: 10000},
		{id: codec.ParamReportPeriod, number: report},
		{id: codec.ParamAlarmReportPeriod, number: alarm},
		{id: codec.ParamPlatformDomain, text: "gateway.example"},
		{id: codec.ParamPlatformPort, number: 8999},
		{id: codec.ParamHardwareVersion, text: "SIM-1"},
		{id: codec.ParamFirmwareVersion, text: "1.0.0"},
		{id: codec.ParamHeartbeatPeriod, number: inSeconds(cfg.Heartbeat, 240)},
		{id: codec.ParamTerminalTimeout, number: 30},
		{id: codec.ParamPlatformTimeout, number: 30},
		{id: codec.ParamLoginRetryInterval, number: 30},
		{id: codec.ParamPublicDomain, text: "public.example"},
		{id: codec.ParamPublicPort, number: 8999},
		{id: codec.ParamSampling, number: 2},
	} {
		var err error
		if add.text != "" {
			err = p.AddText(cfg.Edition, add.id, add.text)
		} else {
			err = p.AddNumber(cfg.Edition, add.id, add.number)
		}
		if err != nil {
			return nil, err
		}
	}
	t.params = p.Params
	return t, nil
}

// answer returns the answer to a command of the gateway, nil for one that a terminal ignores: it
// cannot be read, terminals do not know it (2016 B.2.3, B.2.4), or the style is silence.
func (t *terminal) answer(f codec.Frame) []byte {
	t.message.Decode(f)
	if len(t.message.Rest) > 0 || t.message.Missing > 0 {
		return nil
	}
	switch body := t.message.Body.(type) {
	case *codec.ParamQuery:
		return t.query(f, body)
	case *codec.Params:
		if f.Command() != codec.CommandParamSet {
			return nil
		}
		if len(codec.CheckUnit(f.Edition(), f.Command(), f.Flag(), f.Unit())) > 0 || !t.set(body) {
			return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
		}
		return t.style.confirm(f, time.Now())
	case *codec.Control:
		return t.style.confirm(f, time.Now())
	}
	return nil
}

// query answers with the parameters asked for, those that the terminal holds, in the order asked.
// The length of a domain comes with it: the domain could not be read otherwise.
func (t *terminal) query(f codec.Frame, q *codec.ParamQuery) []byte {
	answer := codec.Params{Time: codec.MakeTime(time.Now())}
	flag := codec.FlagSuccess
	switch t.style {
	case StyleSilent:
		return nil
	case StyleError:
		return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
	case StyleFlagFE:
		flag = codec.FlagCommand
	case StyleEchoRequest:
		answer.Time = q.Time
	}
	has := func(id uint8) bool {
		return slices.ContainsFunc(answer.Params, func(p codec.Param) bool { return p.ID == id })
	}
	for i := range q.IDs.Len() {
		id := q.IDs.At(i)
		if (id == codec.ParamPlatformDomain || id == codec.ParamPublicDomain) && !has(id-1) {
			answer.Params = append(answer.Params, t.held(id-1)...)
		}
		answer.Params = append(answer.Params, t.held(id)...)
	}
	m := codec.Message{
		Header: codec.Header{Edition: f.Edition(), Command: f.Command(), Flag: flag,
			VIN: [codec.VINSize]byte(f.RawVIN()), Encryption: codec.EncryptionNone},
		Body: &answer,
	}
	b, err := m.Append(nil)
	if err != nil {
		return nil // more parameters than a unit can count: such a query is ignored
	}
	return b
}

// held returns the parameter with the id, nothing when the terminal has none.
func (t *terminal) held(id uint8) []codec.Param {
	for i := range t.params {
		if t.params[i].ID == id {
			return t.params[i : i+1]
		}
	}
	return nil
}

// set stores parameters and reports whether it did: one that is wrong, unknown or read-only refuses
// all (2016 §5.2 of the wire specification, table B.13).
func (t *terminal) set(u *codec.Params) bool {
	for _, p := range u.Params {
		held := t.held(p.ID)
		if len(held) == 0 || p.ID == codec.ParamHardwareVersion || p.ID == codec.ParamFirmwareVersion {
			return false
		}
	}
	params, report, alarm, beat := slices.Clone(t.params), t.reportPeriod, t.alarmPeriod, t.beatPeriod
	for _, p := range u.Params {
		if t.style == StyleLeave && (p.ID == codec.ParamPlatformDomain || p.ID == codec.ParamPlatformPort) {
			t.leaving = true
			t.undo = func() { t.params, t.reportPeriod, t.alarmPeriod, t.beatPeriod = params, report, alarm, beat }
		}
		t.held(p.ID)[0].Data = slices.Clone(p.Data) // the frame's bytes are gone after this call
		if p.Value(t.edition).State() != codec.StateValid {
			continue
		}
		switch n := int64(p.Number()); p.ID {
		case codec.ParamReportPeriod:
			t.reportPeriod = seconds(n)
		case codec.ParamAlarmReportPeriod:
			t.alarmPeriod = seconds(n)
			if t.edition == codec.Edition2016 {
				t.alarmPeriod /= 1000 // milliseconds
			}
			t.alarmPeriod = max(t.alarmPeriod, 100*time.Millisecond)
		case codec.ParamHeartbeatPeriod:
			t.beatPeriod = seconds(n)
		default:
			continue
		}
		t.changed = true
	}
	return true
}

func seconds(n int64) time.Duration { return time.Duration(n * int64(time.Second)) }

// answered says that the answer to a command is on its way; only then does a terminal leave.
func (t *terminal) answered() {
	if t.leaving {
		t.leaving, t.leave = false, true
	}
}

// platform returns the address of the management platform that the parameters name.
func (t *terminal) platform() string {
	return net.JoinHostPort(t.held(codec.ParamPlatformDomain)[0].Text(), strconv.Itoa(int(t.held(codec.ParamPlatformPort)[0].Number())))
}

// restore takes the setting back that made the terminal leave, and returns the answer that says so to
// the platform it comes back to.
func (c *car) restore() ([]byte, error) {
	c.undo()
	h := codec.Header{Edition: c.edition, Command: codec.CommandParamSet, Flag: codec.FlagError, VIN: c.vin, Encryption: codec.EncryptionNone}
	return codec.AppendFrame(nil, h, codec.AppendTime(nil, time.Now()))
}
