package probe

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// fakeCommand is a command of a fake to a vehicle.
type fakeCommand struct {
	frame codec.Frame
	state string
}

// answered takes the answer to a command.
func (c *fakeConn) answered(f codec.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.commands[f.VIN()]; o != nil && o.state == "sent" && o.frame.Command() == f.Command() {
		if state := c.takes(f); state != "" {
			o.state = state
		}
	}
}

// provoke sends a command, and again while it is not answered.
func (f *fake) provoke(_ context.Context, o Order) (*Provoked, error) {
	vin, err := codec.ParseVIN(o.VIN)
	if err != nil {
		return nil, err
	}
	b, err := codec.AppendFrame(nil, codec.Header{Edition: o.Edition, Command: o.Command, Flag: codec.FlagCommand, VIN: vin, Encryption: codec.EncryptionNone}, o.Unit)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.users[vin]
	if c == nil {
		return nil, errors.New("offline")
	}
	command := &fakeCommand{b, "sent"}
	f.commands[vin] = command
	f.wg.Go(func() {
		for n := 1; n <= f.sends; n++ {
			_, _ = c.conn.Write(f.orders(b))
			select {
			case <-f.closed:
				return
			case <-time.After(f.every):
			}
			f.mu.Lock()
			over := command.state != "sent"
			f.mu.Unlock()
			if over {
				return
			}
		}
	})
	p := &Provoked{Wait: f.wait}
	if !f.mute {
		p.State = func(context.Context) (string, bool, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return command.state, command.state != "sent", nil
		}
	}
	return p, nil
}

// orders changes the commands that are sent; their check bytes are right.
func orders(change func(b []byte) []byte) func(*fake) {
	return func(g *fake) {
		g.orders = func(f codec.Frame) []byte {
			b := change(bytes.Clone(f))
			if len(b) > 0 {
				b[len(b)-1] = codec.Check(b[2 : len(b)-1])
			}
			return b
		}
	}
}

// changesOrders sends another command each time.
func changesOrders(g *fake) {
	n := byte(0x80)
	orders(func(b []byte) []byte {
		g.mu.Lock()
		defer g.mu.Unlock()
		n++
		b[30] = n
		return b
	})(g)
}

// cutUnit returns the frame with the first n bytes of its unit.
func cutUnit(b []byte, n int) []byte {
	b = append(b[:codec.HeaderSize+n], 0)
	b[22], b[23] = byte(n>>8), byte(n)
	return b
}

// answersAnswers answers what is an answer to a command.
func answersAnswers(g *fake) {
	g.answers = func(_ *fakeConn, f codec.Frame, right []byte) []byte {
		if f.Command() == codec.CommandParamSet || f.Command() == codec.CommandControl {
			return success(f)
		}
		return right
	}
}
