package command_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/memkv"
)

// Data units. The first six bytes are a time.
var (
	askTime    = []byte{26, 11, 23, 11, 30, 0}
	answerTime = []byte{26, 11, 23, 11, 30, 2}
	query      = append(bytes.Clone(askTime), 2, 0x02, 0x09)
	queryReply = append(bytes.Clone(answerTime), 2, 0x02, 0x00, 0x0A, 0x09, 0x3C)
	set        = append(bytes.Clone(askTime), 1, 0x02, 0x00, 0x1E)
	setPort    = append(bytes.Clone(askTime), 1, 0x06, 0x23, 0x27)
	setDomain  = append(bytes.Clone(askTime), 2, 0x04, 0x03, 0x05, 'a', '.', 'b')
	disconnect = append(bytes.Clone(askTime), 0x05)
	reset      = append(bytes.Clone(askTime), 0x03)
	shutdown   = append(bytes.Clone(askTime), 0x02)
	upgrade    = append(bytes.Clone(askTime), append([]byte{0x01}, "apn;user;Secret99;\x00\x00\x0A\x00\x00\x01;\x1F\x90;T001;HW001;FW002;ftp://u/f;\x00\x05"...)...)
	alarm      = append(bytes.Clone(askTime), 0x06, 0x01)
)

func TestSendBuildsTheFrame(t *testing.T) {
	for _, c := range []struct {
		command codec.Command
		edition codec.Edition
		raw     string
		unit    []byte
		frame   string
	}{
		{codec.CommandParamQuery, codec.Edition2016, testVIN, query, "232380fe" + hex.EncodeToString([]byte(testVIN)) + "010009" + "1a0b170b1e00020209"},
		{codec.CommandParamSet, codec.Edition2025, testVIN, set, "242481fe" + hex.EncodeToString([]byte(testVIN)) + "01000a" + "1a0b170b1e000102001e"},
		{codec.CommandControl, codec.Edition2016, "SHORT            ", reset, "232382fe" + hex.EncodeToString([]byte("SHORT            ")) + "010007" + "1a0b170b1e0003"},
	} {
		table, l := session.NewTable(nil, "n1"), &link{}
		d, err := command.NewDispatcher(context.Background(), command.Options{
			Sessions: table, KV: memkv.New(), Publish: func(codec.VIN, string, []byte) {},
		})
		require.NoError(t, err)
		table.Login(&session.Session{
			VIN: codec.MakeVIN([]byte(c.raw)), RawVIN: [17]byte([]byte(c.raw)), ProductKey: testProduct, Edition: c.edition,
			Encryption: codec.EncryptionAES, Link: l,
		})
		_, err = d.Send(context.Background(), command.Request{
			ProductKey: testProduct, DeviceName: codec.MakeVIN([]byte(c.raw)).String(), Command: c.command, Unit: c.unit,
		})
		require.NoError(t, err)
		frame := l.last()
		require.Equal(t, c.frame, hex.EncodeToString(frame[:len(frame)-1]))
		_, err = codec.ParseFrame(frame)
		require.NoError(t, err, "check byte")
		require.NoError(t, d.Close(context.Background()))
	}
}

func TestAnswerForms(t *testing.T) {
	for name, c := range map[string]struct {
		command codec.Command
		unit    []byte
		flag    codec.Flag
		answer  []byte
		state   command.State
	}{
		"query, parameters":        {codec.CommandParamQuery, query, codec.FlagSuccess, queryReply, command.StateAnswered},
		"query, 6 bytes":           {codec.CommandParamQuery, query, codec.FlagSuccess, answerTime, command.StateAnswered},
		"query, flag 0xFE":         {codec.CommandParamQuery, query, codec.FlagCommand, queryReply, command.StateAnswered},
		"set, echo":                {codec.CommandParamSet, set, codec.FlagSuccess, set, command.StateAnswered},
		"set, request's time":      {codec.CommandParamSet, set, codec.FlagSuccess, askTime, command.StateAnswered},
		"set, empty":               {codec.CommandParamSet, set, codec.FlagSuccess, nil, command.StateAnswered},
		"set, refused":             {codec.CommandParamSet, set, codec.FlagError, answerTime, command.StateRejected},
		"control, id":              {codec.CommandControl, reset, codec.FlagSuccess, reset, command.StateAnswered},
		"control, other id":        {codec.CommandControl, reset, codec.FlagSuccess, disconnect, command.StateAnswered},
		"control, refused":         {codec.CommandControl, reset, codec.FlagError, nil, command.StateRejected},
		"control, flag of no name": {codec.CommandControl, reset, 0x77, answerTime, command.StateRejected},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.send(c.command, c.unit)
			require.Equal(t, command.StateSent, b.result(id).State)
			b.answer(c.command, c.flag, c.answer)
			r := b.result(id)
			require.Equal(t, c.state, r.State)
			require.Equal(t, c.flag.String(), r.Flag)
			require.Equal(t, 1, r.Sends)
			require.False(t, r.SentAt.IsZero() || r.AnsweredAt.IsZero() || r.EndedAt.IsZero())
			require.Contains(t, string(r.Body), `"v":1`)
			require.Equal(t, []command.State{command.StateSent, c.state}, b.states(id))
			b.answer(c.command, c.flag, c.answer)
			require.Len(t, b.states(id), 2, "a repeated answer changes nothing")
		})
	}
}

