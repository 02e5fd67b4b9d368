//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// patience is how long a client waits for what the gateway has to do soon.
const patience = 30 * time.Second

// cut logs a vehicle in, sends part of a frame and goes: closing, or with a reset.
func (c *churn) cut(ctx context.Context, i int) error {
	conn, err := c.enter(ctx, vin(kindCut, i))
	if err != nil {
		return quietly(ctx, err)
	}
	f := report(vin(kindCut, i), 300)
	_, err = conn.Write(f[:1+rand.IntN(len(f)-1)])
	if rand.IntN(2) == 0 {
		err = errors.Join(err, conn.SetLinger(0))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return quietly(ctx, fmt.Errorf("%s: %w", vin(kindCut, i), err))
	}
	c.count.cuts.Add(1)
	return nil
}

// babble sends garbage, before a login or after it, until the gateway closes the connection. It must do so (a stretch of
// garbage that arrives in one piece counts as one bad frame), and answer nothing.
func (c *churn) babble(ctx context.Context, i int) (err error) {
	name := vin(kindGarbage, i)
	var conn *net.TCPConn
	if rand.IntN(2) == 0 {
		conn, err = c.plain(ctx)
	} else {
		conn, err = c.enter(ctx, name)
	}
	if err != nil {
		return quietly(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	for end := time.Now().Add(patience); ; {
		if _, err := conn.Write(garbage(name)); err != nil {
			break // closed, as it should be
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			return err
		}
		n, err := conn.Read(make([]byte, 100))
		if n > 0 {
			return fmt.Errorf("garbage of %s got an answer of %d bytes", name, n)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: garbage of %s did not end its connection within %v", errNoAnswer, name, patience)
		}
	}
	c.count.garbage.Add(1)
	return nil
}

// garbage is some noise without a start mark, and a frame with a wrong check byte.
func garbage(name string) []byte {
	var b []byte
	for range 1 + rand.IntN(100) {
		b = append(b, byte('A'+rand.IntN(26)))
	}
	b = append(b, report(name, 20)...)
	b[len(b)-1] ^= 0xFF
	return b
}

// ignore asks for the time again and again and reads no answer, until the gateway gives it up.
func (c *churn) ignore(ctx context.Context, i int) error {
	name := vin(kindSlow, i)
	conn, err := c.enter(ctx, name)
	if err != nil {
		return quietly(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := errors.Join(conn.SetReadBuffer(4<<10), conn.SetDeadline(time.Now().Add(patience))); err != nil {
		return err
	}
	var block []byte
	for range 400 {
		block = append(block, frame(codec.CommandTimeSync, name, nil)...)
	}
	for err == nil {
		_, err = conn.Write(block)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %s read nothing for %v and is still connected", errNoAnswer, name, patience)
	case !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s, a slow reader, ended with: %w", name, err)
	}
	c.count.slow.Add(1)
	wait(ctx, between(2*time.Second, 5*time.Second)) // it is a heavy one
	return nil
}

// enter connects a vehicle and logs it in.
func (c *churn) enter(ctx context.Context, name string) (*net.TCPConn, error) {
	conn, err := c.plain(ctx)
	if err != nil {
		return nil, err
	}
	if err := logIn(conn, name); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		return nil, fmt.Errorf("%s: login: %w", name, errors.Join(err, conn.Close()))
	}
	return conn, nil
}

func logIn(conn net.Conn, name string) error {
	unit := codec.AppendTime(nil, time.Now())
	unit = binary.BigEndian.AppendUint16(unit, 1)
	unit = append(append(unit, "89860000000000000001"...), 1, 0)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(frame(codec.CommandVehicleLogin, name, unit)); err != nil {
		return err
	}
	b := make([]byte, codec.MinFrameSize+codec.TimeSize)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	f, err := codec.ParseFrame(b)
	if err != nil {
		return err
	}
	if f.Command() != codec.CommandVehicleLogin || f.Flag() != codec.FlagSuccess || f.VIN().String() != name {
		return fmt.Errorf("the answer is %x", b)
	}
	return conn.SetDeadline(time.Time{})
}

// report is a realtime report with one user-defined item of so many bytes.
func report(name string, size int) []byte {
	unit := append(codec.AppendTime(nil, time.Now()), 0x80)
	unit = binary.BigEndian.AppendUint16(unit, uint16(size))
	return frame(codec.CommandRealtime, name, append(unit, make([]byte, size)...))
}

func frame(command codec.Command, name string, unit []byte) []byte {
	f, err := codec.AppendFrame(nil, codec.Header{
		Edition: codec.Edition2016, Command: command, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte(name)), Encryption: codec.EncryptionNone,
	}, unit)
	if err != nil {
		panic(err) // units here have some hundred bytes
	}
	return f
}

// quietly drops errors of a client that is being stopped.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
