package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Commands make the gateway under test send commands (0x80, 0x81, 0x82): no vehicle can.
type Commands struct {
	// Provoke has a command sent to a vehicle that is logged in. An error says why none will come: the case is not run then.
	Provoke func(ctx context.Context, o Order) (*Provoked, error)
	// OneAtATime is for a person who sends them.
	OneAtATime bool
}

// Order is a command that is wanted.
type Order struct {
	VIN     string
	Edition codec.Edition
	Command codec.Command
	Unit    []byte // a data unit for it, from its time on; any other of the command does as well
}

// Provoked is a command under way.
type Provoked struct {
	Wait time.Duration // the vehicle has it after so long, or it does not come
	// State asks the gateway what became of it: "answered" is what it says of one whose answer it has taken, over that it will
	// say nothing else. Nil: it cannot be asked.
	State func(ctx context.Context) (state string, over bool, err error)
}

// answered is the state of a command whose answer the gateway has taken.
const answered = "answered"

// commandCases test what the gateway sends to vehicles, and what becomes of their answers.
func commandCases() []Case {
	return []Case{
		{Name: "command.query", Expect: "a query (0x80) has flag 0xFE, the vehicle's identifier and edition, a time and its parameter ids; its answer is taken",
			Clause2016: "§6.3.2, B.2.2, tables B.9, B.10", Clause2025: "§6.3.2, B.2, tables B.5, B.6", Commands: true, play: commandTaken(codec.CommandParamQuery, replyTime)},
		{Name: "command.set", Expect: "a setting (0x81) likewise, with parameters that can be read; an answer with the request's time is taken",
			Clause2016: "§6.3.2, B.2.3, table B.13", Clause2025: "§6.3.2, B.2, table B.9", Commands: true, play: commandTaken(codec.CommandParamSet, requestTime)},
		{Name: "command.control", Expect: "a control (0x82) likewise, with one id; an answer with the request's time is taken",
			Clause2016: "§6.3.2, B.2.4, table B.14", Clause2025: "§6.3.2, B.2, table B.10", Commands: true, play: commandTaken(codec.CommandControl, requestTime)},
		{Name: "command.answerEcho", Expect: "an answer that repeats the control under a new time is taken",
			Clause2016: "B.3.3.2", Clause2025: "§6.3.2, B.2", Commands: true, play: commandTaken(codec.CommandControl, echo)},
		{Name: "command.answerError", Expect: "an answer with flag 0x02 ends the setting: it is not sent again",
			Clause2016: "table 4, B.2.3", Clause2025: "table 4, B.2", Commands: true, play: commandTaken(codec.CommandParamSet, refusal)},
		{Name: "command.answerFlagFE", Expect: "an answer that has kept the flag 0xFE, as some terminals' have, is not answered and does not end the connection",
			Clause2016: "§6.3.2", Clause2025: "§6.3.2", Commands: true, play: commandTaken(codec.CommandControl, keptFlag)},
		{Name: "command.otherVIN", Expect: "an answer of another VIN is not taken for the vehicle's",
			Clause2016: "§6.2, B.2.4", Clause2025: "§6.2, B.2", Commands: true, play: commandOtherVIN},
		{Name: "command.resend", Expect: "a query that the vehicle leaves unanswered is sent again, three times in all or three times more, and then no longer",
			Clause2016: "B.2.2", Clause2025: "B.2", Commands: true, play: commandResend(codec.CommandParamQuery)},
		{Name: "command.resendControl", Expect: "a control likewise, a minute apart",
			Clause2016: "B.2.4", Clause2025: "B.2", Commands: true, play: commandResend(codec.CommandControl)},
	}
}

// order is the command that a case wants: one that does no harm.
func (t *talk) order(command codec.Command) Order {
	at := time.Now()
	var m *codec.Message
	switch command {
	case codec.CommandParamQuery:
		m = codec.NewParamQuery(t.edition, t.vin, at, codec.ParamReportPeriod, codec.ParamHeartbeatPeriod)
	case codec.CommandParamSet:
		var p codec.Params
		if err := p.AddNumber(t.edition, codec.ParamReportPeriod, 10); err != nil {
			panic(err) // a mistake here
		}
		m = codec.NewParamSet(t.edition, t.vin, at, p.Params...)
	default:
		m = codec.NewControl(t.edition, t.vin, at, codec.ControlSampling)
	}
	return Order{VIN: t.vin.String(), Edition: t.edition, Command: command, Unit: frame(m, nil).Unit()}
}

// provoke has a command sent and returns the frame, which is checked.
func (l *line) provoke(command codec.Command) (codec.Frame, *Provoked) {
	p, err := l.o.Commands.Provoke(l.ctx, l.order(command))
	if err != nil {
		l.stop(notRun("the gateway was not made to send a command: %v", err))
	}
	f, err := l.await(command, p.Wait)
	name := command.Name(l.edition)
	switch {
	case errors.Is(err, errClosed):
		l.stop(fail("the connection was closed before the %s came", name))
	case err != nil && p.State == nil:
		l.stop(notRun("no %s came within %v", name, p.Wait))
	case err != nil:
		l.stop(fail("the gateway has taken the %s, and it did not come within %v", name, p.Wait))
	}
	l.checkOrder(f)
	return f, p
}

