package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/session"
)

// sendCommand calls AsyncRRpc for people: it builds the data unit, sends it and waits for the vehicle's answer.
func (p *program) sendCommand() *cli.Command {
	return &cli.Command{
		Name:  "send",
		Usage: "send a command to a vehicle and print its answer",
		Subcommands: []*cli.Command{{
			Name:  "query",
			Usage: "ask for parameters (0x80)",
			Flags: sendFlags(&cli.StringFlag{Name: "params", Usage: "`IDS` or names separated by commas: 1,2 or storagePeriod,reportPeriod"}),
			Action: p.sendAction(codec.CommandParamQuery, func(c *cli.Context) (map[string]any, error) {
				ids, err := paramIDs(c, c.String("params"))
				if err != nil || ids == nil {
					return nil, err
				}
				return map[string]any{"ids": ids}, nil
			}),
		}, {
			Name:  "set",
			Usage: "set parameters (0x81)",
			Flags: sendFlags(&cli.StringSliceFlag{Name: "set", Usage: "`NAME=VALUE` as in a frame's JSON, such as reportPeriod=10; repeatable"}),
			Action: p.sendAction(codec.CommandParamSet, func(c *cli.Context) (map[string]any, error) {
				params, err := paramValues(c, c.StringSlice("set"))
				if err != nil || params == nil {
					return nil, err
				}
				return map[string]any{"params": params}, nil
			}),
		}, {
			Name:  "control",
			Usage: "control the terminal (0x82)",
			Flags: sendFlags(
				&cli.UintFlag{Name: "id", Usage: "control `ID`, such as 3 for a reset"},
				&cli.StringFlag{Name: "data", Usage: "`HEX` that follows the id", DefaultText: "nothing"}),
			Action: p.sendAction(codec.CommandControl, func(c *cli.Context) (map[string]any, error) {
				if !c.IsSet("id") {
					return nil, nil
				}
				return map[string]any{"control": c.Uint("id")}, nil
			}),
		}},
	}
}

func sendFlags(own ...cli.Flag) []cli.Flag {
	return operatorFlags(append([]cli.Flag{
		&cli.StringFlag{Name: "vin", Usage: "the vehicle"}}, append(own,
		&cli.StringFlag{Name: "hex", Usage: "the whole data unit in `HEX`, from its time on"},
		&cli.IntFlag{Name: "edition", Usage: "edition of the data unit, 2016 or 2025", DefaultText: "the session's"},
		&cli.BoolFlag{Name: "no-wait", Usage: "print the message id at once", DisableDefaultText: true},
		&cli.DurationFlag{Name: "timeout", Usage: "wait at most so long for the answer", DefaultText: "until the gateway gives up"},
		productFlag(),
		&cli.StringFlag{Name: "api", Usage: "call this API address, http://HOST:PORT, signed with --access-key, instead of the gateway's socket"},
		&cli.StringFlag{Name: "access-key", Usage: "ID:SECRET for --api [$TBOXGATE_ACCESS_KEY]"},
	)...)...)
}

// sendAction sends one kind of command. keysOf makes the data unit's JSON keys of the command's own flags; nil when
// none was given.
func (p *program) sendAction(kind codec.Command, keysOf func(*cli.Context) (map[string]any, error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		if _, err := arguments(c, 0, 0); err != nil {
			return err
		}
		if c.String("vin") == "" {
			return usagef(c, "--vin is needed")
		}
		vin, err := vinArgument(c, c.String("vin"))
		if err != nil {
			return usagef(c, "--vin: %v", err)
		}
		keys, err := keysOf(c)
		if err != nil {
			return err
		}
		if (keys == nil) == (c.String("hex") == "") {
			return usagef(c, "the data unit is needed once: by its own flags or by --hex")
		}
		ctx, stop := untilSignal(c.Context, p.stderr)
		defer stop()
		return p.caller(ctx, c, vin, func(s *sender) error {
			unit, err := s.unit(c, kind, keys)
			if err != nil {
				return err
			}
			return s.send(ctx, c, p, client.Command{ProductKey: s.productKey, DeviceName: vin.String(), Command: kind, Unit: unit})
		})
	}
}

// sender is a client of the API and what is known about the vehicle.
type sender struct {
	*client.Client
	productKey string
	vin        codec.VIN
	edition    codec.Edition
}

// caller connects to the API: over the admin socket or address, or signed to its own address.
func (p *program) caller(ctx context.Context, c *cli.Context, vin codec.VIN, fn func(*sender) error) error {
	s := &sender{vin: vin, edition: codec.Edition(c.Int("edition"))}
	if s.edition != 0 && s.edition != codec.Edition2016 && s.edition != codec.Edition2025 {
		return usagef(c, "--edition is 2016 or 2025")
	}
	if url := c.String("api"); url != "" {
		var key AccessKey
		if err := key.UnmarshalText([]byte(p.setting(c, "access-key"))); err != nil {
			return usagef(c, "--api needs --access-key: %v", err)
		}
		cfg, err := p.config(c)
		if err != nil {
			return configProblem(c, err)
		}
		s.productKey = cfg.Products[0].Key
		if s.Client, err = client.New(client.Options{BaseURL: url, AccessKeyID: key.ID, AccessKeySecret: key.Secret}); err != nil {
			return err
		}
		return fn(s)
	}
	return p.operate(c, needGateway, func(_ context.Context, o *operator) (err error) {
		s.productKey = o.productKey
		if s.Client, err = client.New(client.Options{BaseURL: "http://gateway", HTTPClient: o.Calls()}); err != nil {
			return err
		}
		info, err := o.Session(ctx, vin)
		switch {
		case err == nil && s.edition == 0:
			s.edition = info.Edition
		case err != nil && !errors.Is(err, admin.ErrNotFound): // offline is for the API to say: it knows why
			return err
		}
		return fn(s)
	})
}

