package probe

import "net"

// abort ends a connection with a reset.
func abort(conn net.Conn) {
	if under, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = under.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is closed next
	}
	_ = conn.Close()
}
