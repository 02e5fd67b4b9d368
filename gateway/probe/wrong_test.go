package probe

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// wrong makes a fake wrong in one way; seen is what the case must say of it.
type wrong struct {
	change func(*fake)
	seen   string
}

// toCommand changes the answers to one command.
func toCommand(command codec.Command, change func(f codec.Frame) []byte) func(*fake) {
	return func(g *fake) {
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			if f.Command() == command && f.Flag() == codec.FlagCommand {
				return change(f)
			}
			return right
		}
	}
}

func answerWith(flag codec.Flag) func(codec.Frame) []byte {
	return func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, flag, f.TimeBytes()) }
}

func silent(codec.Frame) []byte { return nil }

func success(f codec.Frame) []byte { return answerWith(codec.FlagSuccess)(f) }

// deaf answers nothing more once pick has picked a frame.
func deaf(pick func(f codec.Frame) bool) func(*fake) {
	return func(g *fake) {
		silenced := map[*fakeConn]bool{}
		g.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
			g.mu.Lock()
			defer g.mu.Unlock()
			if pick(f) {
				silenced[c] = true
			}
			if silenced[c] {
				return nil
			}
			return right
		}
	}
}

// anyRealtime is deaf after the first report.
var anyRealtime = deaf(func(f codec.Frame) bool { return f.Command() == codec.CommandRealtime })

// answersDamage answers success to damaged frames.
func answersDamage(g *fake) {
	g.next = func(b []byte) (codec.Frame, int, error) {
		if n := codec.Need(b); len(b) >= n && len(b) >= codec.MinFrameSize && (b[0] == '#' || b[0] == '$') {
			return codec.Frame(b[:n]), n, nil // the check byte is not looked at
		}
		return codec.Next(b, 0)
	}
}

// stuckAfterDamage reads on but answers nothing more after anything that is no frame.
func stuckAfterDamage(g *fake) { g.stuck = true }

// otherID answers with another identifier.
func otherID(g *fake) {
	g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
		if len(right) == 0 || codec.Frame(right).Command() != codec.CommandRealtime {
			return right
		}
		b := bytes.Clone(right)
		b[5] ^= 1
		b[len(b)-1] = codec.Check(b[2 : len(b)-1])
		return b
	}
}

// badRefusal refuses with a flag that no edition has.
func badRefusal(g *fake) {
	g.refuses = func(codec.Frame, codec.Flag) codec.Flag { return 0x09 }
}

// refusesWithSuccess says success where it should refuse.
func refusesWithSuccess(g *fake) {
	g.refuses = func(codec.Frame, codec.Flag) codec.Flag { return codec.FlagSuccess }
}

// segmentIsFrame takes each read as a frame. That it reads little at a time makes sure that pieces which
// the network has joined again are pieces for it.
func segmentIsFrame(g *fake) { g.segments, g.reads = true, 20 }

// dropsTheRest drops the half of a frame behind a frame, however the network has joined them.
func dropsTheRest(g *fake) { g.drops, g.reads = true, 38 }

