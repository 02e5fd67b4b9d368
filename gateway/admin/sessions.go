package admin

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// Sessions are the live sessions; session.Table is one.
type Sessions interface {
	Get(vin codec.VIN) *session.Session // nil: offline
	Each(fn func(*session.Session) bool)
	// Logout ends s and reports false when it had ended before.
	Logout(s *session.Session, reason session.Reason) bool
}

func (a API) listSessions(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("vin") {
		if s := a.session(w, r); s != nil {
			writeJSON(w, http.StatusOK, s.Info())
		}
		return
	}
	lines := newLineWriter(w)
	a.Sessions.Each(func(s *session.Session) bool { return lines.write(s.Info()) })
}

func (a API) kick(w http.ResponseWriter, r *http.Request) {
	s := a.session(w, r)
	if s == nil {
		return
	}
	info := s.Info()
	Kick(a.Sessions, s)
	writeJSON(w, http.StatusOK, info)
}

// Kick ends a session: that of a vehicle with its connection, that of one behind a platform alone, because the
// connection carries others. It never blocks.
func Kick(sessions Sessions, s *session.Session) {
	if s.Platform == "" {
		s.Link.Close(session.ReasonKicked)
	} else {
		sessions.Logout(s, session.ReasonKicked)
	}
}

// session finds the session of the parameter vin, or answers why there is none and returns nil.
func (a API) session(w http.ResponseWriter, r *http.Request) *session.Session {
	vin, ok := vinOf(w, r)
	if !ok {
		return nil
	}
	s := a.Sessions.Get(vin)
	if s == nil {
		writeError(w, http.StatusNotFound, fmt.Sprintf("vehicle %s is offline", vin))
	}
	return s
}

func vinOf(w http.ResponseWriter, r *http.Request) (codec.VIN, bool) {
	vin, err := codec.ParseVIN(r.URL.Query().Get("vin"))
	if err != nil {
		writeError(w, http.StatusBadRequest, "vin: "+err.Error())
		return vin, false
	}
	return vin, true
}

// Sessions lists the live sessions, in no order. The loop ends with the first error.
func (c *Client) Sessions(ctx context.Context) iter.Seq2[session.Info, error] {
	return lines[session.Info](ctx, c, "/v1/sessions", nil)
}

// Session returns the session of one vehicle; ErrNotFound when it is offline.
func (c *Client) Session(ctx context.Context, vin codec.VIN) (session.Info, error) {
	var s session.Info
	return s, c.do(ctx, http.MethodGet, "/v1/sessions", url.Values{"vin": {vin.String()}}, nil, &s)
}

// Kick ends the session of one vehicle and returns what it was.
func (c *Client) Kick(ctx context.Context, vin codec.VIN) (session.Info, error) {
	var s session.Info
	return s, c.do(ctx, http.MethodDelete, "/v1/sessions", url.Values{"vin": {vin.String()}}, nil, &s)
}
