// Package admin is how operators reach a gateway. It has two doors.
//
// The socket DATA_DIR/admin.sock, mode 0600, carries an HTTP API for the command line ([API], [Client]): sessions,
// vehicles, platforms, access keys, and the API for commands without a signature. Who may open the file may do all of
// it. The same API can be reached from another machine with a token.
//
// The public address ([Public]) carries /metrics, /healthz and /readyz.
//
//	tboxgate send, sessions, … ──▶ Client ──▶ admin.sock ──▶ API ──▶ session.Table, session.Registry, …
//	tboxgate vehicles, keys, … ──▶ Client ──▶ (no gateway runs) API in the same process, over the locked directory
//	Prometheus, load balancer  ─────────────▶ Public
package admin
