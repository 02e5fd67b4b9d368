// Package client calls the gateway's HTTP API from Go: it sends commands to vehicles and waits for their answers. Programs that
// use an Alibaba Cloud SDK already do not need it; the API is the same.
//
//	c, err := client.New(client.Options{BaseURL: "http://127.0.0.1:8960", AccessKeyID: id, AccessKeySecret: secret})
//	d := client.Device{ProductKey: "gbt32960", DeviceName: vin}
//	params, err := c.Query(ctx, d, "reportPeriod", "heartbeatPeriod")
//	result, err := c.Set(ctx, d, client.Setting{Name: "reportPeriod", Value: "10s"})
//	result, err = c.Control(ctx, d, client.Control{ID: codec.ControlReset})
//
// These send, wait for the vehicle's answer and return an *EndError when there is none or it is no success. Send, Result and
// Wait are the steps; QueryCommand, SetCommand, ControlCommand and JSONCommand build what Send takes. Errors are values to
// test: errors.Is(err, client.ErrOffline).
package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/openapi/signature"
)

const (
	apiVersion = "2018-01-20"
	maxAnswer  = 4 << 20
	// Wait asks again after firstPoll, then ever less often, down to every lastPoll.
	firstPoll = 50 * time.Millisecond
	lastPoll  = time.Second
)

// Options configure a Client.
type Options struct {
	// BaseURL is the API's address, such as "http://127.0.0.1:8960". For a unix socket give any http URL and an HTTPClient
	// that dials the socket.
	BaseURL string
	// AccessKeyID and AccessKeySecret sign the calls. Without an id calls are not signed, which only the gateway's own
	// admin socket accepts.
	AccessKeyID     string
	AccessKeySecret string
	// HTTPClient makes the requests. Default: one with a timeout of 30 seconds.
	HTTPClient *http.Client
}

// Client calls the API. It is safe for concurrent use.
type Client struct {
	o    Options
	base string
}

// New returns a Client. The error says what is wrong with BaseURL or the key.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("client: BaseURL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("client: BaseURL %q is not of the form http://HOST:PORT", o.BaseURL)
	}
	if o.AccessKeyID != "" && o.AccessKeySecret == "" {
		return nil, errors.New("client: AccessKeySecret is missing")
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: 30 * time.Second}
	}
	return &Client{o: o, base: u.Scheme + "://" + u.Host + "/"}, nil
}

// Command is a command to be sent.
type Command struct {
	ProductKey string
	DeviceName string        // the VIN
	Command    codec.Command // CommandParamQuery, CommandParamSet or CommandControl
	Unit       []byte        // the data unit, from its time on
}

// Result is what became of a command.
type Result struct {
	MessageID  int64
	DeviceName string
	// State is queued, sent, answered, rejected, timedOut, disconnected or superseded.
	State        string
	Flag         string          // JSON name of the answer's flag, "" without an answer
	Reason       string          // why it ended without an answer, "" otherwise
	Command      string          // paramQuery, paramSet, control, or message to an MQTT device
	Topic        string          // of such a message
	SentTime     time.Time       // zero when it was not sent yet
	AnsweredTime time.Time       // zero without an answer
	Body         json.RawMessage // the answer frame as JSON, nil without an answer
}

// Over reports whether the command is over: neither queued nor sent, or sent to an MQTT device that does not acknowledge.
func (r *Result) Over() bool {
	return r.State != "queued" && (r.State != "sent" || r.Reason == "qos0")
}

// Send sends a command (AsyncRRpc) and returns its message id. It does not wait for the vehicle's answer.
func (c *Client) Send(ctx context.Context, cmd Command) (messageID int64, err error) {
	var answer struct{ MessageID int64 }
	err = c.call(ctx, "AsyncRRpc", map[string]string{
		"ProductKey": cmd.ProductKey, "DeviceName": cmd.DeviceName,
		"MessageContent": base64.StdEncoding.EncodeToString(cmd.Unit),
		"ExtInfo":        fmt.Sprintf(`{"commandType":%d}`, cmd.Command),
	}, &answer)
	return answer.MessageID, err
}

// Result asks what became of a command (GetAsyncRRpcResult).
func (c *Client) Result(ctx context.Context, productKey string, messageID int64) (Result, error) {
	var answer struct{ Data Result }
	err := c.call(ctx, "GetAsyncRRpcResult", map[string]string{
		"ProductKey": productKey, "MessageId": strconv.FormatInt(messageID, 10),
	}, &answer)
	return answer.Data, err
}

// Wait asks until the command is over. When ctx ends first it returns the last result with ctx's error.
func (c *Client) Wait(ctx context.Context, productKey string, messageID int64) (Result, error) {
	var last Result
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		r, err := c.Result(ctx, productKey, messageID)
		if err != nil {
			if ctx.Err() != nil {
				err = waitError(ctx, messageID, last)
			}
			return last, err
		}
		last = r
		if r.Over() {
			return r, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return last, waitError(ctx, messageID, last)
		}
	}
}

func waitError(ctx context.Context, messageID int64, last Result) error {
	return fmt.Errorf("client: command %d is %s: %w", messageID, last.State, ctx.Err())
}

// call makes one signed call and reads its JSON answer into out.
func (c *Client) call(ctx context.Context, action string, params map[string]string, out any) error {
	params["Action"], params["Version"], params["Format"] = action, apiVersion, "JSON"
	if c.o.AccessKeyID != "" {
		params["AccessKeyId"] = c.o.AccessKeyID
		params["SignatureMethod"], params["SignatureVersion"] = signature.Method1, signature.Version1
		params["SignatureNonce"] = rand.Text()
		params["Timestamp"] = time.Now().UTC().Format(signature.TimeFormat)
		params["Signature"] = signature.Sign1(c.o.AccessKeySecret, signature.StringToSign(http.MethodPost, params))
	}
	form := url.Values{}
	for name, value := range params {
		form.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("client: %s: %w", action, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.o.HTTPClient.Do(req)
	if err != nil {
		return fmt.Errorf("client: %s: %w", action, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("client: %s: reading the answer: %w", action, err)
	}
	var status struct {
		Success                                bool
		RequestID, Code, Message, ErrorMessage string
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return fmt.Errorf("client: %s: HTTP %d, and the answer is not the API's: is %s the API address?", action, resp.StatusCode, c.base)
	}
	if !status.Success {
		message := status.ErrorMessage
		if message == "" {
			message = status.Message
		}
		return &Error{HTTPStatus: resp.StatusCode, Code: status.Code, Message: message, RequestID: status.RequestID}
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("client: %s: reading the answer: %w", action, err)
	}
	return nil
}