// wrongs shows for every case that it can fail, and why.
var wrongs = map[string][]wrong{
	"framing.split":       {{segmentIsFrame, "the vehicleLogin was not answered"}},
	"framing.trickled":    {{segmentIsFrame, "the vehicleLogin was not answered"}},
	"framing.joined":      {{func(g *fake) { g.answers = onlyFirst }, "timeSync was not answered"}},
	"framing.overlapping": {{dropsTheRest, "the heartbeat was not answered"}},
	"framing.markInside": {{func(g *fake) {
		g.next = func(b []byte) (codec.Frame, int, error) {
			// It searches marks everywhere.
			if max(bytes.LastIndex(b, []byte("##\x07")), bytes.LastIndex(b, []byte("$$\x07"))) > 0 {
				b = b[:0]
			}
			return codec.Next(b, 0)
		}
	}, "was not answered within"}},
	"framing.largest":     {{toCommand(codec.CommandRealtime, answerWith(codec.FlagError)), "which is in order, was answered error"}},
	"framing.lengthMarks": {{func(g *fake) { g.damage = successForDamage }, "length 65,535 was answered with success"}},

	"answer.vehicleLogin": {
		{toCommand(codec.CommandVehicleLogin, silent), "the vehicleLogin was not answered"},
		{toCommand(codec.CommandVehicleLogin, answerWith(codec.FlagError)), "answered error"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte {
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, []byte{1, 1, 1, 1, 1, 1})
		}), "time is not the request's"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte {
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(f.TimeBytes(), 0, 0, 1)) // BWM's form
		}), "has 9 bytes"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte { b := success(f); b[len(b)-1]++; return b }), "wrong check byte at offset 0"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, nil) }), "has 0 bytes"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte { return success(f)[:20] }), "not answered"},
		{toCommand(codec.CommandVehicleLogin, answerWith(0)), "flag 0x00"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte { return append(success(f), "OK\r\n"...) }), "4 bytes that are no frame"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte {
			b := success(f)
			b[0] ^= '#' ^ '$'
			b[1] = b[0]
			return b
		}), "start mark of the other edition"},
		{toCommand(codec.CommandVehicleLogin, func(f codec.Frame) []byte {
			b := success(f)
			b[21] = 3
			b[len(b)-1] = codec.Check(b[2 : len(b)-1])
			return b
		}), "says that it is encrypted"},
	},
	"answer.realtime": {
		{toCommand(codec.CommandRealtime, answerWith(codec.FlagError)), "answered error"},
		{otherID, "an answer to nothing"},
		{toCommand(codec.CommandRealtime, func(f codec.Frame) []byte { return append(success(f), success(f)...) }), "two answers"},
		{anyRealtime, "a heartbeat was not answered"},
	},
	"answer.reissue":       {{toCommand(codec.CommandReissue, answerWith(codec.FlagVINDuplicate)), "answered vinDuplicate"}},
	"answer.vehicleLogout": {{toCommand(codec.CommandVehicleLogout, answerWith(codec.FlagError)), "answered error"}},
	"answer.heartbeat": {
		{toCommand(codec.CommandHeartbeat, silent), "was not answered"},
		{toCommand(codec.CommandHeartbeat, func(f codec.Frame) []byte {
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, []byte{26, 13, 1, 0, 0, 0})
		}), "no calendar"},
	},
	"answer.timeSync": {
		{toCommand(codec.CommandTimeSync, silent), "was not answered"},
		{toCommand(codec.CommandTimeSync, success), "a data unit of 0 bytes"},
		{toCommand(codec.CommandTimeSync, func(f codec.Frame) []byte { // UTC instead of Beijing time
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, codec.AppendTime(nil, time.Now().Add(-8*time.Hour)))
		}), "off by 8h"},
	},
	"answer.ownTime": {{func(g *fake) {
		var first []byte
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			if f.Command() != codec.CommandRealtime {
				return right
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if first == nil || first[0] != f[0] {
				first = right
			}
			return first
		}
	}, "time is not the request's"}},
	"answer.oldTime": {{func(g *fake) {
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			if at, ok := f.Time(); ok && at.Year() < 2020 {
				return answerWith(codec.FlagError)(f)
			}
			return right
		}
	}, "answered error"}},
	"answer.toAnswer": {{func(g *fake) {
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			if f.Flag() != codec.FlagCommand {
				return success(f)
			}
			return right
		}
	}, "an answer (realtime, flag success) was answered"}},
	"answer.unknownCommand": {
		{toCommand(0x30, func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.Unit()) }), "answered with success"},
		{deaf(func(f codec.Frame) bool { return f.Command() == 0x30 }), "heartbeat was not answered"},
	},
	"answer.customCommand": {{deaf(func(f codec.Frame) bool { return f.Command() == 0xC1 }), "heartbeat was not answered"}},
	"answer.otherEdition": {{func(g *fake) {
		marks := map[*fakeConn]byte{}
		g.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
			g.mu.Lock()
			defer g.mu.Unlock()
			if marks[c] == 0 {
				marks[c] = f[0]
			}
			if len(right) > 0 {
				right[0], right[1] = marks[c], marks[c]
			}
			return right
		}
	}, "was answered in this one"}},

	"odd.truncatedItem":  {{anyRealtime, "heartbeat was not answered"}, {otherID, "an answer to nothing"}},
	"odd.unknownItem":    {{anyRealtime, "heartbeat was not answered"}},
	"odd.impossibleTime": {{anyRealtime, "heartbeat was not answered"}},
	"odd.outOfRange":     {{anyRealtime, "heartbeat was not answered"}},
	"odd.noItems":        {{anyRealtime, "heartbeat was not answered"}},
	"odd.shortUnit":      {{toCommand(codec.CommandRealtime, success), "answered with success"}, {anyRealtime, "heartbeat was not answered"}},
	"odd.shortLogin":     {{toCommand(codec.CommandVehicleLogin, answerWith(0x09)), "flag 0x09"}},
	"odd.serials": {{func(g *fake) {
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			if f.Command() == codec.CommandVehicleLogin && f[30] == 0xFF {
				return answerWith(codec.FlagError)(f)
			}
			return right
		}
	}, "answered error"}},
	"odd.encrypted": {{refusesWithSuccess, "answered with success"}, {anyRealtime, "heartbeat was not answered"}},

	"resync.garbage":        {{stuckAfterDamage, "was not answered within"}},
	"resync.garbageFirst":   {{stuckAfterDamage, "was not answered within"}},
	"resync.badCheck":       {{answersDamage, "answered with success"}, {stuckAfterDamage, "was not answered within"}},
	"resync.badLogin":       {{answersDamage, "answered with success"}},
	"resync.lengthTooLong":  {{answersDamage, "answered with success"}, {stuckAfterDamage, "was not answered within"}},
	"resync.lengthTooShort": {{answersDamage, "answered with success"}, {stuckAfterDamage, "was not answered within"}},
	"resync.loneMark":       {{stuckAfterDamage, "was not answered within"}},

	"session.reportBeforeLogin":   {{func(g *fake) { g.lets = true }, "before the login was answered with success"}},
	"session.timeSyncBeforeLogin": {{func(g *fake) { g.lets = true }, "before the login was answered with success"}},
	"session.unknownVIN":          {{badRefusal, "flag 0x09"}},
	"session.otherVIN":            {{refusesWithSuccess, "answered with success"}},
	"session.takeover": {
		{func(g *fake) { g.keeps = true }, "still open"},
		{func(g *fake) {
			g.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
				if f.Command() == codec.CommandHeartbeat {
					return nil
				}
				return right
			}
		}, "the heartbeat was not answered"},
	},
	"session.loginAgain": {{func(g *fake) {
		g.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
			if c.frames > 1 {
				return nil
			}
			return right
		}
	}, "second login was not answered"}},
	"session.afterLogout": {{func(g *fake) {
		g.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
			c.ended = false
			return right
		}
	}, "after the logout was answered with success"}},
	"session.returns": {{func(g *fake) {
		known := map[codec.VIN]int{}
		g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
			g.mu.Lock()
			defer g.mu.Unlock()
			if f.Command() != codec.CommandVehicleLogin {
				return right
			}
			if known[f.VIN()]++; known[f.VIN()]%2 == 0 {
				return answerWith(codec.FlagVINDuplicate)(f)
			}
			return right
		}
	}, "answered vinDuplicate"}},

	"activation.activate": {
		{toCommand(codec.CommandActivation, silent), "was not answered"},
		{toCommand(codec.CommandActivation, activationAnswer(1, 1)), "do not go together"},
		{toCommand(codec.CommandActivation, activationAnswer(3, 0)), "has states 1 and 2"},
		{toCommand(codec.CommandActivation, success), "has 6 bytes, 2 are wanted"},
	},
	"activation.unknownVIN":  {{toCommand(codec.CommandActivation, activationAnswer(2, 9)), "reasons 0 to 2"}},
	"activation.keyExchange": {{deaf(func(f codec.Frame) bool { return f.Command() == codec.CommandKeyExchange }), "heartbeat was not answered"}},

	"signature.valid": {
		{toCommand(codec.CommandRealtime, answerWith(codec.FlagSignatureError)), "answered signatureError, whether it covers"},
		{toCommand(codec.CommandRealtime, answerWith(codec.FlagError)), "which is in order, was answered error"},
		{anyRealtime, "heartbeat was not answered"},
	},
	"signature.wrong": {
		{anyRealtime, "heartbeat was not answered"},
		{toCommand(codec.CommandRealtime, answerWith(0x08)), "flag 0x08"},
	},
	"signature.truncated":   {{anyRealtime, "heartbeat was not answered"}},
	"signature.empty":       {{anyRealtime, "heartbeat was not answered"}},
	"signature.unknownType": {{anyRealtime, "heartbeat was not answered"}},
	"signature.tooLong":     {{anyRealtime, "heartbeat was not answered"}},

	"command.query": {
		{orders(func(b []byte) []byte { b[3] = 1; return b }), "has flag 0x01, a command has 0xfe"},
		{orders(func(b []byte) []byte { b[30]++; return b }), "counts 3 parameters and has 2 ids"},
		{orders(func(b []byte) []byte { b[25] = 13; return b }), "a time that the calendar has"},
		{orders(func(b []byte) []byte { b[20]++; return b }), "is for another vehicle"},
		{orders(func(b []byte) []byte { b[21] = 3; return b }), "says that it is encrypted"},
		{orders(func(b []byte) []byte { b[0] ^= '#' ^ '$'; b[1] = b[0]; return b }), "the start mark of the other edition"},
		{orders(func([]byte) []byte { return nil }), "has taken the paramQuery, and it did not come"},
		{func(g *fake) { g.every = 100 * time.Millisecond; g.takes = func(codec.Frame) string { return "" } }, "the paramQuery came again after its answer"},
	},
	"command.set": {
		{orders(func(b []byte) []byte { b[30]++; return b }), "counts 2 parameters and has 1"},
		{orders(func(b []byte) []byte { return cutUnit(b, codec.TimeSize) }), "ends after its time"},
		{orders(func(b []byte) []byte { return cutUnit(b, codec.TimeSize+2) }), "holds parameters that cannot be read by the table"},
		{answersAnswers, "the answer to the paramSet was answered"},
	},
	"command.control": {
		{orders(func(b []byte) []byte { b[30] = 0; return b }), "has the id 0, which is none"},
		{func(g *fake) { g.takes = func(codec.Frame) string { return "" }; g.every = time.Hour }, "and the gateway says that it is sent"},
	},
	"command.answerEcho": {{func(g *fake) {
		g.takes = func(f codec.Frame) string {
			if len(f.Unit()) > codec.TimeSize {
				return "rejected"
			}
			return answered
		}
	}, "the request under a new time, and the gateway says that it is rejected"}},
	"command.answerError": {{func(g *fake) { g.takes = func(codec.Frame) string { return answered } }, "an error, and the gateway says that it is answered"}},
	"command.answerFlagFE": {
		{answersAnswers, "the answer to the control was answered"},
		{deaf(func(f codec.Frame) bool { return f.Command() == codec.CommandControl }), "a heartbeat was not answered"},
	},
	"command.otherVIN": {
		{func(g *fake) {
			g.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
				if f.Command() == codec.CommandControl { // it looks at the connection alone
					own := bytes.Clone(f)
					copy(own[4:21], c.vin[:])
					c.answered(own)
				}
				return right
			}
		}, "the gateway says that the control is answered"},
		{deaf(func(f codec.Frame) bool { return f.Command() == codec.CommandControl }), "a heartbeat was not answered"},
	},
	"command.resend":        {{func(g *fake) { g.sends = 9 }, "did not stop after 4 sends"}},
	"command.resendControl": {{func(g *fake) { g.sends = 9 }, "did not stop after 4 sends"}, {changesOrders, "another command came while the first was unanswered"}},

	"idle.silent": {
		{nil, "is still open after"},
		{func(g *fake) { g.idle = 500 * time.Millisecond }, "the gateway's time is said to be 2s"},
	},
	"idle.heartbeat": {{func(g *fake) { closesIdle(g); g.deaf = true }, "closed"}},
	"idle.login":     {{nil, "is still open after"}},

	"platform.login": {
		{toCommand(codec.CommandPlatformLogin, answerWith(codec.FlagError)), "answered error"},
		{toCommand(codec.CommandPlatformLogin, func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.Unit()) }),
			"a password is not sent back"},
	},
	"platform.password":   {{toCommand(codec.CommandPlatformLogin, success), "a wrong password was answered with success"}},
	"platform.reports":    {{toCommand(codec.CommandRealtime, silent), "another frame than the answer to the realtime"}, {toCommand(codec.CommandReissue, silent), "another frame than the answer to the reissue"}},
	"platform.unknownVIN": {{deaf(func(f codec.Frame) bool { return !known(f.VIN()) && f.Command() == codec.CommandVehicleLogin }), "was not answered within"}},
	"platform.badReport":  {{answersDamage, "wrong check byte was answered with success"}, {stuckAfterDamage, "was not answered within"}},
	"platform.logout":     {{toCommand(codec.CommandPlatformLogout, answerWith(codec.FlagError)), "answered error"}},
}

