package vehicle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func TestParseScript(t *testing.T) {
	s, err := ParseScript([]byte("faults:\n  - {at: 10s, share: 20%, fault: badCheck}\n  - {for: 1m, every: 5m, share: 0.05, fault: blindZone}\n  - {fault: drop}\n"))
	require.NoError(t, err)
	require.Equal(t, []ScriptedFault{
		{At: 10 * time.Second, Share: 0.2, Fault: FaultBadCheck},
		{For: time.Minute, Every: 5 * time.Minute, Share: 0.05, Fault: FaultBlindZone},
		{For: 5 * time.Second, Share: 1, Fault: FaultDrop},
	}, s.Faults)
	for src, want := range map[string]string{
		"":                                                   "vehicle: the script has no faults",
		"faults: [{fault: flood}]":                           `vehicle: faults[0]: unknown fault "flood" (want badCheck, blindZone, drop, duplicateVIN, garbage, slowReader, splitFrames)`,
		"faults: [{fault: drop, at: -1s}]":                   "vehicle: faults[0]: at, for and every are not negative",
		"faults: [{fault: drop, share: 120%}]":               `vehicle: faults[0]: share "120%" is neither 0% to 100% nor 0 to 1`,
		"faults: [{fault: drop, share: some}]":               `vehicle: faults[0]: share "some" is neither 0% to 100% nor 0 to 1`,
		"faults: [{fault: drop, for: 1m, every: 10s}]":       "vehicle: faults[0]: every 10s is shorter than for 1m0s",
		"faults: [{fault: drop, when: 1m}]":                  "vehicle: the script cannot be read: yaml: ",
		"faults: [{fault: drop, at: soon}]":                  "vehicle: the script cannot be read: yaml: ",
		"faults: [{fault: drop}, {fault: drop, share: NaN}]": `vehicle: faults[1]: share "NaN" is neither 0% to 100% nor 0 to 1`,
	} {
		_, err := ParseScript([]byte(src))
		require.ErrorContains(t, err, want, src)
	}
}

// TestAgenda: the share of the vehicles that plays a fault is the one asked for, the same in each run.
func TestAgenda(t *testing.T) {
	s := &Script{Faults: []ScriptedFault{{At: time.Minute, Every: 10 * time.Second, Share: 0.25, Fault: FaultDrop}, {Share: 1, Fault: FaultGarbage}}}
	drops := 0
	for i := range 4000 {
		vin := fmt.Sprintf("LTEST%012d", i)
		a := s.agenda(5, vin)
		require.Equal(t, FaultGarbage, a[0].Fault, "in the order of their times")
		drops += len(a) - 1
		require.Equal(t, a, s.agenda(5, vin))
	}
	require.InDelta(t, 1000, drops, 150)

	a := agenda{s.Faults[0]}
	_, ok := a.next(59 * time.Second)
	require.False(t, ok)
	_, ok = a.next(time.Minute)
	require.True(t, ok)
	_, ok = a.next(69 * time.Second)
	require.False(t, ok)
	_, ok = a.next(95 * time.Second)
	require.True(t, ok)
	require.Equal(t, 100*time.Second, a[0].At, "those that an absence hid are left out")
}

// play runs a vehicle with one fault until the peer has seen what it waits for.
func play(t *testing.T, p *peer, f ScriptedFault, until func()) Stats {
	t.Helper()
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Script = &Script{Faults: []ScriptedFault{f}}
	v := newVehicle(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	until()
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, Fleet{StateOffline: 1}, v.Fleet())
	s := v.Stats()
	require.EqualValues(t, 1, s.Faults)
	require.Zero(t, s.Errors(), "%+v", s)
	return s
}

func roughPeer(t *testing.T) *peer {
	p := newPeer(t, nil)
	p.rough = true
	return p
}

func TestFaultDamage(t *testing.T) {
	for _, fault := range []Fault{FaultBadCheck, FaultGarbage} {
		for last, want := range map[time.Duration]int{0: 1, time.Hour: 10} {
			p := roughPeer(t)
			s := play(t, p, ScriptedFault{Share: 1, Fault: fault, For: last}, func() {
				for range 10 {
					require.NotNil(t, p.next(codec.CommandRealtime))
				}
			})
			require.GreaterOrEqual(t, int(p.damage.Load()), want)
			require.EqualValues(t, p.damage.Load(), s.Damaged)
			if last == 0 {
				require.EqualValues(t, 1, s.Damaged)
			}
		}
	}
}

// TestFaultDamageAnswered: an error for the damaged frame is no error of the gateway.
func TestFaultDamageAnswered(t *testing.T) {
	count := &counters{}
	l := &link{count: count}
	l.trouble.damaged = 1
	f := order(t, codec.Edition2016, codec.CommandRealtime, 1)
	l.pending = []*request{{frame: f}}
	l.answered(codec.AppendAnswer(nil, f, codec.FlagError, f.TimeBytes()))
	require.EqualValues(t, 1, count.Rejected)
	require.Len(t, l.pending, 1, "the frame itself is still to be answered")
}

