package command_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
)

// TestLogNamesTheSession: what is logged about a command names the session it is about.
func TestLogNamesTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		b := newBench(t, func(o *command.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		id := b.live().IDString()
		b.link.refuse = session.ErrLinkBusy
		b.send(codec.CommandControl, reset)
		require.Regexp(t, `msg="command frame not taken" messageId=\d+ vin=`+testVIN+` session=`+id+` error=`, log.String())
		time.Sleep(2 * time.Minute)
		b.link.mu.Lock() // a timer's goroutine has read it
		b.link.refuse = nil
		b.link.mu.Unlock()
		b.send(codec.CommandParamQuery, query)
		time.Sleep(2 * time.Minute)
		b.login(&link{})
		b.answer(codec.CommandParamQuery, codec.FlagSuccess, queryReply)
		require.Regexp(t, `msg="late answer" messageId=\d+ vin=`+testVIN+` session=`+b.live().IDString()+"\n", log.String())
	})
}

// lines is a log that timers write while the test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