func activationAnswer(state, reason uint8) func(codec.Frame) []byte {
	return func(f codec.Frame) []byte {
		b, _ := codec.NewActivationResponse(f.VIN(), state, reason).Append(nil)
		return b
	}
}

// onlyFirst answers two frames of a connection.
func onlyFirst(c *fakeConn, _ codec.Frame, right []byte) []byte {
	if c.frames > 2 {
		return nil
	}
	return right
}

// successForDamage answers bytes that begin like a frame as if they were one.
func successForDamage(c *fakeConn, b []byte) []byte {
	if len(b) < 24 || b[0] != '#' && b[0] != '$' || c.vin.IsZero() {
		return nil
	}
	if _, err := codec.ParseFrame(b); err == nil {
		return nil
	}
	head := append(bytes.Clone(b[:22]), 0, 0, 0)
	return codec.AppendAnswer(nil, codec.Frame(head), codec.FlagSuccess, nil)
}

// TestEveryCaseCanFail plays each case against gateways that are wrong in just what it tests.
func TestEveryCaseCanFail(t *testing.T) {
	known := map[string]bool{}
	for _, c := range Cases() {
		known[c.Name] = true
		require.NotEmpty(t, wrongs[c.Name], "%s is not shown to be able to fail", c.Name)
	}
	// They mostly wait: all at once, beyond what t.Parallel would let run on few cores.
	type played struct {
		name    string
		wrong   wrong
		results []Result
		err     error
	}
	var all []*played
	slots := make(chan struct{}, 30)
	var wg sync.WaitGroup
	for name, list := range wrongs {
		require.True(t, known[name], "no case %s", name)
		for _, w := range list {
			one := &played{name: name, wrong: w}
			all = append(all, one)
			o := newFake(t, w.change).options(2 * time.Second)
			o.Cases, o.Quiet = []string{name}, 2*time.Second // what comes wrongly must be waited for
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				one.results, one.err = Run(t.Context(), o)
			})
		}
	}
	wg.Wait()
	for _, one := range all {
		require.NoError(t, one.err, one.name)
		require.NotEmpty(t, one.results, one.name)
		for _, r := range one.results {
			require.Equal(t, Fail, r.Outcome, "%s %d: %s (want: %s)", one.name, r.Edition, r.Seen, one.wrong.seen)
			require.Contains(t, r.Seen, one.wrong.seen, one.name)
		}
	}
}
