//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// fleet is the vehicles that are commanded. They are logged in and do nothing but answer.
type fleet struct {
	arrived func(number uint64, at time.Time) // told of every command

	conns   []net.Conn
	n       int
	running sync.WaitGroup
}

func newFleet(n int) *fleet { return &fleet{n: n} }

// vin is the vehicle of a call: they take turns.
func (f *fleet) vin(number uint64) string { return vinOf('C', int(number%uint64(f.n))) }

func vinOf(kind byte, i int) string { return fmt.Sprintf("LTEST%c%011d", kind, i) }

func (f *fleet) connect(ctx context.Context, address string) error {
	for i := range f.n {
		c, frames, err := login(ctx, address, vinOf('C', i))
		if err != nil {
			return err
		}
		f.conns = append(f.conns, c)
		f.running.Go(func() { f.obey(c, frames) })
	}
	return nil
}

// obey reads commands and answers success at once.
func (f *fleet) obey(c net.Conn, frames *codec.Reader) {
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			return // the end: a frame that is missing is told by the caller
		}
		at := time.Now()
		unit := frame.Unit()
		if frame.Command() != codec.CommandControl || len(unit) != codec.TimeSize+1+8 {
			continue
		}
		number := binary.BigEndian.Uint64(unit[codec.TimeSize+1:])
		if _, err := c.Write(codec.AppendAnswer(nil, frame, codec.FlagSuccess, unit[:codec.TimeSize])); err != nil {
			return
		}
		f.arrived(number, at)
	}
}

func (f *fleet) close() {
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.running.Wait()
}

// login connects and logs a vehicle in.
func login(ctx context.Context, address, vin string) (net.Conn, *codec.Reader, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	unit := append(codec.AppendTime(nil, time.Now()), "\x00\x0189860000000000000001\x00\x00"...)
	frame, err := codec.AppendFrame(nil, codec.Header{
		Edition: codec.Edition2016, Command: codec.CommandVehicleLogin, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte(vin)), Encryption: codec.EncryptionNone,
	}, unit)
	if err == nil {
		_, err = c.Write(frame)
	}
	frames := codec.NewReader(c, 0)
	var answer codec.Frame
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(patience))
	}
	if err == nil {
		answer, err = frames.ReadFrame()
	}
	if err == nil && answer.Flag() != codec.FlagSuccess {
		err = fmt.Errorf("login of %s: %s", vin, answer.Flag())
	}
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	return c, frames, nil
}

// reporters are vehicles that report at a steady rate, each frame when it is due.
type reporters struct {
	answered atomic.Int64
	conns    []net.Conn
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	first error
}

// newReporters starts them; none for a scenario without frames.
func newReporters(ctx context.Context, address string, s scenario) (*reporters, error) {
	ctx, stop := context.WithCancel(ctx)
	r := &reporters{stop: stop}
	if s.reporters == 0 {
		return r, nil
	}
	report, err := os.ReadFile(filepath.Join("codec", "testdata", "bench", "realtime.bin"))
	if err != nil {
		r.close()
		return nil, err
	}
	every := time.Second * time.Duration(s.reporters) / time.Duration(s.frames)
	for i := range s.reporters {
		vin := vinOf('R', i)
		c, frames, err := login(ctx, address, vin)
		if err != nil {
			r.close()
			return nil, err
		}
		r.conns = append(r.conns, c)
		one := append([]byte(nil), report...)
		copy(one[4:], vin)
		one[len(one)-1] = codec.Check(one[2 : len(one)-1])
		r.running.Go(func() { r.fail(ctx, r.read(frames)) })
		r.running.Go(func() { r.fail(ctx, write(ctx, c, one, every, time.Duration(i)*every/time.Duration(s.reporters))) })
	}
	return r, nil
}

// read counts answers.
func (r *reporters) read(frames *codec.Reader) error {
	for {
		f, err := frames.ReadFrame()
		switch {
		case err != nil:
			return err
		case f.Flag() != codec.FlagSuccess:
			return fmt.Errorf("a report was answered %s", f.Flag())
		}
		r.answered.Add(1)
	}
}

// write sends a frame every so often, the first after a while.
func write(ctx context.Context, c net.Conn, frame []byte, every, after time.Duration) error {
	out := bufio.NewWriter(c)
	for due := time.Now().Add(after); ; due = due.Add(every) {
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := out.Write(frame); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

func (r *reporters) fail(ctx context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil && ctx.Err() == nil {
		r.first = err
	}
}

// err is why a vehicle has stopped reporting.
func (r *reporters) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first != nil {
		return errors.Join(errors.New("a vehicle has stopped reporting"), r.first)
	}
	return nil
}

func (r *reporters) close() {
	r.stop()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.running.Wait()
}