func TestFaultSplitFrames(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	s := play(t, p, ScriptedFault{Share: 1, Fault: FaultSplitFrames, For: time.Hour}, func() {
		for range 3 {
			require.NotNil(t, p.next(codec.CommandRealtime))
		}
	})
	require.Equal(t, s.Sent, s.Acked)
	tr := &trouble{split: time.Now().Add(time.Hour)}
	f := order(t, codec.Edition2016, codec.CommandRealtime, make([]byte, 300)...)
	most := 0
	for range 20 {
		pieces := tr.pieces(f, &counters{})
		most = max(most, len(pieces))
		var all codec.Frame
		for _, piece := range pieces {
			all = append(all, piece...)
		}
		require.Equal(t, f, all)
	}
	require.Greater(t, most, 2)
}

// TestFaultsOfTheConnection: the vehicle is back on another connection and reissues what it missed.
func TestFaultsOfTheConnection(t *testing.T) {
	for _, fault := range []Fault{FaultDrop, FaultBlindZone} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, nil)
			f := ScriptedFault{At: 50 * time.Millisecond, Share: 1, Fault: fault, For: 2100 * time.Millisecond}
			s := play(t, p, f, func() {
				require.NotNil(t, p.next(codec.CommandVehicleLogin))
				require.NotNil(t, p.next(codec.CommandVehicleLogin))
				require.NotNil(t, p.next(codec.CommandReissue))
				require.NotNil(t, p.next(codec.CommandRealtime))
			})
			require.EqualValues(t, 2, s.Connects)
			require.EqualValues(t, 1, s.Reconnects)
			require.Positive(t, s.Reissues)
		})
	}
}

func TestFaultDuplicate(t *testing.T) {
	p := newPeer(t, nil)
	p.takeover.Store(true)
	s := play(t, p, ScriptedFault{At: 20 * time.Millisecond, Share: 1, Fault: FaultDuplicate}, func() {
		require.NotNil(t, p.next(codec.CommandVehicleLogin))
		require.NotNil(t, p.next(codec.CommandVehicleLogin))
		require.NotNil(t, p.next(codec.CommandRealtime))
	})
	require.EqualValues(t, 2, s.Logins)

	p = newPeer(t, nil)
	cfg := quick(p.addr, codec.Edition2016)
	cfg.AnswerTimeout, cfg.Reports = 100*time.Millisecond, 10
	cfg.Script = &Script{Faults: []ScriptedFault{{Share: 1, Fault: FaultDuplicate}}}
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	require.EqualValues(t, 1, v.Stats().Lingering, "the gateway leaves the older connection open")
	require.NotZero(t, v.Stats().Errors())
}

func TestFaultSlowReader(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	s := play(t, p, ScriptedFault{At: time.Millisecond, Share: 1, Fault: FaultSlowReader, For: 200 * time.Millisecond}, func() {
		for range 150 {
			require.NotNil(t, p.next(codec.CommandRealtime))
		}
	})
	require.Equal(t, s.Sent, s.Acked)
	require.Greater(t, s.RTT.Max(), 20*time.Millisecond, "answers lay unread")
}

// TestTimeSync: the gateway's clock is compared with ours.
func TestTimeSync(t *testing.T) {
	p := newPeer(t, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandTimeSync {
			return codec.AppendAnswer(nil, f, codec.FlagSuccess, codec.AppendTime(nil, time.Now().Add(time.Hour)))
		}
		return usual(f)
	})
	cfg := quick(p.addr, codec.Edition2025)
	cfg.TimeSync, cfg.Reports, cfg.ClockOffset = time.Hour, 3, -24*time.Hour
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	s := v.Stats()
	require.Zero(t, s.Errors())
	require.EqualValues(t, 1, s.TimeSyncs)
	require.EqualValues(t, 1, s.Skew.Count)
	require.InDelta(t, time.Hour.Seconds(), s.Skew.Mean().Seconds(), 30)
	at, ok := p.next(codec.CommandRealtime).Time()
	require.True(t, ok)
	require.InDelta(t, 24, time.Since(at).Hours(), 1, "the vehicle's own clock is a day behind")
}

// TestTimeSyncWithoutTime: such an answer is useless, and counted as wrong.
func TestTimeSyncWithoutTime(t *testing.T) {
	p := newPeer(t, func(f codec.Frame) []byte { return codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes()) })
	cfg := quick(p.addr, codec.Edition2016)
	cfg.TimeSync, cfg.Reports, cfg.AnswerTimeout = time.Hour, 3, 50*time.Millisecond
	v := newVehicle(t, cfg)
	require.NoError(t, v.Run(t.Context()))
	require.EqualValues(t, 1, v.Stats().Wrong)
	require.Zero(t, v.Stats().Skew.Count)
}

