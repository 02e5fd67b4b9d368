package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/session"
)

// Exit statuses of send besides the common ones.
const (
	exitRejected     = 3
	exitNoAnswer     = 4
	exitDisconnected = 5
)

// answer is what send prints as JSON.
type answer struct {
	MessageID  int64             `json:"messageId"`
	VIN        string            `json:"vin"`
	State      string            `json:"state,omitempty"` // absent when the wait ended before the gateway told it
	Flag       string            `json:"flag,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	SentAt     session.Timestamp `json:"sentAt,omitzero"`
	AnsweredAt session.Timestamp `json:"answeredAt,omitzero"`
	Answer     json.RawMessage   `json:"answer,omitempty"` // the frame
}

func (s *sender) send(ctx context.Context, c *cli.Context, p *program, cmd client.Command) error {
	id, err := s.Send(ctx, cmd)
	if err != nil {
		return err
	}
	asJSON := c.String("output") == jsonFlag
	if c.Bool("no-wait") {
		if asJSON {
			return printJSON(p.stdout, map[string]int64{"messageId": id})
		}
		_, err = fmt.Fprintf(p.stdout, "command %d sent to %s\n", id, cmd.DeviceName)
		return err
	}
	if d := c.Duration("timeout"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %s", shortDuration(d)))
		defer cancel()
	}
	r, err := s.Wait(ctx, cmd.ProductKey, id)
	if err != nil && ctx.Err() == nil {
		return err
	}
	if asJSON {
		printErr := printJSON(p.stdout, answer{
			MessageID: id, VIN: cmd.DeviceName, State: r.State, Flag: r.Flag, Reason: r.Reason, SentAt: session.At(r.SentTime),
			AnsweredAt: session.At(r.AnsweredTime), Answer: r.Body,
		})
		if printErr != nil {
			return printErr
		}
	} else if r.State == "answered" {
		if err := printAnswer(p.stdout, r); err != nil {
			return err
		}
	}
	if err != nil {
		return &statusError{exitNoAnswer, fmt.Errorf("command %d to %s: %w; it goes on, and GetAsyncRRpcResult tells what becomes of it",
			id, cmd.DeviceName, context.Cause(ctx))}
	}
	if r.Ending() != "" {
		return ended(&client.EndError{Result: r})
	}
	return nil
}

// ended is the error of a command that was not answered with success, with its exit status.
func ended(err *client.EndError) error {
	status := exitError
	for kind, s := range map[error]int{
		client.ErrRejected: exitRejected, client.ErrTimedOut: exitNoAnswer, client.ErrDisconnected: exitDisconnected,
	} {
		if errors.Is(err, kind) {
			status = s
		}
	}
	return &statusError{status, errors.New(strings.TrimPrefix(err.Error(), "client: "))}
}

// printAnswer prints an answer of success for people: what it was, how long it took, and the parameters of a query.
func printAnswer(w io.Writer, r client.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answered %s", r.DeviceName, r.Command)
	if r.Flag != "" {
		fmt.Fprintf(&b, " with %s", r.Flag)
	}
	if !r.SentTime.IsZero() && !r.AnsweredTime.IsZero() {
		fmt.Fprintf(&b, " after %s", r.AnsweredTime.Sub(r.SentTime).Round(time.Millisecond))
	}
	fmt.Fprintf(&b, " (command %d)", r.MessageID)
	if r.Reason != "" {
		fmt.Fprintf(&b, ": %s", r.Reason)
	}
	b.WriteByte('\n')
	if params, err := r.Params(); err == nil {
		for _, param := range params {
			name, value := param.Name, param.Value
			if name == "" {
				name = fmt.Sprintf("0x%02X", param.ID)
			}
			switch {
			case param.Invalid:
				value = "-"
			case param.Unit != "":
				value += " " + param.Unit
			}
			line := fmt.Sprintf("  %-20s  %-16s  %s", name, printable(value), param.Doc)
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// suggestion points from a wrong name in a JSON to the one that was meant.
func suggestion(err error) string {
	var bad *codec.JSONError
	if !errors.As(err, &bad) {
		return ""
	}
	return "; docs/stream.md has the keys"
}

// vinOfObject is the vin of a frame's JSON, "" when there is none.
func vinOfObject(object []byte) string {
	var keys struct{ VIN string }
	_ = json.Unmarshal(object, &keys) // what is wrong with it is said when it is built
	return keys.VIN
}