// unit builds the data unit of the command's JSON keys with the codec, so that names and physical values are those of
// a frame's JSON.
func (s *sender) unit(c *cli.Context, kind codec.Command, keys map[string]any) ([]byte, error) {
	if text := c.String("hex"); text != "" {
		unit, err := unhex([]byte(text))
		if err != nil {
			return nil, usagef(c, "--hex: %v", err)
		}
		return unit, nil
	}
	if s.edition == 0 {
		s.edition = codec.Edition2016
	}
	keys["v"], keys["edition"], keys["command"], keys["flag"] = 1, s.edition, kind.Name(s.edition), "command"
	keys["vin"], keys["encryption"] = "X", "none"
	keys["time"] = time.Now().In(codec.Beijing).Format(time.RFC3339)
	object, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	frame, err := codec.EncodeJSON(nil, object)
	if err != nil {
		return nil, usagef(c, "%v", err)
	}
	unit := codec.Frame(frame).Unit()
	if data := c.String("data"); data != "" {
		more, err := unhex([]byte(data))
		if err != nil {
			return nil, usagef(c, "--data: %v", err)
		}
		unit = append(slices.Clone(unit), more...)
	}
	return unit, nil
}

// answer is what send prints.
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
	if c.Bool("no-wait") {
		return printJSON(p.stdout, map[string]int64{"messageId": id})
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
	if printErr := printJSON(p.stdout, answer{
		MessageID: id, VIN: cmd.DeviceName, State: r.State, Flag: r.Flag, Reason: r.Reason, SentAt: session.At(r.SentTime),
		AnsweredAt: session.At(r.AnsweredTime), Answer: r.Body,
	}); printErr != nil {
		return printErr
	}
	if err != nil {
		return fmt.Errorf("command %d to %s: %w; it goes on, and GetAsyncRRpcResult tells what becomes of it", id, cmd.DeviceName, context.Cause(ctx))
	}
	if ending := endingOf(r); ending != "" {
		return fmt.Errorf("command %d to %s: %s: %s", id, cmd.DeviceName, r.State, ending)
	}
	return nil
}

// endingOf tells how a command ended that was not answered with success, "" for one that was.
func endingOf(r client.Result) string {
	var text string
	switch command.State(r.State) {
	case command.StateAnswered:
		return ""
	case command.StateRejected:
		return "the vehicle answered with the flag " + r.Flag
	case command.StateTimedOut:
		text = "the vehicle did not answer"
	case command.StateDisconnected:
		text = "the vehicle's session ended before an answer came"
	case command.StateSuperseded:
		text = "the vehicle logged in over another connection before an answer came"
	default:
		text = "a state that this program does not know"
	}
	if r.Reason != "" {
		text += " (" + r.Reason + ")"
	}
	return text
}

// paramIDs reads ids and names of parameters; nil when there are none.
func paramIDs(c *cli.Context, list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var ids []int
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		n, err := strconv.ParseUint(word, 0, 8)
		if err != nil {
			id, ok := paramID(word)
			if !ok {
				return nil, usagef(c, "--params: %q is neither an id from 1 to 255 nor a name%s", word, didYouMean(word, paramNames()))
			}
			n = uint64(id)
		}
		ids = append(ids, int(n))
	}
	return ids, nil
}

// paramValues reads NAME=VALUE; nil when there are none.
func paramValues(c *cli.Context, list []string) ([]map[string]any, error) {
	var params []map[string]any
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usagef(c, "--set %s: NAME=VALUE is wanted", s)
		}
		id, known := paramID(name)
		if !known {
			return nil, usagef(c, "--set: unknown parameter %q%s", name, didYouMean(name, paramNames()))
		}
		var v any = json.Number(value)
		if strings.HasSuffix(name, "Domain") || strings.HasSuffix(name, "Version") {
			v = value // texts, even one of digits
		} else if _, err := strconv.ParseFloat(value, 64); err != nil {
			return nil, usagef(c, "--set %s: %q is not a number", name, value)
		}
		params = append(params, map[string]any{"id": id, name: v})
	}
	return params, nil
}

// paramID finds a parameter by its name in a frame's JSON.
func paramID(name string) (id uint8, ok bool) {
	i := slices.Index(paramNames(), name)
	return uint8(i + 1), i >= 0
}

// paramNames are the names of the parameters with ids from 1 to 16, in that order (2016 table B.10).
func paramNames() []string {
	names := make([]string, 16)
	for i := range names {
		names[i] = codec.Param{ID: uint8(i + 1)}.Name()
	}
	return names
}
