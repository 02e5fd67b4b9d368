package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Param is one parameter of a vehicle's answer.
type Param struct {
	ID   uint8
	Name string // "" for one of the maker's own
	// Value is its number in Unit, or its text. It is "" and Invalid true when the vehicle sent a mark instead of a number.
	Value   string
	Unit    string // "s", "ms", "min" or ""
	Doc     string // what it is
	Invalid bool
}

// Params reads the parameters out of the answer to a query. The error says that there is no such answer.
func (r *Result) Params() ([]Param, error) {
	if r.Body == nil {
		return nil, errors.New("client: the command has no answer")
	}
	var m codec.Message
	if err := m.ParseJSON(r.Body); err != nil {
		return nil, fmt.Errorf("client: the answer: %w", err)
	}
	u, ok := m.Body.(*codec.Params)
	ok = ok && m.Missing == 0
	if !ok {
		return nil, errors.New("client: the answer holds no parameters")
	}
	params := make([]Param, len(u.Params))
	for i, p := range u.Params {
		info, _ := codec.ParamInfoOf(m.Edition, p.ID)
		params[i] = Param{ID: p.ID, Name: info.Name, Unit: info.Unit, Doc: info.Doc}
		switch {
		case info.Text:
			params[i].Value = p.Text()
		case info.Name == "":
			params[i].Value = fmt.Sprintf("%x", p.Data)
		default:
			n := int64(p.Number()) * info.Step
			mark := int64(1)<<(8*info.Size) - 2
			if params[i].Invalid = int64(p.Number()) >= mark && n > info.Max; !params[i].Invalid {
				params[i].Value = fmt.Sprint(n)
			}
		}
	}
	return params, nil
}

// Do sends a command and waits until it is over. The error is that of Send or Wait, or an *EndError when the vehicle did not
// answer with success; the result is there in both of the latter cases.
func (c *Client) Do(ctx context.Context, cmd Command) (Result, error) {
	id, err := c.Send(ctx, cmd)
	if err != nil {
		return Result{}, err
	}
	r, err := c.Wait(ctx, cmd.ProductKey, id)
	if err == nil && r.Ending() != "" {
		err = &EndError{r}
	}
	return r, err
}

// Query asks a vehicle for parameters, by name ("reportPeriod") or id ("2"), and waits for them.
func (c *Client) Query(ctx context.Context, d Device, params ...string) ([]Param, error) {
	cmd, err := QueryCommand(d, time.Now(), params...)
	if err != nil {
		return nil, err
	}
	r, err := c.Do(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return r.Params()
}

// Set sets parameters of a vehicle and waits for its answer.
func (c *Client) Set(ctx context.Context, d Device, settings ...Setting) (Result, error) {
	cmd, err := SetCommand(d, time.Now(), settings...)
	if err != nil {
		return Result{}, err
	}
	return c.Do(ctx, cmd)
}

// Control controls a vehicle's terminal and waits for its answer.
func (c *Client) Control(ctx context.Context, d Device, control Control) (Result, error) {
	cmd, err := ControlCommand(d, time.Now(), control)
	if err != nil {
		return Result{}, err
	}
	return c.Do(ctx, cmd)
}