// beatEvery returns the time between two heartbeats while a vehicle waits for something.
func (t *talk) beatEvery() time.Duration {
	const usual = 20 * time.Second
	if t.o.Idle > 0 {
		return min(t.o.Idle/3, usual)
	}
	return usual
}

// await waits for a frame of a command and keeps the connection alive meanwhile. The answers to the heartbeats are left out.
func (l *line) await(command codec.Command, wait time.Duration) (codec.Frame, error) {
	until, beat := time.Now().Add(wait), time.Now().Add(l.beatEvery())
	for {
		now := time.Now()
		switch {
		case !now.Before(until):
			return nil, errSilent
		case !now.Before(beat):
			beat = now.Add(l.beatEvery())
			l.write(l.heartbeat())
		}
		f, err := l.next(min(time.Until(until), time.Until(beat)), command)
		switch {
		case errors.Is(err, errClosed):
			return nil, err
		case err == nil && f.Command() == command:
			return f, nil
		case err == nil && f.Command() != codec.CommandHeartbeat:
			l.stop(fail("an answer to nothing that was sent: %x", []byte(f)))
		}
	}
}

// checkOrder holds a command to the tables.
func (t *talk) checkOrder(f codec.Frame) {
	name := f.Command().Name(t.edition)
	bad := func(format string, args ...any) {
		t.stop(fail("the %s %s: %x", name, fmt.Sprintf(format, args...), []byte(f)))
	}
	switch {
	case f.Flag() != codec.FlagCommand:
		bad("has flag 0x%02x, a command has 0xfe", byte(f.Flag()))
	case f.Edition() != t.edition:
		bad("has the start mark of the other edition than the login")
	case f.VIN() != t.vin:
		bad("is for another vehicle")
	case !f.Encryption().Plain():
		bad("says that it is encrypted (%v)", f.Encryption())
	}
	if _, ok := f.Time(); !ok {
		bad("does not begin with a time that the calendar has")
	}
	unit := f.Unit()[codec.TimeSize:]
	if len(unit) == 0 {
		bad("ends after its time")
	}
	switch n := int(unit[0]); {
	case f.Command() == codec.CommandControl && (n == 0 || n == 0xFF):
		bad("has the id %d, which is none", n)
	case f.Command() == codec.CommandParamQuery && n < 0xFE && len(unit) != 1+n:
		bad("counts %d parameters and has %d ids", n, len(unit)-1)
	case f.Command() == codec.CommandParamSet:
		var m codec.Message
		m.Decode(f)
		p, _ := m.Body.(*codec.Params)
		switch {
		case p == nil || m.Missing > 0 || len(m.Rest) > 0 && m.Rest[0] < 0x80:
			bad("holds parameters that cannot be read by the table")
		case n < 0xFE && len(m.Rest) == 0 && len(p.Params) != n:
			bad("counts %d parameters and has %d", n, len(p.Params))
		}
	}
}

// reaction makes the vehicle's answer to a command.
type reaction struct {
	name   string
	answer func(t *talk, f codec.Frame) codec.Frame
}

var (
	replyTime   = reaction{"the parameters", (*talk).parameters}
	requestTime = reaction{"the request's time", func(_ *talk, f codec.Frame) codec.Frame {
		return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes())
	}}
	echo = reaction{"the request under a new time", func(_ *talk, f codec.Frame) codec.Frame {
		return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(codec.AppendTime(nil, time.Now()), f.Unit()[codec.TimeSize:]...))
	}}
	refusal = reaction{"an error", func(_ *talk, f codec.Frame) codec.Frame {
		return codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes())
	}}
	keptFlag = reaction{"flag 0xFE", func(_ *talk, f codec.Frame) codec.Frame {
		return codec.AppendAnswer(nil, f, codec.FlagCommand, f.TimeBytes())
	}}
)

// parameters answers a query: those of the ids that have a row in the table.
func (t *talk) parameters(f codec.Frame) codec.Frame {
	p := codec.Params{Time: codec.MakeTime(time.Now())}
	for _, id := range f.Unit()[codec.TimeSize+1:] {
		info, known := codec.ParamInfoOf(t.edition, id)
		var err error
		switch {
		case !known || id == codec.ParamPlatformDomainLength || id == codec.ParamPublicDomainLength: // AddText puts the length before its domain
			continue
		case info.Text:
			err = p.AddText(t.edition, id, "probe")
		default:
			err = p.AddNumber(t.edition, id, uint32(info.Min/info.Step))
		}
		if err != nil {
			panic(err) // a mistake here
		}
	}
	h := codec.Header{Edition: t.edition, Command: f.Command(), Flag: codec.FlagSuccess, VIN: [codec.VINSize]byte(f.RawVIN()), Encryption: codec.EncryptionNone}
	return frame(&codec.Message{Header: h, Body: &p}, nil)
}