func TestEvents(t *testing.T) {
	b := newBench(t)
	id := b.send(codec.CommandParamQuery, query)
	e := b.lastEvent()
	require.Equal(t, hex.EncodeToString(b.link.last()), e.Frame)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	answered := b.lastEvent()
	require.NotEmpty(t, answered.Body)
	raw, err := hex.DecodeString(answered.Frame)
	require.NoError(t, err)
	frame, err := codec.ParseFrame(raw)
	require.NoError(t, err)
	require.Equal(t, queryReply, frame.Unit())
	e.Frame, answered.Frame, answered.Body = "", "", nil
	require.WithinDuration(t, time.Now(), e.At, time.Minute)
	e.At, answered.At = time.Time{}, time.Time{}
	want := event{
		MessageID: id, ProductKey: testProduct, DeviceName: testVIN, Command: "paramQuery", State: command.StateSent,
		RequestID: "REQ", AccessKeyID: "KEY",
	}
	require.Equal(t, want, e)
	want.State, want.Flag = command.StateAnswered, "success"
	require.Equal(t, want, answered)
}

func TestSecretsStayOut(t *testing.T) {
	b := newBench(t)
	id := b.send(codec.CommandControl, upgrade)
	require.Contains(t, string(b.link.last()), "Secret99", "the vehicle gets it")
	b.answer(codec.CommandControl, codec.FlagSuccess, upgrade)
	require.Equal(t, command.StateAnswered, b.result(id).State)
	require.NoError(t, b.Close(context.Background()))
	secretHex := hex.EncodeToString([]byte("Secret99"))
	for _, e := range b.events {
		require.True(t, e.Masked)
		require.Empty(t, e.Frame)
		require.NotContains(t, string(e.Body), "Secret99")
		require.NotContains(t, string(e.Body), secretHex)
	}
	value, err := b.kv.Get(context.Background(), strconv.FormatInt(id, 10))
	require.NoError(t, err)
	require.NotContains(t, string(value), "Secret99")
	require.NotContains(t, string(value), secretHex)
}

func TestOneOfAKindInFlight(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.QueueLength = 2 })
	first := b.send(codec.CommandParamQuery, query)
	second := b.send(codec.CommandParamQuery, query)
	third := b.send(codec.CommandParamQuery, query)
	require.Equal(t, 1, b.link.count())
	require.Equal(t, command.StateQueued, b.result(second).State)

	_, err := b.Send(context.Background(), command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query})
	require.ErrorIs(t, err, command.ErrQueueFull)
	var refused *command.SendError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, testVIN, refused.DeviceName)

	other := b.send(codec.CommandParamSet, set)
	require.Equal(t, 2, b.link.count(), "another kind does not wait")
	require.Equal(t, [3]command.Pending{{InFlight: 1, Queued: 2}, {InFlight: 1}, {}}, b.pending())

	b.answer(codec.CommandParamQuery, codec.FlagSuccess, answerTime)
	require.Equal(t, command.StateAnswered, b.result(first).State)
	require.Equal(t, command.StateSent, b.result(second).State)
	require.Equal(t, command.StateQueued, b.result(third).State)
	require.Equal(t, [3]command.Pending{{InFlight: 1, Queued: 1}, {InFlight: 1}, {}}, b.pending())
	b.answer(codec.CommandParamQuery, codec.FlagError, answerTime)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, answerTime)
	require.Equal(t, command.StateRejected, b.result(second).State)
	require.Equal(t, command.StateAnswered, b.result(third).State)
	require.Equal(t, command.StateSent, b.result(other).State)
	require.Equal(t, []command.State{command.StateQueued, command.StateSent, command.StateRejected}, b.states(second))
	require.Less(t, first, second)
	require.Less(t, second, third)
}