// TestRoadHasBlindZones: on a day's drive a vehicle passes places without a network, which no script has
// to ask for, and reissues behind them what it reported there.
func TestRoadHasBlindZones(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	cfg := quick(p.addr, codec.Edition2016)
	cfg.Drive, cfg.Pace = DriveDay, 1000 // the longest between two is 11 s, each lasts 3 s
	v := newVehicle(t, cfg)
	v.rig.self.motion.enter(phaseDrive)
	v.rig.self.motion.day.left = 1e6
	require.True(t, v.rig.agenda[0].road)
	v.rig.agenda[0].At = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	require.NotNil(t, p.next(codec.CommandReissue))
	cancel()
	require.NoError(t, <-done)
	s := v.Stats()
	require.Zero(t, s.Faults, "it is no fault")
	require.EqualValues(t, 1, s.Reconnects)
	require.Zero(t, s.Errors())
	for _, pace := range []float64{0.01, 1, 1000} {
		c := testCar(t, Config{VIN: testVIN, Drive: DriveDay, Pace: pace})
		z := c.blindZone()
		require.GreaterOrEqual(t, z.Every, 2*z.For)
		require.GreaterOrEqual(t, z.For, 3*time.Second)
		require.Equal(t, z, c.blindZone())
	}
}

// TestPlatformStyles: the vehicles behind a platform answer in their own styles, each with its own delay.
func TestPlatformStyles(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	cfg := testPlatform(p.addr, codec.Edition2016, 2)
	cfg.Styles, cfg.Vehicle.AnswerDelay = []Style{StyleLate, StyleEmpty}, 20*time.Millisecond
	platform, err := NewPlatform(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- platform.Run(ctx) }()
	conn := <-p.conns
	require.NotNil(t, p.next(codec.CommandRealtime))
	var both []byte
	for _, vin := range cfg.Vehicles {
		f := order(t, codec.Edition2016, codec.CommandControl, 3)
		copy(f[4:], vin)
		f[len(f)-1] = codec.Check(f[2 : len(f)-1])
		both = append(both, f...)
	}
	_, err = conn.Write(both)
	require.NoError(t, err)
	first, second := p.next(codec.CommandControl), p.next(codec.CommandControl)
	require.Equal(t, cfg.Vehicles[1], first.VIN().String(), "the late one comes later")
	require.Empty(t, first.Unit())
	require.Equal(t, cfg.Vehicles[0], second.VIN().String())
	require.Equal(t, commandTime, second.Unit())
	cancel()
	require.NoError(t, <-done)
}

// TestPlatformDrops: a platform whose link breaks logs everybody in again and reissues for each.
func TestPlatformDrops(t *testing.T) {
	t.Parallel()
	p := newPeer(t, nil)
	cfg := testPlatform(p.addr, codec.Edition2016, 3)
	cfg.Vehicle.Script = &Script{Faults: []ScriptedFault{{At: 50 * time.Millisecond, For: 2100 * time.Millisecond, Share: 1, Fault: FaultDrop},
		{Share: 1, Fault: FaultDuplicate}}}
	platform, err := NewPlatform(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- platform.Run(ctx) }()
	reissued := map[string]bool{}
	for len(reissued) < 3 {
		reissued[p.next(codec.CommandReissue).VIN().String()] = true
	}
	cancel()
	require.NoError(t, <-done)
	s := platform.Stats()
	require.EqualValues(t, 8, s.Logins)
	require.EqualValues(t, 1, s.Reconnects)
	require.EqualValues(t, 1, s.Faults, "a duplicate platform link is allowed, and not played")
	require.Zero(t, s.Errors())
}

// TestLateAnswers: an answer after its time is one all the same, and counted as late.
func TestLateAnswers(t *testing.T) {
	count := &counters{}
	l := &link{count: count, timeout: time.Minute}
	f := order(t, codec.Edition2016, codec.CommandRealtime, 1)
	for _, ago := range []time.Duration{0, time.Hour} {
		l.pending = []*request{{frame: f, sent: time.Now().Add(-ago)}}
		l.answered(usual(f))
	}
	require.EqualValues(t, 2, count.Acked)
	require.EqualValues(t, 1, count.Late)
	require.Zero(t, count.Errors())
}

// TestUnansweredIsReissued: a report whose answer the connection's end took away is sent again as a
// reissue, with the same data unit.
func TestUnansweredIsReissued(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(f codec.Frame) []byte {
		if f.Command() == codec.CommandRealtime {
			return nil
		}
		return usual(f)
	})
	cfg := quick(p.addr, codec.Edition2025)
	cfg.Period, cfg.Heartbeat = time.Hour, -1
	v := newVehicle(t, cfg)
	done := make(chan error, 1)
	go func() { done <- v.Run(t.Context()) }()
	conn := <-p.conns
	report := p.next(codec.CommandRealtime)
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-done, ErrClosed)

	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- v.Run(ctx) }()
	conn = <-p.conns
	again := p.next(codec.CommandReissue)
	require.Equal(t, report.Unit(), again.Unit())
	require.Equal(t, report.RawVIN(), again.RawVIN())
	require.NoError(t, conn.Close())
	cancel()
	<-done // cancelled or closed, whichever it saw first
	require.EqualValues(t, 1, v.Stats().Reissues)
}
