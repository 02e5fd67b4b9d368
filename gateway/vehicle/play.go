package vehicle

import (
	"context"
	"net"
	"time"
)

// fault plays a fault of the script.
func (r *rig) fault(ctx context.Context, l *link, addr string, f ScriptedFault) error {
	if f.Fault == FaultDuplicate && r.self != r.cars[0] {
		return nil // a platform may have several links
	}
	now := time.Now()
	if !f.road {
		r.count.update(func(s *Stats) { s.Faults++ })
	} else if r.self.motion.day.phase != phaseDrive {
		return nil
	}
	switch f.Fault {
	case FaultDrop:
		abort(l.conn)
		return &awayError{now.Add(f.For)}
	case FaultBlindZone:
		// Nobody tells the gateway: the connection stays as it is until the vehicle is back.
		r.offline()
		pause(ctx, f.For)
		abort(l.conn)
		r.lost = now
		return &awayError{time.Now()}
	case FaultDuplicate:
		return r.duplicate(ctx, l, addr)
	}
	l.trouble.start(f, now)
	return nil
}

// duplicate logs in on a second connection. The gateway must close the first (2016 B.2.7).
func (r *rig) duplicate(ctx context.Context, l *link, addr string) error {
	second, err := r.dial(ctx, addr)
	if err != nil {
		return err
	}
	if err := r.login(ctx, second); err != nil {
		second.close(false)
		return err
	}
	until := time.Now().Add(r.cfg.AnswerTimeout)
	for l.err == nil && time.Now().Before(until) && ctx.Err() == nil {
		_ = l.wait(until) // the error is kept in l.err
	}
	if l.err == nil && ctx.Err() == nil {
		r.cfg.Logger.Warn("the older connection of a vehicle is still open after its login on another", "vin", r.cfg.VIN)
		r.count.update(func(s *Stats) { s.Lingering++ })
	}
	r.keep(l)
	l.close(true)
	return &movedError{second}
}

// abort makes the close of a connection a reset, as the end of a modem's is.
func abort(conn net.Conn) {
	if under, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = under.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is closed next
	}
	_ = conn.Close()
}