// reply sends the answer to a command and sees that the gateway leaves it at that.
func (l *line) reply(command, answer codec.Frame) {
	l.write(answer)
	fence := l.heartbeat()
	l.write(fence)
	name := command.Command().Name(l.edition)
	fenced := false
	for wait := l.o.Timeout; ; {
		f, err := l.next(wait, command.Command())
		switch {
		case errors.Is(err, errSilent) && fenced:
			return
		case errors.Is(err, errClosed):
			l.stop(fail("the connection was closed after the answer to the %s", name))
		case err != nil:
			l.stop(fail("after the answer to the %s a heartbeat was not answered within %v", name, l.o.Timeout))
		case answersTo(f, fence):
			fenced, wait = true, l.o.Quiet
		case f.Command() == command.Command() && f.Flag() == codec.FlagCommand:
			l.stop(fail("the %s came again after its answer", name))
		default:
			l.stop(fail("the answer to the %s was answered: %x", name, []byte(f)))
		}
	}
}

// settled waits until the gateway says what became of a command, "" where it cannot be asked.
func (t *talk) settled(p *Provoked) string {
	if p.State == nil {
		return ""
	}
	for until := time.Now().Add(t.o.Timeout); ; time.Sleep(50 * time.Millisecond) {
		state, over, err := p.State(t.ctx)
		switch {
		case err != nil:
			t.stop(fail("the gateway does not tell what became of the command: %v", err))
		case over || !time.Now().Before(until):
			return state
		}
	}
}

func commandTaken(command codec.Command, r reaction) func(*talk) verdict {
	return func(t *talk) verdict {
		l := t.enter()
		f, p := l.provoke(command)
		l.reply(f, r.answer(t, f))
		name := command.Name(t.edition)
		state := t.settled(p)
		wanted := answered
		if r.name == refusal.name {
			wanted = "rejected"
		}
		switch state {
		case "":
			return pass("the %s is in order; the answer (%s) was itself not answered. Whether it was taken cannot be asked", name, r.name)
		case wanted:
			return pass("the %s is in order; %s was taken as its answer", name, r.name)
		}
		return fail("the %s was answered with %s, and the gateway says that it is %s", name, r.name, state)
	}
}

func commandOtherVIN(t *talk) verdict {
	l := t.enter()
	f, p := l.provoke(codec.CommandControl)
	right := requestTime.answer(t, f)
	other := bytes.Clone(right)
	copy(other[4:4+codec.VINSize], t.unknown[:])
	other[len(other)-1] = codec.Check(other[2 : len(other)-1])
	l.write(other)
	fence := l.heartbeat()
	l.write(fence)
	got, err := l.await(codec.CommandHeartbeat, l.o.Timeout)
	if errors.Is(err, errClosed) {
		return pass("the connection was closed after the answer of another VIN")
	}
	if err != nil || !answersTo(got, fence) {
		return fail("after the answer of another VIN a heartbeat was not answered within %v", l.o.Timeout)
	}
	if p.State != nil {
		if state, over, err := p.State(t.ctx); err != nil || over {
			return fail("after the answer of another VIN the gateway says that the control is %s (%v)", state, err)
		}
	}
	l.reply(f, right)
	switch state := t.settled(p); state {
	case "":
		return pass("the connection goes on. Whether the answer was taken cannot be asked")
	case answered:
		return pass("it was passed over, and the vehicle's own was taken")
	default:
		return fail("the vehicle's own answer came after that of another VIN, and the gateway says that the control is %s", state)
	}
}

// mostSends bounds how often a command may come: the text can be read as three sends, and as one and three more.
const mostSends = 4

func commandResend(command codec.Command) func(*talk) verdict {
	return func(t *talk) verdict {
		interval, flag := t.o.Resend, "--resend"
		if command == codec.CommandControl {
			interval, flag = t.o.ResendControl, "--resend-control"
		}
		if interval <= 0 {
			return notRun("it was not told after what time the gateway sends again (%s)", flag)
		}
		l := t.enter()
		first, _ := l.provoke(command)
		last, sends, apart := time.Now(), 1, ""
		for sends <= mostSends {
			f, err := l.await(command, 2*interval+l.o.Quiet)
			if errors.Is(err, errClosed) {
				return warn("the connection was closed after %d sends%s", sends, apart)
			}
			if err != nil {
				break
			}
			l.checkOrder(f)
			if !bytes.Equal(f.Unit()[codec.TimeSize:], first.Unit()[codec.TimeSize:]) {
				return fail("another command came while the first was unanswered: %x", []byte(f))
			}
			sends++
			apart += fmt.Sprintf(", again after %v", time.Since(last).Round(100*time.Millisecond))
			last = time.Now()
		}
		switch {
		case sends > mostSends:
			return fail("the %s did not stop after %d sends%s", command.Name(t.edition), mostSends, apart)
		case sends < 3:
			return warn("%d sends%s; then nothing for %v", sends, apart, 2*interval)
		}
		return pass("%d sends%s, then no more", sends, apart)
	}
}