func TestPendingBytesAreBounded(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.MaxPendingBytes = 2 * len(query) })
	b.send(codec.CommandParamQuery, query)
	b.send(codec.CommandParamQuery, query)
	_, err := b.Send(context.Background(), command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query})
	require.ErrorIs(t, err, command.ErrQueueFull)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, nil)
	b.send(codec.CommandParamQuery, query)
}

func TestAnswersToNothingAreIgnored(t *testing.T) {
	b := newBench(t)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	id := b.send(codec.CommandParamQuery, query)
	b.answer(codec.CommandParamSet, codec.FlagSuccess, nil)
	b.answer(codec.CommandHeartbeat, codec.FlagSuccess, nil)
	require.Equal(t, command.StateSent, b.result(id).State)
}

// The vehicle may answer before the link has told that the frame went out.
func TestAnswerBeforeHandOver(t *testing.T) {
	b := newBench(t)
	b.link.hold = true
	id := b.send(codec.CommandParamQuery, query)
	require.Equal(t, command.StateQueued, b.result(id).State)
	b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
	b.link.held[0](nil)
	require.Equal(t, []command.State{command.StateSent, command.StateAnswered}, b.states(id))
	require.Equal(t, 1, b.result(id).Sends)
}

func TestSendErrors(t *testing.T) {
	b := newBench(t)
	good := command.Request{ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery, Unit: query}
	for name, c := range map[string]struct {
		change func(*command.Request)
		want   error
	}{
		"no session":     {func(r *command.Request) { r.DeviceName = "LTEST000000000002" }, command.ErrOffline},
		"other product":  {func(r *command.Request) { r.ProductKey = "other" }, command.ErrOffline},
		"no VIN":         {func(r *command.Request) { r.DeviceName = "" }, command.ErrOffline},
		"uplink command": {func(r *command.Request) { r.Command = codec.CommandRealtime }, command.ErrCommand},
		"reserved":       {func(r *command.Request) { r.Command = 0x83 }, command.ErrCommand},
		"too long":       {func(r *command.Request) { r.Unit = make([]byte, codec.MaxUnitSize+1) }, command.ErrUnitTooLong},
	} {
		r := good
		c.change(&r)
		_, err := b.Send(context.Background(), r)
		require.ErrorIs(t, err, c.want, name)
	}
	require.Zero(t, b.link.count())
	good.Unit = make([]byte, codec.MaxUnitSize)
	_, err := b.Send(context.Background(), good)
	require.NoError(t, err)
	require.Len(t, b.link.last(), codec.MaxFrameSize)

	require.NoError(t, b.Close(context.Background()))
	_, err = b.Send(context.Background(), good)
	require.ErrorIs(t, err, command.ErrClosed)
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.send(codec.CommandParamQuery, query)
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		r, err := b.Wait(short, id)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, command.StateSent, r.State)
		go func() {
			time.Sleep(5 * time.Second)
			b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		}()
		r, err = b.Wait(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, command.StateAnswered, r.State)
		_, err = b.Wait(context.Background(), 12345)
		require.ErrorIs(t, err, command.ErrNotFound)
	})
}

// Many callers, an answering vehicle and reconnections at once: every command ends, and its events are in order.
func TestConcurrency(t *testing.T) {
	b := newBench(t, func(o *command.Options) { o.QueueLength = 1000 })
	reply := func(l *link) {
		l.onSend = func(f codec.Frame) {
			b.Answer(b.live(), codec.AppendAnswer(nil, f, codec.FlagSuccess, f.Unit()))
		}
	}
	reply(b.link)
	var wg sync.WaitGroup
	ids := make(chan int64, 1000)
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				id, err := b.Send(context.Background(), command.Request{
					ProductKey: testProduct, DeviceName: testVIN, Command: codec.CommandParamQuery + codec.Command(i%3), Unit: disconnect,
				})
				if err == nil {
					ids <- id
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			l := &link{}
			reply(l)
			b.login(l)
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	close(ids)
	seen := map[int64]bool{}
	order := map[command.State]int{command.StateQueued: 0, command.StateSent: 1, command.StateAnswered: 2, command.StateSuperseded: 2}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for id := range ids {
		require.False(t, seen[id])
		seen[id] = true
		r, err := b.Wait(ctx, id)
		require.NoError(t, err)
		require.Contains(t, []command.State{command.StateAnswered, command.StateSuperseded}, r.State)
		var states []command.State
		require.Eventually(t, func() bool { states = b.states(id); return len(states) > 0 && states[len(states)-1] == r.State },
			time.Minute, time.Millisecond, "another goroutine may be about to publish it")
		require.True(t, slices.IsSortedFunc(states, func(a, b command.State) int { return order[a] - order[b] }), "%v", states)
	}
	require.Len(t, seen, 200)
}
