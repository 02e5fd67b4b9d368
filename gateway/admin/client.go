package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

// ErrNoGateway says that nobody answers at the admin socket or address.
var ErrNoGateway = errors.New("no gateway is running")

// Error is an answer of the API that is not a success.
type Error struct {
	Status  int    // HTTP status
	Message string // what the gateway said
}

func (e *Error) Error() string { return e.Message }

// Is makes errors.Is work across the wire for ErrNotFound, ErrConflict and ErrInvalid.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrInvalid:
		return e.Status == http.StatusBadRequest
	}
	return false
}

// Client calls the API. Its methods return ErrNoGateway when nobody answers, an *Error when the gateway refuses.
type Client struct {
	http  *http.Client
	base  string // "http://host"
	token string
}

// NewClient returns a client of the gateway that runs on a data directory, through its socket.
func NewClient(dataDir string) *Client {
	path := filepath.Join(dataDir, SocketName)
	return &Client{base: "http://gateway", http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableCompression: true,
	}}}
}

// NewRemoteClient returns a client of the gateway whose admin address is addr: HOST:PORT, or a URL when there is a TLS
// proxy before it. The token is the gateway's admin.token.
func NewRemoteClient(addr, token string) *Client {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	return &Client{base: strings.TrimSuffix(addr, "/"), token: token, http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
	}}}
}

// NewLocalClient returns a client of a handler in the same process, for commands that work on a data directory
// without a gateway.
func NewLocalClient(api http.Handler) *Client {
	return &Client{base: "http://local", http: &http.Client{Transport: localTransport{api}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks what is running.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.do(ctx, http.MethodGet, "/v1/status", nil, nil, &s)
}

// Calls returns what makes the requests of a command/client.Client go through this one, unsigned, to the API for
// commands. Give that client any http URL without a path as its base.
func (c *Client) Calls() *http.Client { return &http.Client{Transport: callsTransport{c}} }

// callsTransport redirects requests for "/" to the API's place on this gateway.
type callsTransport struct{ c *Client }

func (t callsTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	at, err := url.Parse(t.c.base + "/v1/call")
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	at.RawQuery = r.URL.RawQuery
	r = r.Clone(r.Context())
	r.URL, r.Host = at, ""
	resp, err := t.c.roundTrip(r)
	if err == nil && resp.Header.Get(errorHeader) != "" {
		defer func() { _ = resp.Body.Close() }()
		return nil, readError(resp)
	}
	return resp, err
}

// do sends one request with a JSON body and reads a JSON answer; in and out may be nil.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("admin: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.send(ctx, method, path, query, body, "application/json")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return readError(resp)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("admin: %s %s: the answer is not what it should be: %w", method, path, err)
	}
	return nil
}

// send returns an answer whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader, contentType string) (*http.Response, error) {
	at := c.base + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	return c.roundTrip(req)
}

// roundTrip adds the token and names the commonest failure.
func (c *Client) roundTrip(r *http.Request) (*http.Response, error) {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Transport.RoundTrip(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, fmt.Errorf("%w: %w", ErrNoGateway, op)
		}
		return nil, fmt.Errorf("admin: %w", err)
	}
	return resp, nil
}

func readError(resp *http.Response) error {
	var body errorBody
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil || json.Unmarshal(text, &body) != nil || body.Error == "" {
		body.Error = "admin: HTTP " + resp.Status
	}
	return &Error{Status: resp.StatusCode, Message: body.Error}
}

// lines reads JSON lines as they come.
func lines[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return linesFrom[T](ctx, c, path, query, func() {})
}

// linesFrom is lines; begun is called when the answer has begun, which may be long before its first line.
func linesFrom[T any](ctx context.Context, c *Client, path string, query url.Values, begun func()) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		resp, err := c.send(ctx, http.MethodGet, path, query, nil, "")
		if err != nil {
			yield(zero, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			yield(zero, readError(resp))
			return
		}
		begun()
		d := json.NewDecoder(bufio.NewReader(resp.Body))
		for {
			var v T
			err := d.Decode(&v)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(zero, fmt.Errorf("admin: GET %s: %w", path, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}
